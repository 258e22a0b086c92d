#include "distributed_part.hpp"

#include "column_reduction.hpp"

namespace ntk::cuda {
namespace {

template <class Real>
__global__ void transpose_kernel(DeviceMatrix<const Real> from, DeviceMatrix<Real> to) {
    for_each_entry(to.rows, to.cols, [&](Index i, Index j) { to(i, j) = from(j, i); });
}

template <class Real>
struct AbsoluteSum {
    DeviceMatrix<const Real> x;
    __device__ double operator()(Index first, Index end, Index j) const {
        double sum = 0;
        for (Index i = first; i < end; ++i) sum += fabs(static_cast<double>(x(i, j)));
        return sum;
    }
};

struct Add {
    __device__ double operator()(double a, double b) const { return a + b; }
};

}  // namespace

template <class Real>
void transpose(Context& context, ConstMatrixView<Real> from, MatrixView<Real> to) {
    if (to.empty()) return;
    context.launch("transpose", entries_shape(to.rows(), to.cols()), transpose_kernel<Real>, from, to);
}

template <class Real>
std::vector<double> absolute_column_sums(Context& context, ConstMatrixView<Real> x) {
    constexpr Index strip_rows = 256;
    std::vector<double> sums(static_cast<std::size_t>(x.cols()));
    if (x.empty()) return sums;
    Buffer parts(context);
    look_at_columns<double>(context, AbsoluteSum<Real>{x}, Add(), strip_rows, x.rows(), x.cols(), parts);
    check(cudaMemcpyAsync(sums.data(), parts.as<double>(), sums.size() * sizeof(double), cudaMemcpyDeviceToHost, context.stream()),
          "cudaMemcpyAsync");
    context.synchronize();
    return sums;
}

DeviceIdentity identity_of(int device) {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    DeviceIdentity identity;
    std::copy_n(properties.uuid.bytes, identity.size(), identity.begin());
    return identity;
}

template void transpose(Context&, ConstMatrixView<float>, MatrixView<float>);
template void transpose(Context&, ConstMatrixView<double>, MatrixView<double>);
template std::vector<double> absolute_column_sums(Context&, ConstMatrixView<float>);
template std::vector<double> absolute_column_sums(Context&, ConstMatrixView<double>);

}  // namespace ntk::cuda
