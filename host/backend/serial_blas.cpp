#include "serial_blas.hpp"

#include <omp.h>

#include <condition_variable>
#include <mutex>

namespace ntk {
namespace {

// The first of those with the same number of threads saves the setting of OpenBLAS, the last one restores it.
std::mutex setting_mutex;
std::condition_variable setting_free;
int users = 0;
int used_threads = 0;
int saved_threads = 0;

}  // namespace

BlasThreads::BlasThreads(int threads) : openmp_threads_(omp_get_max_threads()) {
    std::unique_lock lock(setting_mutex);
    setting_free.wait(lock, [&] { return users == 0 || used_threads == threads; });
    if (users++ == 0) {
        saved_threads = openblas_get_num_threads();
        openblas_set_num_threads(threads);
        used_threads = threads;
    }
    omp_set_num_threads(threads);  // the OpenMP build follows the caller's own setting, which only the first caller has changed
}

BlasThreads::~BlasThreads() {
    const std::lock_guard lock(setting_mutex);
    if (--users == 0) {
        openblas_set_num_threads(saved_threads);
        setting_free.notify_all();
    }
    omp_set_num_threads(openmp_threads_);
}

}  // namespace ntk
