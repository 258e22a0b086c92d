#include "host_backend.hpp"
#include "limit_tiles.hpp"
#include "pair_tiles.hpp"

#include <ntkcuda/infinite_width.hpp>

namespace ntk {

template <class Real>
void HostInfiniteWidth<Real>::infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x1,
                                                    ConstMatrixView<Real> x2, Triangle triangle, MatrixView<Real> out) {
    const LimitProblem problem = limit_problem(architecture, kernel);
    const LimitTile tile = limit_tile_variants().back();
    for_each_pair_tile(this->threads(), x1, x2, triangle, out, [&](Index side) {
        return [&problem, tile, workspace = LimitWorkspace(problem, side)](const LimitSamples& rows, const LimitSamples& cols, bool lower,
                                                                           double* entries) mutable {
            tile(problem, rows, cols, lower, workspace, entries);
        };
    });
}

template <class Real>
void HostInfiniteWidth<Real>::infinite_width_diagonal(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x,
                                                      MatrixView<Real> out) {
    const LimitProblem problem = limit_problem(architecture, kernel);
    const ScaledRows rows(x, this->threads());
#pragma omp parallel for num_threads(this->threads()) schedule(static) if (x.rows() > 64)
    for (Index i = 0; i < x.rows(); ++i) *row_of(out, i) = static_cast<Real>(limit_diagonal(problem, rows.mean_square(i), rows.zero(i)));
}

template <class Real>
std::uint64_t HostInfiniteWidth<Real>::kernel_workspace(Index rows, Index cols, Index inputs) const {
    const TileShape shape = tile_shape(rows, cols);
    const Index side = shape.rows, tables = 2 * LimitWorkspace::layers_at_once * LimitWorkspace::most_factors;
    const auto gram = static_cast<Index>(sizeof(Real)) * (2 * shape.rows + 1) * shape.cols;
    const auto pairs = static_cast<Index>(sizeof(double)) * side * ((1 + LimitWorkspace::fields) * side + 2 * inputs + tables);
    return static_cast<std::uint64_t>(std::max(gram, pairs));
}

template class HostInfiniteWidth<float>;
template class HostInfiniteWidth<double>;

}  // namespace ntk
