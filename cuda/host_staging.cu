// Matrices on their way to the host: strips of rows go to two buffers of pinned memory in turn, on a stream of their own, so that the one
// is copied while the host reads the other and the backend's stream computes.

#include "cuda_backend.hpp"

#include <algorithm>
#include <utility>

namespace ntk::cuda {
namespace {

using Event = Unique<cudaEvent_t, cudaEventDestroy>;

Event new_event() {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    return Event(event);
}

/// Memory of the host that copies reach without a detour.
class PinnedBuffer {
public:
    /// At least `bytes`; the contents are lost when it grows.
    void reserve(std::size_t bytes) {
        if (bytes <= bytes_) return;
        data_.reset();
        bytes_ = 0;
        void* memory = nullptr;
        check(cudaMallocHost(&memory, bytes), "cudaMallocHost");
        data_.reset(memory);
        bytes_ = bytes;
    }
    template <class T>
    [[nodiscard]] T* as() const {
        return static_cast<T*>(data_.get());
    }

private:
    Unique<void*, cudaFreeHost> data_;
    std::size_t bytes_ = 0;
};

template <class Real>
class PinnedStaging final : public HostStaging<Real> {
public:
    using typename HostStaging<Real>::Visit;

    PinnedStaging(std::shared_ptr<Backend<Real>> backend, Context& context, Index strip_bytes)
        : backend_(std::move(backend)), context_(context), strip_bytes_(strip_bytes), stream_(new_stream()), computed_(new_event()) {
        for (Strip& strip : strips_) strip.copied = new_event();
    }
    /// After an exception copies may be under way that read the matrix.
    ~PinnedStaging() override {
        (void)context_.try_make_current();
        if (matrix_.empty()) return;
        (void)cudaStreamSynchronize(stream_.get());
        (void)cudaGetLastError();
    }

    void put(Matrix<Real> matrix, Visit visit) override {
        finish();
        if (matrix.empty()) return;
        context_.make_current();
        check(cudaEventRecord(computed_.get(), context_.stream()), "cudaEventRecord");
        matrix_ = std::move(matrix);
        visit_ = std::move(visit);
    }

    void finish() override {
        if (matrix_.empty()) return;
        context_.make_current();
        check(cudaStreamWaitEvent(stream_.get(), computed_.get(), 0), "cudaStreamWaitEvent");
        const ConstMatrixView<Real> all = std::as_const(matrix_).view();
        const Index row_bytes = all.cols() * static_cast<Index>(sizeof(Real)), rows = std::max<Index>(1, strip_bytes_ / row_bytes);
        for (Strip& strip : strips_) strip.memory.reserve(std::min(rows, all.rows()) * row_bytes);
        const auto range = [&](Index first) { return all.row_range(first, std::min(rows, all.rows() - first)); };
        copy(range(0), strips_[0]);
        for (Index first = 0; first < all.rows(); first += rows) {
            const Index next = first + rows;
            if (next < all.rows()) copy(range(next), strips_[next / rows % 2]);
            const Strip& strip = strips_[first / rows % 2];
            check(cudaEventSynchronize(strip.copied.get()), "cudaEventSynchronize");
            visit_(first, {strip.memory.template as<Real>(), range(first).rows(), all.cols()});
        }
        matrix_ = Matrix<Real>();
    }

private:
    struct Strip {
        PinnedBuffer memory;
        Event copied;
    };

    void copy(ConstMatrixView<Real> from, const Strip& strip) {
        check(cudaMemcpyAsync(strip.memory.template as<void>(), from.data(), from.size() * sizeof(Real), cudaMemcpyDeviceToHost,
                              stream_.get()),
              "cudaMemcpyAsync");
        check(cudaEventRecord(strip.copied.get(), stream_.get()), "cudaEventRecord");
    }

    std::shared_ptr<Backend<Real>> backend_;  // owns the context
    Context& context_;
    Index strip_bytes_;
    Unique<cudaStream_t, cudaStreamDestroy> stream_;
    Event computed_;  ///< the matrix is there
    Strip strips_[2];
    Matrix<Real> matrix_;  ///< not visited yet
    Visit visit_;
};

}  // namespace

template <class Real>
std::unique_ptr<HostStaging<Real>> CudaStaging<Real>::host_staging() {
    return std::make_unique<PinnedStaging<Real>>(this->shared_from_this(), this->context(), this->tiling().staging_bytes);
}

template class CudaStaging<float>;
template class CudaStaging<double>;

}  // namespace ntk::cuda
