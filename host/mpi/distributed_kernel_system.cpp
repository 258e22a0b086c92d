#include "host/closed_form_checks.hpp"
#include "host/inverse_norm.hpp"
#include "scalapack.hpp"

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/mpi.hpp>

#include <fmt/format.h>

#include <cmath>

namespace ntk {
namespace {

/// Up to here a refused system is gathered, so that one rank says of it what KernelSystem says.
constexpr Index gathered_up_to = 4000;

template <class Real>
void require_countable(const HostMatrix<Real>& part, MpiRanks& ranks) {
    constexpr double most = 0x1p31;
    const auto entries = static_cast<double>(part.size());
    if (entries < most) return;
    throw Error(ErrorCode::out_of_memory,
                fmt::format("a part of {:.3g} entries on each of {} ranks: ScaLAPACK counts to 2^31; use at least {:.0f} ranks", entries,
                            ranks.size(), std::ceil(entries / most * ranks.size()) + 1));
}

}  // namespace

template <class Real>
class DistributedKernelSystem<Real>::Factor {
public:
    Factor(MpiRanks& ranks, const DistributedLayout& layout, HostMatrix<Real> part, double ridge)
        : ranks_(ranks), layout_(layout), part_(std::move(part)), ridge_(ridge), grid_(ranks.communicator(), layout.grid) {
        require_ridge(ridge);
        require_shape("this rank's part of the kernel", part_.rows(), part_.cols(), layout.local_rows(ranks.rank()),
                      layout.local_cols(ranks.rank()));
        if (!layout.symmetric || n() == 0)
            throw Error(ErrorCode::shape_mismatch, "closed form: the kernel needs the layout of a symmetric one with at least one sample");
        require_countable(part_, ranks);
        description_ = grid_.describe(layout_, part_.cols());
        factorise();
    }

    [[nodiscard]] const SystemReport& report() const { return report_; }

    [[nodiscard]] HostMatrix<Real> solve(const HostMatrix<Real>& y) const {
        require_shape("y", y.rows(), y.cols(), n(), y.cols());
        // Transposed as everything: targets are the rows.
        const DistributedLayout layout{
            layout_.grid, {y.cols(), std::max<Index>(1, y.cols() / layout_.grid.rows), layout_.grid.rows}, layout_.cols};
        HostMatrix<Real> part(layout.local_rows(rank()), layout.local_cols(rank()));
        for_each_entry(layout, part, [&](Index row, Index col, Real& entry) { entry = y(col, row); });
        (void)scalapack::potrs(static_cast<int>(n()), static_cast<int>(y.cols()), part_.data(), description_, part.data(),
                               grid_.describe(layout, part.cols()));
        HostMatrix<Real> x(y.rows(), y.cols());
        for_each_entry(layout, part, [&](Index row, Index col, Real& entry) { x(col, row) = entry; });
        ranks_.sum(std::span(x.data(), static_cast<std::size_t>(x.size())));
        return x;
    }

    [[nodiscard]] HostMatrix<Real> posterior_variance(const DistributedLayout& layout, HostMatrix<Real> cross,
                                                      const HostMatrix<Real>& prior) const {
        const Index tests = layout.rows.size;
        require_shape("this rank's part of the cross kernel", cross.rows(), cross.cols(), layout.local_rows(rank()), part_.cols());
        require_shape("the tests' diagonal", prior.rows(), prior.cols(), tests, 1);
        require_countable(cross, ranks_);
        scalapack::half_solve(static_cast<int>(n()), static_cast<int>(tests), part_.data(), description_, cross.data(),
                              grid_.describe(layout, cross.cols()));
        HostMatrix<Real> variance(tests, 1);
        for_each_entry(layout, cross, [&](Index row, Index, Real& entry) { variance(row, 0) += entry * entry; });
        ranks_.sum(std::span(variance.data(), static_cast<std::size_t>(tests)));
        for (Index i = 0; i < tests; ++i) variance(i, 0) = prior(i, 0) - variance(i, 0);
        require_explicable(variance, prior, n(), report_.condition);
        return variance;
    }

private:
    [[nodiscard]] Index n() const { return layout_.rows.size; }
    [[nodiscard]] int rank() const { return ranks_.rank(); }

    /// visit(global row, global column, entry) for a part.
    template <class Visit>
    void for_each_entry(const DistributedLayout& layout, HostMatrix<Real>& part, const Visit& visit) const {
        for (Index i = 0; i < part.rows(); ++i)
            for (Index j = 0; j < part.cols(); ++j) visit(layout.global_row(rank(), i), layout.global_col(rank(), j), part(i, j));
    }

    /// K(i, i) of every sample.
    [[nodiscard]] std::vector<double> diagonal() {
        std::vector<double> values(static_cast<std::size_t>(n()));
        for_each_entry(layout_, part_, [&](Index row, Index col, Real& entry) {
            if (row == col) values[static_cast<std::size_t>(row)] = static_cast<double>(entry);
        });
        ranks_.sum(std::span(values));
        return values;
    }

