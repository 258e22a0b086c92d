#include "depth_source.hpp"

#include <ntkcuda/error.hpp>

namespace ntk {

std::unique_ptr<DepthSource> make_pair_source(const std::shared_ptr<Backend<double>>&, const KernelFamily&, const HostMatrix<double>&,
                                              const HostMatrix<double>&) {
    throw Error(
        ErrorCode::invalid_argument,
        "the samples have unequal norms, where the kernel is not a function of the angle alone; the depth study takes samples of one norm "
        "(--normalize sphere), or any samples for a homogeneous activation without biases");
}

}  // namespace ntk
