// The functions of the CUDA runtime that the backend calls, with the toolkit's signatures.

#include "state.hpp"

#include <cstdlib>
#include <map>

using namespace emulated;

struct CUmemPoolHandle_st {
    int device;
};

namespace {

constexpr int multiprocessors = 2, compute_capability = 9;

/// Of each function on each device.
std::map<std::pair<const void*, int>, std::size_t>& function_limits() {
    static auto& limits = *new std::map<std::pair<const void*, int>, std::size_t>;
    return limits;
}

bool copies_from_device(cudaMemcpyKind kind) { return kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice; }
bool copies_to_device(cudaMemcpyKind kind) { return kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice; }

/// Whether one end of a copy is on the side that the kind of copy says, and inside its allocation.
bool sound_end(const void* p, std::size_t bytes, bool device) { return is_device_address(p) == device && (!device || on_device(p, bytes)); }

struct Rows {
    char* to;
    std::size_t to_pitch;
    const char* from;
    std::size_t from_pitch, width, height;
};

cudaError_t copy(const Rows& rows, cudaMemcpyKind kind, cudaStream_t stream) {
    (void)existing_here(stream);
    if (rows.width == 0 || rows.height == 0) return cudaSuccess;
    if (rows.width > rows.to_pitch || rows.width > rows.from_pitch) return cudaErrorInvalidPitchValue;
    const auto extent = [&](std::size_t pitch) { return pitch * (rows.height - 1) + rows.width; };
    if (!sound_end(rows.to, extent(rows.to_pitch), copies_to_device(kind)) ||
        !sound_end(rows.from, extent(rows.from_pitch), copies_from_device(kind)))
        return cudaErrorInvalidValue;
    enqueue(stream, [rows] {
        for (std::size_t i = 0; i < rows.height; ++i) {
            const char* from = rows.from + i * rows.from_pitch;
            char* to = rows.to + i * rows.to_pitch;
            touch(from, rows.width, false);
            touch(to, rows.width, true);
            std::memmove(to, from, rows.width);
        }
    });
    return cudaSuccess;
}

}  // namespace

std::size_t emulated::allowed_shared_bytes(const void* function) {
    constexpr std::size_t without_asking = 48 * 1024;
    const auto limit = function_limits().find({function, current_device()});
    return limit == function_limits().end() ? without_asking : limit->second;
}

extern "C" {

cudaError_t cudaRuntimeGetVersion(int* version) {
    if (fails("cudaRuntimeGetVersion")) return cudaErrorUnknown;
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
    if (fails("cudaDriverGetVersion")) return cudaErrorUnknown;
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
    if (fails("cudaGetDeviceCount")) return cudaErrorInsufficientDriver;
    *count = settings.devices;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    if (fails("cudaSetDevice")) return cudaErrorUnknown;
    if (!exists(device)) return cudaErrorInvalidDevice;
    make_current(device);
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
    *device = current_device();
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    if (fails("cudaGetDeviceProperties")) return cudaErrorUnknown;
    if (!exists(device)) return cudaErrorInvalidDevice;
    *properties = {};
    std::strcpy(properties->name, "emulated device");
    properties->totalGlobalMem = settings.memory;
    properties->multiProcessorCount = multiprocessors;
    properties->major = compute_capability;
    properties->uuid.bytes[0] = static_cast<char>(device);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    if (fails("cudaDeviceGetAttribute")) return cudaErrorUnknown;
    if (!exists(device)) return cudaErrorInvalidDevice;
    switch (attribute) {
        case cudaDevAttrComputeCapabilityMajor:
            return *value = compute_capability, cudaSuccess;
        case cudaDevAttrComputeCapabilityMinor:
            return *value = 0, cudaSuccess;
        case cudaDevAttrMultiProcessorCount:
            return *value = multiprocessors, cudaSuccess;
        default:
            return cudaErrorNotSupported;
    }
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
    if (fails("cudaFuncSetAttribute")) return cudaErrorUnknown;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaErrorNotSupported;
    if (value < 0 || static_cast<std::size_t>(value) > most_shared_bytes) return cudaErrorInvalidValue;
    const Lock lock(device_mutex());
    function_limits()[{function, current_device()}] = static_cast<std::size_t>(value);
    return cudaSuccess;
}

cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t status) { return status == cudaSuccess ? "no error" : "an emulated error"; }
const char* cudaGetErrorName(cudaError_t status) { return status == cudaSuccess ? "cudaSuccess" : "cudaError"; }

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
    if (fails("cudaMemGetInfo")) return cudaErrorUnknown;
    *total = settings.memory;
    *free = settings.memory - memory_used(current_device());
    return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
    static auto& pools = *new std::map<int, CUmemPoolHandle_st>;
    if (fails("cudaDeviceGetDefaultMemPool")) return cudaErrorUnknown;
    if (!exists(device)) return cudaErrorInvalidDevice;
    const Lock lock(device_mutex());
    *pool = &(pools[device] = {device});
    return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) {
    return fails("cudaMemPoolSetAttribute") ? cudaErrorUnknown : cudaSuccess;
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr, void* value) {
    if (fails("cudaMemPoolGetAttribute")) return cudaErrorUnknown;
    *static_cast<std::uint64_t*>(value) = memory_used(pool->device);  // nothing is reserved beyond what is used
    return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** p, std::size_t bytes, cudaStream_t stream) {
    const auto& recording = existing_here(stream).recording;
    if (fails("cudaMallocAsync")) return cudaErrorMemoryAllocation;
    if (recording && recording->invalid) return cudaErrorStreamCaptureInvalidated;
    if (bytes == 0) return cudaErrorInvalidValue;
    *p = recording ? record_allocation(stream, bytes) : allocate(bytes);
    return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}

