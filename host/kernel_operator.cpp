#include <ntkcuda/kernel_operator.hpp>

#include <fmt/format.h>

namespace ntk {

SampleShare share_of(Index samples, const Ranks& ranks) {
    const Index first = samples * ranks.rank() / ranks.size(), end = samples * (ranks.rank() + 1) / ranks.size();
    return {first, end - first};
}

template <class Real>
KernelOperator<Real>::KernelOperator(std::shared_ptr<Backend<Real>> backend, ConstMatrixView<Real> samples, Index rows_per_sample,
                                     Ranks& ranks)
    : backend_(std::move(backend)),
      samples_(samples),
      rows_per_sample_(rows_per_sample),
      ranks_(ranks),
      share_(share_of(samples.rows(), ranks)) {}

template <class Real>
Matrix<Real> KernelOperator<Real>::gathered(const std::vector<Index>& samples) const {
    Matrix<Real> rows(backend_, static_cast<Index>(samples.size()), samples_.cols());
    for (std::size_t i = 0; i < samples.size(); ++i)
        backend_->copy(samples_.row_range(samples[i], 1), rows.view().row_range(static_cast<Index>(i), 1));
    return rows;
}

template <class Real>
void KernelOperator<Real>::require_rows(ConstMatrixView<Real> v) const {
    if (v.rows() != rows())
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("a kernel of {} rows (on this rank) takes no product with {} rows", rows(), v.rows()));
}

template class KernelOperator<float>;
template class KernelOperator<double>;

}  // namespace ntk
