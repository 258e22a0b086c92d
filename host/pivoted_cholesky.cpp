#include <ntkcuda/pivoted_cholesky.hpp>

#include "closed_form_checks.hpp"
#include "rank_sum.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

namespace ntk {
namespace {

/// A pivot of a block is taken while it is at least this part of the largest one.
constexpr double kept_part = 0.1;

struct Candidate {
    double residual = 0;  ///< of the sample's rows, together
    Index sample = 0;
};

/// What is left of the diagonal, in float64 on the host.
class ResidualDiagonal {
public:
    template <class Real>
    explicit ResidualDiagonal(KernelOperator<Real>& kernel)
        : ranks_(kernel.ranks()), first_(kernel.share().first), rows_per_sample_(kernel.rows_per_sample()) {
        const HostMatrix<Real> diagonal = download(kernel.diagonal());
        values_.assign(diagonal.data(), diagonal.data() + diagonal.size());
        double not_finite = 0, negative = 0;
        for (const double value : values_) not_finite += std::isfinite(value) ? 0 : 1, negative += value < 0 ? 1 : 0;
        double counts[] = {not_finite, negative};
        ranks_.sum(std::span<double>(counts));
        if (counts[0] > 0) throw Error(ErrorCode::invalid_argument, "closed form: the kernel has entries that are not finite");
        if (counts[1] > 0)
            throw Error(ErrorCode::not_positive_definite, "the kernel is not positive semidefinite: its diagonal has negative entries");
    }

    [[nodiscard]] double trace() const {
        double sum[] = {std::accumulate(values_.begin(), values_.end(), 0.0)};
        ranks_.sum(std::span<double>(sum));
        return sum[0];
    }
    /// diagonal -= the squares of the rows of `added`, of which the sums are given.
    template <class Real>
    void subtract(const HostMatrix<Real>& squares) {
        for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = std::max(0.0, values_[i] - static_cast<double>(squares.data()[i]));
    }
    /// A row that has been a pivot.
    void clear(Index row) {
        const Index at = row - first_ * rows_per_sample_;
        if (at >= 0 && at < static_cast<Index>(values_.size())) values_[static_cast<std::size_t>(at)] = 0;
    }

    /// The samples of all ranks with the most left, in that order; equal ones by number.
    [[nodiscard]] std::vector<Index> largest(Index count) const {
        std::vector<Candidate> mine;
        for (Index s = 0; s * rows_per_sample_ < static_cast<Index>(values_.size()); ++s) {
            const auto begin = values_.begin() + s * rows_per_sample_;
            mine.push_back({std::accumulate(begin, begin + rows_per_sample_, 0.0), first_ + s});
        }
        take(mine, count);
        std::vector<Candidate> all;
        for (const auto& bytes : ranks_.all_gather(std::as_bytes(std::span<const Candidate>(mine)))) {
            const std::size_t before = all.size();
            all.resize(before + bytes.size() / sizeof(Candidate));
            if (!bytes.empty()) std::memcpy(all.data() + before, bytes.data(), bytes.size());
        }
        take(all, count);
        std::vector<Index> samples;
        for (const Candidate& candidate : all) samples.push_back(candidate.sample);
        return samples;
    }

private:
    static void take(std::vector<Candidate>& candidates, Index count) {
        std::erase_if(candidates, [](const Candidate& c) { return !(c.residual > 0); });
        const auto end = candidates.begin() + std::min<Index>(count, static_cast<Index>(candidates.size()));
        std::partial_sort(candidates.begin(), end, candidates.end(), [](const Candidate& a, const Candidate& b) {
            return a.residual != b.residual ? a.residual > b.residual : a.sample < b.sample;
        });
        candidates.erase(end, candidates.end());
    }