/// A failure is reported, and the memory is freed all the same: a destructor has nothing better to do with it.
cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
    const bool failed = fails("cudaFreeAsync");
    const auto& recording = existing_here(stream).recording;
    if (!is_allocation(p)) fault("something frees what is no allocation", p);
    if (recording) {
        record_release(stream, p);
        if (recording->invalid) return cudaErrorStreamCaptureInvalidated;
    } else {
        enqueue(stream, [p] { deallocate(p); });
    }
    return failed ? cudaErrorUnknown : cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    if (fails("cudaMemcpyAsync")) return cudaErrorUnknown;
    return copy({static_cast<char*>(to), bytes, static_cast<const char*>(from), bytes, bytes, 1}, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                              std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
    if (fails("cudaMemcpy2DAsync")) return cudaErrorUnknown;
    return copy({static_cast<char*>(to), to_pitch, static_cast<const char*>(from), from_pitch, width, height}, kind, stream);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    if (fails("cudaStreamCreateWithFlags")) return cudaErrorUnknown;
    if (flags != cudaStreamNonBlocking) return cudaErrorNotSupported;
    return create_stream(stream);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
    if (fails("cudaEventCreateWithFlags")) return cudaErrorUnknown;
    return flags == cudaEventDisableTiming ? create_event(event) : cudaErrorNotSupported;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    const bool failed = fails("cudaEventDestroy");
    destroy_event(event);
    return failed ? cudaErrorUnknown : cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    if (fails("cudaEventRecord")) return cudaErrorUnknown;
    record(existing(event), stream);
    return cudaSuccess;
}

/// As for a stream: what fails is work in flight.
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    const bool failed = fails("cudaEventSynchronize");
    finish(existing(event));
    return failed ? cudaErrorUnknown : cudaSuccess;
}

/// What the event is recorded behind now counts, also when it is recorded again before the stream comes to it.
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    if (fails("cudaStreamWaitEvent")) return cudaErrorUnknown;
    if (flags != 0) return cudaErrorInvalidValue;
    enqueue(stream, [awaited = existing(event)]() mutable { finish(awaited); });
    return cudaSuccess;
}

/// New memory is unset here too.
cudaError_t cudaMallocHost(void** p, std::size_t bytes) {
    if (fails("cudaMallocHost")) return cudaErrorMemoryAllocation;
    *p = std::malloc(bytes);
    if (!*p) return cudaErrorMemoryAllocation;
    std::memset(*p, 0xFF, bytes);
    count_object(1);
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void* p) {
    const bool failed = fails("cudaFreeHost");
    std::free(p);
    count_object(-1);
    return failed ? cudaErrorUnknown : cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    const bool failed = fails("cudaStreamDestroy");
    destroy_stream(stream);
    return failed ? cudaErrorUnknown : cudaSuccess;
}

/// An injected failure is one of work in flight: the stream runs dry all the same.
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    const bool failed = fails("cudaStreamSynchronize");
    if (const auto& recording = existing(stream).recording) {
        recording->invalid = true;
        return cudaErrorStreamCaptureUnsupported;
    }
    finish(existing(stream));
    return failed ? cudaErrorUnknown : cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
    if (fails("cudaDeviceSynchronize")) return cudaErrorUnknown;
    finish_all();
    return cudaSuccess;
}
}
