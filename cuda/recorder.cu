// Recorded work: the operations that a function gives to the stream become a CUDA graph, launched as one. Memory allocated and released in
// between is the graph's.

#include "cuda_backend.hpp"

namespace ntk::cuda {
namespace {

using Graph = Unique<cudaGraph_t, cudaGraphDestroy>;
using GraphExecutable = Unique<cudaGraphExec_t, cudaGraphExecDestroy>;

cudaGraphExec_t instantiate(const Graph& graph) {
    cudaGraphExec_t executable = nullptr;
    check(cudaGraphInstantiate(&executable, graph.get(), 0), "cudaGraphInstantiate");
    return executable;
}

class CudaRecording final : public Recording {
public:
    /// `backend` owns the context.
    CudaRecording(std::shared_ptr<const void> backend, Context& context, const std::function<void()>& work)
        : backend_(std::move(backend)), context_(context), graph_(context.record(work)), executable_(instantiate(graph_)) {}

    ~CudaRecording() override {
        (void)context_.try_make_current();
        executable_.reset();
        graph_.reset();
        (void)cudaDeviceGraphMemTrim(context_.device());  // or the device would keep it for further graphs
        (void)cudaGetLastError();
    }

    void run() override {
        context_.make_current();
        check(cudaGraphLaunch(executable_.get(), context_.stream()), "cudaGraphLaunch");
    }

private:
    std::shared_ptr<const void> backend_;
    Context& context_;
    Graph graph_;
    GraphExecutable executable_;
};

}  // namespace

template <class Real>
std::unique_ptr<Recording> CudaRecorder<Real>::record(std::function<void()> work) {
    return std::make_unique<CudaRecording>(this->shared_from_this(), this->context(), work);
}

template class CudaRecorder<float>;
template class CudaRecorder<double>;

}  // namespace ntk::cuda