    [[nodiscard]] double one_norm() {
        std::vector<double> columns(static_cast<std::size_t>(n()));
        for_each_entry(layout_, part_, [&](Index, Index col, Real& entry) {
            columns[static_cast<std::size_t>(col)] += std::fabs(static_cast<double>(entry));
        });
        ranks_.sum(std::span(columns));
        double largest = 0;
        for (const double sum : columns) {
            if (!std::isfinite(sum)) throw Error(ErrorCode::invalid_argument, "closed form: the kernel has entries that are not finite");
            largest = std::max(largest, sum);
        }
        return largest;
    }

    void factorise() {
        const std::vector<double> of_kernel = diagonal();
        (void)one_norm();  // refuses what is not finite
        for_each_entry(layout_, part_, [&](Index row, Index col, Real& entry) {
            if (row == col) entry += static_cast<Real>(ridge_);
        });
        const double norm = one_norm();
        if (const int minor = scalapack::potrf(static_cast<int>(n()), part_.data(), description_); minor != 0)
            refuse(of_kernel, norm,
                   fmt::format("is not positive definite: its factorisation failed at pivot {0} (row {0}, counting from 1)", minor));
        report_.condition = norm * inverse_one_norm<Real>(n(), [this](HostMatrix<Real>& x) { x = solve(x); });
        if (!(report_.condition * epsilon<Real> < 1))
            refuse(of_kernel, norm, fmt::format("is too ill-conditioned: its condition number is about {:.1e}", report_.condition));
        for (const double pivot : diagonal()) report_.log_determinant += 2 * std::log(pivot);
    }

    /// Throws on every rank. The kernel is still above the diagonal.
    [[noreturn]] void refuse(const std::vector<double>& of_kernel, double norm, const std::string& why) {
        if (n() <= gathered_up_to) refuse_as_one_rank(of_kernel);
        const double rounding = static_cast<double>(std::max<Index>(n(), 100)) * epsilon<Real> * norm;
        throw Error(
            ErrorCode::not_positive_definite,
            fmt::format("the kernel matrix of {} rows {}, where rounding amounts to {:.1e}; try a ridge of {:.1e} (--ridge){}", n(), why,
                        rounding, ridge_ + lifting_ridge(0, rounding), sizeof(Real) < sizeof(double) ? ", or --precision fp64" : ""));
    }

    /// Its own words, and the same on every rank; returns where one rank, which rounds otherwise, would not refuse.
    void refuse_as_one_rank(const std::vector<double>& of_kernel) {
        HostMatrix<Real> whole(n(), n());
        for_each_entry(layout_, part_, [&](Index row, Index col, Real& entry) {
            if (row < col) whole(row, col) = entry;
        });
        ranks_.sum(std::span(whole.data(), static_cast<std::size_t>(whole.size())));
        for (Index i = 0; i < n(); ++i) {
            whole(i, i) = static_cast<Real>(of_kernel[static_cast<std::size_t>(i)]);
            for (Index j = i + 1; j < n(); ++j) whole(j, i) = whole(i, j);
        }
        const auto host = make_backend<Real>("cpu");
        Matrix<Real> kernel(host, n(), n());
        host->upload(whole.view(), kernel.view());
        (void)KernelSystem<Real>(std::move(kernel), ridge_);
    }

    MpiRanks& ranks_;
    DistributedLayout layout_;
    HostMatrix<Real> part_;
    double ridge_;
    scalapack::Grid grid_;
    scalapack::Descriptor description_{};
    SystemReport report_;
};

template <class Real>
DistributedKernelSystem<Real>::DistributedKernelSystem(MpiRanks& ranks, const DistributedLayout& layout, HostMatrix<Real> part,
                                                       double ridge)
    : factor_(std::make_unique<Factor>(ranks, layout, std::move(part), ridge)) {}
template <class Real>
DistributedKernelSystem<Real>::~DistributedKernelSystem() = default;
template <class Real>
DistributedKernelSystem<Real>::DistributedKernelSystem(DistributedKernelSystem&&) noexcept = default;
template <class Real>
DistributedKernelSystem<Real>& DistributedKernelSystem<Real>::operator=(DistributedKernelSystem&&) noexcept = default;

template <class Real>
const SystemReport& DistributedKernelSystem<Real>::report() const {
    return factor_->report();
}
template <class Real>
HostMatrix<Real> DistributedKernelSystem<Real>::solve(const HostMatrix<Real>& y) const {
    return factor_->solve(y);
}
template <class Real>
HostMatrix<Real> DistributedKernelSystem<Real>::posterior_variance(const DistributedLayout& layout, HostMatrix<Real> cross,
                                                                   const HostMatrix<Real>& test_diagonal) const {
    return factor_->posterior_variance(layout, std::move(cross), test_diagonal);
}

template class DistributedKernelSystem<float>;
template class DistributedKernelSystem<double>;

}  // namespace ntk