    Ranks& ranks_;
    Index first_, rows_per_sample_;
    std::vector<double> values_;
};

/// Which rows of a residual block are taken, in which order, and the factor of the block of those (row-major, lower).
struct BlockFactor {
    std::vector<Index> chosen;
    HostMatrix<double> lower;
};

/// Cholesky with pivots of a small matrix, while pivots are `kept_part` of the first one, up to `most` of them.
BlockFactor factorise_block(HostMatrix<double> block, Index most) {
    const Index n = block.rows();
    BlockFactor factor;
    std::vector<std::vector<double>> columns;  // of the factor, for every row of the block
    double first = 0;
    while (static_cast<Index>(factor.chosen.size()) < std::min(most, n)) {
        Index pivot = 0;
        for (Index i = 1; i < n; ++i)
            if (block(i, i) > block(pivot, pivot)) pivot = i;
        const double value = block(pivot, pivot);
        if (first == 0) first = value;
        if (!(value > 0) || value < kept_part * first) break;
        const double root = std::sqrt(value);
        std::vector<double> column(static_cast<std::size_t>(n));
        for (Index i = 0; i < n; ++i) column[static_cast<std::size_t>(i)] = block(i, pivot) / root;
        for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < n; ++j) block(i, j) -= column[static_cast<std::size_t>(i)] * column[static_cast<std::size_t>(j)];
        for (Index i = 0; i < n; ++i) block(i, pivot) = block(pivot, i) = 0;
        factor.chosen.push_back(pivot);
        columns.push_back(std::move(column));
    }
    const auto q = static_cast<Index>(factor.chosen.size());
    factor.lower = HostMatrix<double>(q, q);
    for (Index i = 0; i < q; ++i)
        for (Index j = 0; j <= i; ++j)
            factor.lower(i, j) = columns[static_cast<std::size_t>(j)][static_cast<std::size_t>(factor.chosen[static_cast<std::size_t>(i)])];
    return factor;
}

/// The rows of these samples, on every rank.
template <class Real>
Matrix<Real> rows_of_samples(KernelOperator<Real>& kernel, ConstMatrixView<Real> rows, const std::vector<Index>& samples) {
    const Index r = kernel.rows_per_sample();
    const SampleShare share = kernel.share();
    Matrix<Real> chosen(kernel.backend(), static_cast<Index>(samples.size()) * r, rows.cols());
    kernel.backend()->fill(chosen.view(), 0);
    for (std::size_t i = 0; i < samples.size(); ++i)
        if (samples[i] >= share.first && samples[i] < share.first + share.count)
            kernel.backend()->copy(rows.row_range((samples[i] - share.first) * r, r),
                                   chosen.view().row_range(static_cast<Index>(i) * r, r));
    sum_over_ranks(kernel.ranks(), chosen);
    return chosen;
}

}  // namespace

