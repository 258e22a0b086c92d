// Portable normals: a thread a Philox block of four. Compiled without contraction (-fmad=false), so the bits are the host's.

#include "cuda_backend.hpp"
#include "device_matrix.hpp"

#include <ntkcuda/formulas/normals.hpp>

namespace ntk::cuda {
namespace {

constexpr Index block_normals = 4;

template <class Real>
__global__ void draw_normals_kernel(NormalStream stream, double scale, DeviceMatrix<Real> x) {
    const Index count = x.rows * x.cols;
    for_each_entry(1, ceil_divide(count, block_normals), [&](Index, Index block) {
        const formulas::Normals4 normals =
            formulas::normals_of_block(stream.seed, stream.network, stream.stream, static_cast<std::uint64_t>(block));
        const Index first = block * block_normals;
        for (int k = 0; k < block_normals && first + k < count; ++k)
            x((first + k) / x.cols, (first + k) % x.cols) = static_cast<Real>(scale * static_cast<double>(normals.value[k]));
    });
}

}  // namespace

template <class Real>
void CudaRandom<Real>::draw_normals(NormalStream stream, double scale, MatrixView<Real> x) {
    if (x.empty()) return;
    this->context().launch("draw_normals", entries_shape(1, ceil_divide(x.size(), block_normals)), draw_normals_kernel<Real>, stream, scale,
                           x);
}

template class CudaRandom<float>;
template class CudaRandom<double>;

}  // namespace ntk::cuda
