// For what is linked with the libraries, or with the emulated ones: not for the product, which loads them.

#include "host/mpi/nvidia/libraries.hpp"

namespace ntk::nvidia {

const Libraries& libraries() {
#define NTKCUDA_ADDRESS(name) &::name,
    static const Libraries linked{NTKCUDA_NVIDIA_FUNCTIONS(NTKCUDA_ADDRESS)};
#undef NTKCUDA_ADDRESS
    return linked;
}

}  // namespace ntk::nvidia
