#include "distributed_factor.hpp"
#include "part_checks.hpp"

#include "host/inverse_norm.hpp"

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/mpi.hpp>

#include <fmt/format.h>

#include <cmath>

namespace ntk {
namespace {

/// Before anything is asked of the ranks.
void require_system(const MpiRanks& ranks, const DistributedLayout& layout, Index rows, Index cols, double ridge) {
    require_ridge(ridge);
    require_symmetric_part(layout, ranks.rank(), rows, cols);
}

double one_norm(const std::vector<double>& column_sums) {
    double largest = 0;
    for (const double sum : column_sums) {
        require_finite_kernel(std::isfinite(sum));
        largest = std::max(largest, sum);
    }
    return largest;
}

/// A system that is refused, on every rank alike.
template <class Real>
struct Refused {
    const DistributedFactor<Real>& factor;
    const std::vector<double>& diagonal;  ///< of K
    double ridge;
    double norm;  ///< of K + ridge I

    [[noreturn]] void refuse(const std::string& why) const {
        const Index n = factor.n();
        if (n <= gathered_up_to) refuse_as_one_rank();
        const double rounding = static_cast<double>(std::max<Index>(n, 100)) * epsilon<Real> * norm;
        throw Error(
            ErrorCode::not_positive_definite,
            fmt::format("the kernel matrix of {} rows {}, where rounding amounts to {:.1e}; try a ridge of {:.1e} (--ridge){}", n, why,
                        rounding, ridge + lifting_ridge(0, rounding), sizeof(Real) < sizeof(double) ? ", or --precision fp64" : ""));
    }

private:
    /// Its own words, and the same on every rank; returns where one rank, which rounds otherwise, would not refuse.
    void refuse_as_one_rank() const {
        HostMatrix<Real> whole = factor.upper_triangle();
        for (Index i = 0; i < whole.rows(); ++i) {
            whole(i, i) = static_cast<Real>(diagonal[static_cast<std::size_t>(i)]);
            for (Index j = i + 1; j < whole.rows(); ++j) whole(j, i) = whole(i, j);
        }
        const auto host = make_backend<Real>("cpu");
        Matrix<Real> kernel(host, whole.rows(), whole.rows());
        host->upload(whole.view(), kernel.view());
        (void)KernelSystem<Real>(std::move(kernel), ridge);
    }
};

}  // namespace

template <class Real>
DistributedKernelSystem<Real>::DistributedKernelSystem(MpiRanks& ranks, const DistributedLayout& layout, HostMatrix<Real> part,
                                                       double ridge) {
    require_system(ranks, layout, part.rows(), part.cols(), ridge);
    factor_ = scalapack_factor(ranks, layout, std::move(part));
    factorise(ridge);
}

template <class Real>
DistributedKernelSystem<Real>::DistributedKernelSystem(DeviceGroup<Real>& devices, const DistributedLayout& layout, Matrix<Real> part,
                                                       double ridge) {
    require_system(devices.ranks(), layout, part.rows(), part.cols(), ridge);
    factor_ = devices.factor(layout, std::move(part));
    factorise(ridge);
}

template <class Real>
DistributedKernelSystem<Real>::~DistributedKernelSystem() = default;
template <class Real>
DistributedKernelSystem<Real>::DistributedKernelSystem(DistributedKernelSystem&&) noexcept = default;
template <class Real>
DistributedKernelSystem<Real>& DistributedKernelSystem<Real>::operator=(DistributedKernelSystem&&) noexcept = default;

template <class Real>
void DistributedKernelSystem<Real>::factorise(double ridge) {
    DistributedFactor<Real>& factor = *factor_;
    const std::vector<double> diagonal = factor.diagonal();
    (void)one_norm(factor.column_sums());  // refuses what is not finite
    factor.add_to_diagonal(ridge);
    const double norm = one_norm(factor.column_sums());
    const Refused<Real> refused{factor, diagonal, ridge, norm};
    if (const int minor = factor.factorise(); minor != 0)
        refused.refuse(fmt::format("is not positive definite: its factorisation failed at pivot {0} (row {0}, counting from 1)", minor));
    report_.condition = norm * inverse_one_norm<Real>(factor.n(), [&](HostMatrix<Real>& x) { x = factor.solve(x); });
    if (!(report_.condition * epsilon<Real> < 1))
        refused.refuse(fmt::format("is too ill-conditioned: its condition number is about {:.1e}", report_.condition));
    for (const double pivot : factor.diagonal()) report_.log_determinant += 2 * std::log(pivot);
}

template <class Real>
HostMatrix<Real> DistributedKernelSystem<Real>::solve(const HostMatrix<Real>& y) const {
    require_shape("y", y.rows(), y.cols(), factor_->n(), y.cols());
    return factor_->solve(y);
}

template <class Real>
void DistributedKernelSystem<Real>::require_cross(const DistributedLayout& layout, Index rows, Index cols,
                                                  const HostMatrix<Real>& test_diagonal) const {
    const int rank = factor_->ranks().rank();
    require_shape("this rank's part of the cross kernel", rows, cols, layout.local_rows(rank), factor_->layout().local_cols(rank));
    require_shape("the tests' diagonal", test_diagonal.rows(), test_diagonal.cols(), layout.rows.size, 1);
}

template <class Real>
HostMatrix<Real> DistributedKernelSystem<Real>::remaining(const HostMatrix<Real>& explained, const HostMatrix<Real>& test_diagonal) const {
    HostMatrix<Real> variance(explained.rows(), 1);
    for (Index i = 0; i < variance.rows(); ++i) variance(i, 0) = test_diagonal(i, 0) - explained(i, 0);
    require_explicable(variance, test_diagonal, factor_->n(), report_.condition);
    return variance;
}

template <class Real>
HostMatrix<Real> DistributedKernelSystem<Real>::posterior_variance(const DistributedLayout& cross_layout, HostMatrix<Real> cross,
                                                                   const HostMatrix<Real>& test_diagonal) const {
    require_cross(cross_layout, cross.rows(), cross.cols(), test_diagonal);
    return remaining(factor_->explained(cross_layout, std::move(cross)), test_diagonal);
}

template <class Real>
HostMatrix<Real> DistributedKernelSystem<Real>::posterior_variance(const DistributedLayout& cross_layout, const Matrix<Real>& cross,
                                                                   const HostMatrix<Real>& test_diagonal) const {
    require_cross(cross_layout, cross.rows(), cross.cols(), test_diagonal);
    return remaining(factor_->explained(cross_layout, cross), test_diagonal);
}

template class DistributedKernelSystem<float>;
template class DistributedKernelSystem<double>;

}  // namespace ntk
