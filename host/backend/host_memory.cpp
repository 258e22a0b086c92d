#include "host_backend.hpp"
#include "system_memory.hpp"
#include "tiles.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <omp.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace ntk {
namespace {

constexpr std::size_t alignment = 64;  // a cache line, and the widest vector

/// Asking the system takes tens of microseconds: too long for each of many small matrices, which cannot be what does not fit.
constexpr std::uint64_t checked_from = std::uint64_t{4} << 20;

/// Of the memory, what may be kept of released matrices.
constexpr std::uint64_t kept_share = 16;

std::string processor_name() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("model name"))
            if (const auto colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
    return "CPU";
}

/// The function itself: a call costs the CPU nothing.
class HostRecording final : public Recording {
public:
    explicit HostRecording(std::function<void()> work) : work_(std::move(work)) {}
    void run() override { work_(); }

private:
    std::function<void()> work_;
};

/// The matrices are in memory of the host already.
template <class Real>
class NoStaging final : public HostStaging<Real> {
public:
    void put(Matrix<Real> matrix, typename HostStaging<Real>::Visit visit) override {
        if (!matrix.empty()) visit(0, matrix.view());
    }
    void finish() override {}
};

}  // namespace

template <class Real>
HostMemory<Real>::HostMemory(int threads)
    : threads_(threads > 0 ? threads : omp_get_max_threads()), released_(system_memory().total / kept_share) {}

template <class Real>
DeviceInfo HostMemory<Real>::info() const {
    const SystemMemory memory = system_memory();
    return {DeviceKind::cpu, 0, processor_name(), memory.total, memory.available, threads_, peak_memory()};
}

template <class Real>
Real* HostMemory<Real>::allocate(Index count) {
    if (count == 0) return nullptr;
    const std::uint64_t bytes = static_cast<std::uint64_t>(count) * sizeof(Real);
    const auto refuse = [&](std::uint64_t available) {
        throw Error(ErrorCode::out_of_memory,
                    fmt::format("a matrix needs {} bytes ({:.1f} GiB) and {} bytes ({:.1f} GiB) are free on the CPU: use "
                                "fewer samples, a narrower network or block 'trace'",
                                bytes, static_cast<double>(bytes) / 0x1p30, available, static_cast<double>(available) / 0x1p30));
    };
    const auto given = [&](void* data) {
        used_ += malloc_usable_size(data);
        return static_cast<Real*>(data);
    };
    if (void* kept = released_.take(bytes)) return given(kept);
    stay_within_limit(bytes);
    if (bytes >= checked_from && bytes > system_memory().available) {
        released_.clear();
        if (const std::uint64_t available = system_memory().available; bytes > available) refuse(available);
    }
    const auto obtain = [&] { return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment); };
    void* data = obtain();
    if (!data && released_.clear()) data = obtain();
    if (!data) refuse(system_memory().available);
    return given(data);
}

template <class Real>
void HostMemory<Real>::release(Real* data) noexcept {
    if (!data) return;
    used_ -= malloc_usable_size(data);
    released_.give(data);
    stay_within_limit(0);
}

template <class Real>
void HostMemory<Real>::stay_within_limit(std::uint64_t more) noexcept {
    const std::uint64_t limit = limit_, used = used_ + more;
    if (limit < std::numeric_limits<std::uint64_t>::max()) released_.shrink(limit - std::min(limit, used));
}

template <class Real>
void HostMemory<Real>::limit_memory(std::uint64_t bytes) {
    limit_ = bytes;
    stay_within_limit(0);
}

template <class Real>
void HostMemory<Real>::copy(ConstMatrixView<Real> from, MatrixView<Real> to) {
    for_each_row_piece(threads_, from.rows(), from.cols(), [=](Index i, Index first, Index last) {
        std::copy(row_of(from, i) + first, row_of(from, i) + last, row_of(to, i) + first);
    });
}

template <class Real>
void HostMemory<Real>::upload(ConstMatrixView<Real> host, MatrixView<Real> device) {
    copy(host, device);
}

template <class Real>
void HostMemory<Real>::download(ConstMatrixView<Real> device, MatrixView<Real> host) {
    copy(device, host);
}

template <class Real>
void HostMemory<Real>::fill(MatrixView<Real> x, double value) {
    for_each_row_piece(threads_, x.rows(), x.cols(), [=, v = static_cast<Real>(value)](Index i, Index first, Index last) {
        std::fill(row_of(x, i) + first, row_of(x, i) + last, v);
    });
}

template <class Real>
std::unique_ptr<Recording> HostMemory<Real>::record(std::function<void()> work) {
    return std::make_unique<HostRecording>(std::move(work));
}

template <class Real>
std::unique_ptr<HostStaging<Real>> HostMemory<Real>::host_staging() {
    return std::make_unique<NoStaging<Real>>();
}

template class HostMemory<float>;
template class HostMemory<double>;

}  // namespace ntk
