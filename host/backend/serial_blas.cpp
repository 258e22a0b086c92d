#include "serial_blas.hpp"

#include <omp.h>

#include <mutex>

namespace ntk {
namespace {

// The setting of OpenBLAS is one for the process: the first guard saves it, the last one restores it.
std::mutex guard_mutex;
int guards = 0;
int saved_threads = 0;

}  // namespace

SerialBlas::SerialBlas() : openmp_threads_(omp_get_max_threads()) {
    const std::lock_guard lock(guard_mutex);
    if (guards++ == 0) {
        saved_threads = openblas_get_num_threads();
        openblas_set_num_threads(1);
    }
    omp_set_num_threads(1);  // the OpenMP build follows the caller's own setting, which only the first caller has changed
}

SerialBlas::~SerialBlas() {
    const std::lock_guard lock(guard_mutex);
    if (--guards == 0) openblas_set_num_threads(saved_threads);
    omp_set_num_threads(openmp_threads_);
}

}  // namespace ntk
