// Moments of columns: a thread a strip of a column in two passes, then a thread a column that joins its strips in order.

#include "column_reduction.hpp"
#include "cuda_backend.hpp"

#include "host/backend/moment_table.hpp"

#include <vector>

namespace ntk::cuda {
namespace {

using formulas::PivotSums;
using formulas::PowerSums;

template <class Real>
struct LookAtColumn {
    DeviceMatrix<const Real> x;
    __device__ PowerSums operator()(Index first, Index end, Index j) const {
        double sum = 0;
        for (Index i = first; i < end; ++i) sum += static_cast<double>(x(i, j));
        const double pivot = sum / static_cast<double>(end - first), top = static_cast<double>(x(first, j));
        PivotSums sums{0, 0, 0, 0, top, top, 0};
        for (Index i = first; i < end; ++i) sums.add(pivot, static_cast<double>(x(i, j)));
        return formulas::about_mean(end - first, pivot, sums);
    }
};

struct JoinSums {
    __device__ PowerSums operator()(PowerSums a, const PowerSums& b) const {
        a.join(b);
        return a;
    }
};

}  // namespace

template <class Real>
HostMatrix<double> CudaSummary<Real>::column_moments(ConstMatrixView<Real> x) {
    require_rows_for_moments(x.rows());
    if (x.cols() == 0) return moment_table(nullptr, 0);
    Context& context = this->context();
    Buffer strips(context);
    look_at_columns<PowerSums>(context, LookAtColumn<Real>{x}, JoinSums(), formulas::moment_strip(x.rows(), x.cols()), x.rows(), x.cols(),
                               strips);
    std::vector<PowerSums> columns(static_cast<std::size_t>(x.cols()));
    check(cudaMemcpyAsync(columns.data(), strips.as<PowerSums>(), columns.size() * sizeof(PowerSums), cudaMemcpyDeviceToHost,
                          context.stream()),
          "cudaMemcpyAsync");
    context.synchronize();
    return moment_table(columns.data(), x.cols());
}

template HostMatrix<double> CudaSummary<float>::column_moments(ConstMatrixView<float>);
template HostMatrix<double> CudaSummary<double>::column_moments(ConstMatrixView<double>);

}  // namespace ntk::cuda
