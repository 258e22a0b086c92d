#include <ntkcuda/kernel_spectrum.hpp>

#include "closed_form_checks.hpp"

#include <algorithm>

namespace ntk {
namespace {

/// Eigenvectors that come to the host at a time.
constexpr Index panel_rows = 256;

}  // namespace

template <class Real>
KernelSpectrum<Real>::KernelSpectrum(Matrix<Real> kernel, double resolution) : vectors_(std::move(kernel)) {
    checked_norms(vectors_);
    const double resolved = resolution * mean_of(diagonal_of(vectors_));
    Matrix<Real> values(vectors_.backend(), vectors_.rows(), 1);
    vectors_.backend()->eigen(vectors_.view(), values.view(), true);
    const HostMatrix<Real> on_host = download(values);
    this->set_values({on_host.data(), on_host.data() + on_host.size()}, resolved);
}

template <class Real>
HostMatrix<Real> KernelSpectrum<Real>::project(InputView<Real> y) const {
    Matrix<Real> result(vectors_.backend(), vectors_.rows(), y.cols());
    vectors_.backend()->gemm(Transpose::no, Transpose::no, 1, vectors_.view(), y, 0, result.view());
    return download(result);
}

template <class Real>
Matrix<Real> KernelSpectrum<Real>::combine(const HostMatrix<Real>& modes) const {
    const auto& backend = vectors_.backend();
    Matrix<Real> on_device(backend, modes.rows(), modes.cols()), result(backend, modes.rows(), modes.cols());
    backend->upload(modes.view(), on_device.view());
    backend->gemm(Transpose::yes, Transpose::no, 1, vectors_.view(), on_device.view(), 0, result.view());
    backend->synchronize();  // `modes` must outlive its copy
    return result;
}

template <class Real>
std::vector<double> KernelSpectrum<Real>::diagonal(const std::vector<double>& weights) const {
    const Index n = vectors_.rows();
    std::vector<double> sums(weights.size());
    for (Index first = 0; first < n; first += panel_rows) {
        const Index rows = std::min(panel_rows, n - first);
        HostMatrix<Real> panel(rows, n);
        vectors_.backend()->download(vectors().row_range(first, rows), panel.view());
        for (Index i = 0; i < rows; ++i) {
            const double weight = weights[static_cast<std::size_t>(first + i)];
            for (Index j = 0; j < n; ++j) {
                const auto entry = static_cast<double>(panel(i, j));
                sums[static_cast<std::size_t>(j)] += weight * entry * entry;
            }
        }
    }
    return sums;
}

template class KernelSpectrum<float>;
template class KernelSpectrum<double>;

}  // namespace ntk
