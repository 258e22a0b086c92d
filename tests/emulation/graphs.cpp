// CUDA graphs as captured from a stream: what the stream is given meanwhile is kept instead of queued, and each launch queues it again.
// Memory of a graph is unset again wherever the work allocates or frees it, and is there for as long as the graph or a launch of it.

#include "state.hpp"

#include <utility>

using namespace emulated;

struct CUgraph_st {
    std::shared_ptr<Recorded> recorded;
};
struct CUgraphExec_st {
    std::shared_ptr<Recorded> recorded;
};

namespace emulated {

Recorded::~Recorded() {
    for (const auto& [p, bytes] : memory) deallocate(p);
}

void* record_allocation(cudaStream_t stream, std::size_t bytes) {
    void* p = allocate(bytes);
    if (!p) return nullptr;
    Recorded& recording = *existing(stream).recording;
    recording.memory[p] = bytes;
    recording.unreleased.insert(p);
    enqueue(stream, [=] { unset(p, bytes); });
    return p;
}

void record_release(cudaStream_t stream, void* p) {
    Recorded& recording = *existing(stream).recording;
    if (recording.unreleased.erase(p) == 0) fault("recorded work frees memory that it did not allocate", p);
    enqueue(stream, [p, bytes = recording.memory[p]] { unset(p, bytes); });
}

namespace {

/// Work to queue; that of a graph is only a model of it.
std::shared_ptr<Work> copy_of(const Work& model) {
    auto work = std::make_shared<Work>();
    work->run = model.run;
    work->is_kernel = model.is_kernel;
    work->grid = model.grid;
    work->block = model.block;
    work->shared_bytes = model.shared_bytes;
    return work;
}

}  // namespace
}  // namespace emulated

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    const Lock lock(device_mutex());
    CUstream_st& origin = existing(stream);
    if (fails("cudaStreamBeginCapture")) return cudaErrorUnknown;
    if (mode != cudaStreamCaptureModeThreadLocal) return cudaErrorNotSupported;
    if (origin.recording) return cudaErrorIllegalState;
    origin.recording = std::make_shared<Recorded>();
    return cudaSuccess;
}

/// The capture ends in any case.
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    const Lock lock(device_mutex());
    *graph = nullptr;
    const std::shared_ptr<Recorded> recorded = std::exchange(existing(stream).recording, nullptr);
    if (fails("cudaStreamEndCapture")) return cudaErrorUnknown;
    if (!recorded) return cudaErrorIllegalState;
    if (recorded->invalid) return cudaErrorStreamCaptureInvalidated;
    if (!recorded->unreleased.empty()) fault("recorded work does not free what it allocates", *recorded->unreleased.begin());
    *graph = new CUgraph_st{recorded};
    count_object(1);
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags) {
    if (fails("cudaGraphInstantiate")) return cudaErrorMemoryAllocation;
    if (flags) return cudaErrorNotSupported;
    *executable = new CUgraphExec_st{graph->recorded};
    count_object(1);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    const Lock lock(device_mutex());
    if (fails("cudaGraphLaunch")) return cudaErrorLaunchFailure;
    if (existing_here(stream).recording) return cudaErrorNotSupported;  // a graph in a graph
    for (const auto& work : executable->recorded->work) add(stream, copy_of(*work));
    enqueue(stream, [keep = executable->recorded] {});
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    const bool failed = fails("cudaGraphExecDestroy");
    delete executable;
    count_object(-1);
    return failed ? cudaErrorUnknown : cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    const bool failed = fails("cudaGraphDestroy");
    delete graph;
    count_object(-1);
    return failed ? cudaErrorUnknown : cudaSuccess;
}

cudaError_t cudaDeviceGraphMemTrim(int) { return fails("cudaDeviceGraphMemTrim") ? cudaErrorUnknown : cudaSuccess; }
}
