#include "solver_work.hpp"

#include <string>

namespace ntk::cuda {

SolverWork::SolverWork(Context& context, std::size_t on_device, std::size_t on_host)
    : device_bytes(on_device), device(context, on_device), host(on_host), context_(context), info_(context, sizeof(int)) {}

SolverWork::~SolverWork() {
    if (!waited_) (void)cudaStreamSynchronize(context_.stream());
}

void SolverWork::clear_info() {
    static constexpr int none = 0;
    check(cudaMemcpyAsync(info(), &none, sizeof none, cudaMemcpyHostToDevice, context_.stream()), "cudaMemcpyAsync");
    waited_ = false;
}

int SolverWork::fetch_info(const char* call) {
    int info = 0;
    check(cudaMemcpyAsync(&info, info_.as<int>(), sizeof info, cudaMemcpyDeviceToHost, context_.stream()), "cudaMemcpyAsync");
    context_.synchronize();
    waited_ = true;
    if (info < 0) throw Error(ErrorCode::device_failure, std::string(call) + " failed: argument " + std::to_string(-info) + " is wrong");
    return info;
}

}  // namespace ntk::cuda