template <class Real>
PivotedCholesky<Real>::PivotedCholesky(KernelOperator<Real>& kernel, double ridge, Index rank, const Progress<Index, Index>& progress)
    : backend_(kernel.backend()), ranks_(kernel.ranks()), samples_(kernel.all_rows()) {
    require_ridge(ridge);
    ResidualDiagonal residual(kernel);
    const double trace = residual.trace();
    rank = std::min(rank, kernel.all_rows());
    columns_ = Matrix<Real>(backend_, kernel.rows(), std::max<Index>(1, rank));
    const Index r = kernel.rows_per_sample(), block_samples = std::max<Index>(1, pivoted_cholesky_block / r);
    residual_trace_ = trace;
    while (rank_ < rank && residual_trace_ > std::max(ridge, epsilon<Real> * trace * static_cast<double>(rank_))) {
        progress.check();
        const std::vector<Index> samples = residual.largest(block_samples);
        if (samples.empty()) break;
        Matrix<Real> block = kernel.columns(samples);
        if (rank_ > 0) {
            const ConstMatrixView<Real> before = columns_.view().col_range(0, rank_);
            const Matrix<Real> theirs = rows_of_samples(kernel, before, samples);
            backend_->gemm(Transpose::no, Transpose::yes, -1, before, theirs.view(), 1, block.view());
        }
        const BlockFactor factor =
            factorise_block(download(rows_of_samples<Real>(kernel, block.view(), samples)).template cast<double>(), rank - rank_);
        const auto added = static_cast<Index>(factor.chosen.size());
        if (added == 0) break;  // only rounding is left
        const MatrixView<Real> columns = columns_.view().col_range(rank_, added);
        for (Index j = 0; j < added; ++j)
            backend_->copy(std::as_const(block).view().col_range(factor.chosen[static_cast<std::size_t>(j)], 1), columns.col_range(j, 1));
        const Matrix<Real> lower = upload(backend_, factor.lower);
        backend_->triangular_solve_rows(lower.view(), columns);
        Matrix<Real> squares(backend_, kernel.rows(), 1);
        backend_->row_dots(columns, columns, squares.view());
        residual.subtract(download(squares));
        for (const Index row : factor.chosen) residual.clear(samples[static_cast<std::size_t>(row / r)] * r + row % r);
        rank_ += added;
        residual_trace_ = residual.trace();
        progress(rank_, rank);
    }
    factorise(ridge, trace);
}

template <class Real>
void PivotedCholesky<Real>::factorise(double ridge, double trace) {
    const double left = residual_trace_ / static_cast<double>(std::max<Index>(1, samples_));
    shift_ = ridge > 0 ? ridge : left;
    if (rank_ > 0) {
        const ConstMatrixView<Real> columns = columns_.view().col_range(0, rank_);
        inner_ = Matrix<Real>(backend_, rank_, rank_);
        backend_->gemm(Transpose::yes, Transpose::no, 1, columns, columns, 0, inner_.view());
        sum_over_ranks(ranks_, inner_);
        largest_ = backend_->norms(inner_.view()).frobenius;
        shift_ = std::max(shift_, static_cast<double>(rank_) * epsilon<Real> * trace);
        backend_->add_to_diagonal(shift_, inner_.view());
        if (const Index minor = backend_->cholesky(inner_.view()).failed_minor; minor > 0)
            throw Error(ErrorCode::not_positive_definite,
                        fmt::format("the preconditioner of rank {} with shift {:.3g} has no Cholesky factor (pivot {}); give a ridge, or "
                                    "--precision fp64",
                                    rank_, shift_, minor));
    }
    if (!(shift_ > 0)) shift_ = 1;  // a kernel of zeros
}

template <class Real>
void PivotedCholesky<Real>::apply(ConstMatrixView<Real> v, MatrixView<Real> out) const {
    backend_->copy(v, out);
    if (rank_ > 0) {
        const ConstMatrixView<Real> columns = columns_.view().col_range(0, rank_);
        Matrix<Real> weights(backend_, rank_, v.cols());
        backend_->gemm(Transpose::yes, Transpose::no, 1, columns, v, 0, weights.view());
        sum_over_ranks(ranks_, weights);
        backend_->cholesky_solve(inner_.view(), weights.view());
        backend_->gemm(Transpose::no, Transpose::no, -1, columns, std::as_const(weights).view(), 1, out);
    }
    backend_->scale(1 / shift_, out);
}

template <class Real>
double pivoted_cholesky_bytes(Index rows, Index rank, Index rows_per_sample) {
    const double k = static_cast<double>(rank),
                 block = rank > 0 ? static_cast<double>(std::max(pivoted_cholesky_block, rows_per_sample)) : 0;
    return (static_cast<double>(rows) * (k + block + 2) + k * (k + block)) * sizeof(Real);
}

template class PivotedCholesky<float>;
template class PivotedCholesky<double>;
template double pivoted_cholesky_bytes<float>(Index, Index, Index);
template double pivoted_cholesky_bytes<double>(Index, Index, Index);

}  // namespace ntk
