// Streams are queues that run when something waits for them, or at once with Settings::eager. Late execution shows every missing wait:
// a result that was read too early is still unset, a host buffer that died too early is gone.

#include "state.hpp"
#include "sanitizers.hpp"

#include <cstdlib>
#include <set>

namespace emulated {
namespace {

std::set<cudaStream_t>& streams() {
    static auto& all = *new std::set<cudaStream_t>;
    return all;
}
std::set<cudaEvent_t>& events() {
    static auto& all = *new std::set<cudaEvent_t>;
    return all;
}
int handles = 0;
thread_local int current = 0;

void run(Work& work) {
    if (work.is_kernel) {
        run_kernel(work);
    } else {
        work.run();
        release(&work.finished);
    }
    acquire(&work.finished);
    work.done = true;
    work.run = nullptr;
    work.previous = nullptr;
}

bool valid(const dim3& grid, const dim3& block) {
    const auto threads = std::uint64_t{block.x} * block.y * block.z;
    return threads >= 1 && threads <= 1024 && block.z <= 64 && grid.x >= 1 && grid.x <= 2147483647 && grid.y >= 1 && grid.y <= 65535 &&
           grid.z >= 1 && grid.z <= 65535;
}

const bool environment_read = [] {
    settings.eager = std::getenv("EMULATED_EAGER");
    settings.reverse = std::getenv("EMULATED_REVERSE");
    if (const char* n = std::getenv("EMULATED_DEVICES")) settings.devices = std::atoi(n);
    if (const char* i = std::getenv("EMULATED_FAIL_ON")) settings.fail_on = std::atoi(i);
    if (const char* k = std::getenv("EMULATED_FAIL_AT")) settings.fail_at = std::atol(k);
    return true;
}();

}  // namespace

std::recursive_mutex& device_mutex() {
    static auto& mutex = *new std::recursive_mutex;
    return mutex;
}

int current_device() { return current; }
bool exists(int device) { return device >= 0 && device < settings.devices; }
void make_current(int device) { current = device; }

CUstream_st& existing(cudaStream_t stream) {
    if (!stream) fault("work on the default stream");
    if (!streams().contains(stream)) fault("work on a stream that does not exist", stream);
    return *stream;
}

CUstream_st& existing_here(cudaStream_t stream) {
    const Lock lock(device_mutex());
    CUstream_st& found = existing(stream);
    if (found.device != current) fault("work on a stream of a device that is not the current one", stream);
    return found;
}

void finish(CUstream_st& stream) {
    const Lock lock(device_mutex());
    const Unlocked open;
    const Current here(stream.device);
    while (!stream.queue.empty()) {
        run(*stream.queue.front());
        stream.queue.pop_front();
    }
}

void finish_all() {
    const Lock lock(device_mutex());
    for (cudaStream_t stream : streams()) finish(*stream);
}

cudaError_t create_stream(cudaStream_t* stream) {
    const Lock lock(device_mutex());
    *stream = new CUstream_st{.device = current};
    streams().insert(*stream);
    return cudaSuccess;
}

void destroy_stream(cudaStream_t stream) {
    const Lock lock(device_mutex());
    finish(existing(stream));
    streams().erase(stream);
    delete stream;
}

void add(cudaStream_t stream, std::shared_ptr<Work> work) {
    const Lock lock(device_mutex());
    CUstream_st& queue = existing(stream);
    if (queue.recording) {
        queue.recording->work.push_back(std::move(work));
        return;
    }
    if (race_detector()) work->previous = queue.last;
    release(&work->started);
    queue.last = work;
    queue.queue.push_back(std::move(work));
    if (settings.eager) finish(queue);
}

cudaError_t create_event(cudaEvent_t* event) {
    const Lock lock(device_mutex());
    *event = new CUevent_st;
    events().insert(*event);
    return cudaSuccess;
}

void destroy_event(cudaEvent_t event) {
    const Lock lock(device_mutex());
    existing(event);
    events().erase(event);
    delete event;
}

CUevent_st& existing(cudaEvent_t event) {
    if (!events().contains(event)) fault("use of an event that does not exist", event);
    return *event;
}

void record(CUevent_st& event, cudaStream_t stream) {
    const Lock lock(device_mutex());
    enqueue(stream, [] {});
    event.stream = &existing(stream);
    event.work = event.stream->last;
}

void finish(CUevent_st& event) {
    const Lock lock(device_mutex());
    if (!event.work || event.work->done) return;
    const Unlocked open;
    const Current here(event.stream->device);
    while (!event.work->done) {
        const std::shared_ptr<Work> next = event.stream->queue.front();
        event.stream->queue.pop_front();
        run(*next);
    }
}

void enqueue(cudaStream_t stream, std::function<void()> work) {
    (void)existing_here(stream);
    auto queued = std::make_shared<Work>();
    queued->run = std::move(work);
    add(stream, std::move(queued));
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* function, std::function<void()> body) {
    if (fails("cudaLaunchKernelEx")) return cudaErrorLaunchFailure;
    (void)existing_here(config.stream);
    if (config.numAttrs) return cudaErrorNotSupported;
    if (!valid(config.gridDim, config.blockDim)) return cudaErrorInvalidConfiguration;
    if (config.dynamicSmemBytes > allowed_shared_bytes(function)) return cudaErrorInvalidValue;
    auto kernel = std::make_shared<Work>();
    kernel->run = std::move(body);
    kernel->is_kernel = true;
    kernel->grid = config.gridDim;
    kernel->block = config.blockDim;
    kernel->shared_bytes = config.dynamicSmemBytes;
    add(config.stream, std::move(kernel));
    return cudaSuccess;
}

bool fails(const char* call) {
    const Lock lock(device_mutex());
    if (settings.fail_on >= 0 && current != settings.fail_on) return false;
    if (++calls != settings.fail_at) return false;
    failed_call = call;
    return true;
}

void count_object(int change) {
    const Lock lock(device_mutex());
    handles += change;
}

std::size_t library_handles_and_streams() { return streams().size() + events().size() + handles; }

}  // namespace emulated
