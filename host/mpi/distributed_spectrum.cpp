#include "mirrored_blocks.hpp"
#include "mpi_call.hpp"
#include "part_checks.hpp"
#include "scalapack.hpp"

#include <ntkcuda/backend.hpp>
#include <ntkcuda/mpi.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ntk {
namespace {

/// A matrix of which each rank has its part, and its products with matrices that are whole on every rank.
template <class Real>
class SpreadMatrix {
public:
    SpreadMatrix(MpiRanks& ranks, const DistributedLayout& layout, const HostMatrix<Real>& part, Backend<Real>& host)
        : ranks_(ranks), layout_(layout), part_(part), host_(host) {}

    /// The matrix, or its transpose, times x.
    [[nodiscard]] HostMatrix<Real> times(Transpose transpose, ConstMatrixView<Real> x) const {
        const Axis rows{layout_.rows, layout_.grid.row_of(ranks_.rank())}, cols{layout_.cols, layout_.grid.col_of(ranks_.rank())};
        const bool across = transpose == Transpose::no;
        const Axis &from = across ? cols : rows, &to = across ? rows : cols;
        const Index columns = x.cols();
        HostMatrix<Real> mine(from.count(), columns), product(to.count(), columns), all(to.axis.size, columns);
        for (Index i = 0; i < mine.rows(); ++i) std::copy_n(x.data() + from.global(i) * x.stride(), columns, mine.data() + i * columns);
        if (!part_.empty() && columns > 0)
            host_.gemm(transpose, Transpose::no, 1, part_.view(), std::as_const(mine).view(), 0, product.view());
        for (Index i = 0; i < product.rows(); ++i) std::copy_n(product.data() + i * columns, columns, all.data() + to.global(i) * columns);
        ranks_.sum(std::span(all.data(), static_cast<std::size_t>(all.size())));
        return all;
    }

    /// sum_i weights[i] x_ij^2 of every column j.
    [[nodiscard]] std::vector<double> squares(const std::vector<double>& weights) const {
        std::vector<double> mine(static_cast<std::size_t>(part_.cols())), sums(static_cast<std::size_t>(layout_.cols.size));
        for (Index i = 0; i < part_.rows(); ++i) {
            const double weight = weights[static_cast<std::size_t>(layout_.global_row(ranks_.rank(), i))];
            for (Index j = 0; j < part_.cols(); ++j) {
                const auto entry = static_cast<double>(part_(i, j));
                mine[static_cast<std::size_t>(j)] += weight * entry * entry;
            }
        }
        for (Index j = 0; j < part_.cols(); ++j)
            sums[static_cast<std::size_t>(layout_.global_col(ranks_.rank(), j))] = mine[static_cast<std::size_t>(j)];
        ranks_.sum(std::span(sums));
        return sums;
    }

    /// The mean of its diagonal. Throws, on every rank, where an entry of any is not finite.
    [[nodiscard]] double checked_mean_of_diagonal() const {
        double trace = 0;
        for_each_diagonal_entry(layout_, ranks_.rank(), part_, [&](Index, Real entry) { trace += static_cast<double>(entry); });
        std::vector<double> sums{part_.empty() || host_.norms(part_.view()).finite ? 0.0 : 1.0, trace};
        ranks_.sum(std::span(sums));
        require_finite_kernel(sums[0] == 0);
        return sums[1] / static_cast<double>(layout_.rows.size);
    }

private:
    struct Axis {
        CyclicAxis axis;
        int part;
        [[nodiscard]] Index count() const { return axis.count(part); }
        [[nodiscard]] Index global(Index local) const { return axis.global(part, local); }
    };

    MpiRanks& ranks_;
    const DistributedLayout& layout_;
    const HostMatrix<Real>& part_;
    Backend<Real>& host_;
};

/// Eigenvalues ascending on every rank; `part` becomes its part of the eigenvectors, as rows.
template <class Real>
std::vector<Real> decompose(MpiRanks& ranks, const DistributedLayout& layout, HostMatrix<Real>& part) {
    const scalapack::Grid grid(ranks.communicator(), layout.grid);
    const EigenWorkspace sizes = eigen_workspace(layout, ranks.rank());
    HostMatrix<Real> vectors(part.rows(), part.cols());
    std::vector<Real> values(static_cast<std::size_t>(layout.rows.size)), work(static_cast<std::size_t>(sizes.numbers));
    std::vector<int> integers(static_cast<std::size_t>(sizes.integers));
    scalapack::syevd(static_cast<int>(layout.rows.size), part.data(), grid.describe(layout, part.cols()), values.data(), vectors.data(),
                     work, integers);
    part = std::move(vectors);
    const std::vector<std::byte> of_root = ranks.broadcast(std::as_bytes(std::span(values)));
    std::copy(of_root.begin(), of_root.end(), reinterpret_cast<std::byte*>(values.data()));
    return values;
}

template <class Real>
HostMatrix<Real> upside_down(ConstMatrixView<Real> x) {
    HostMatrix<Real> result(x.rows(), x.cols());
    for (Index i = 0; i < x.rows(); ++i) std::copy_n(x.data() + (x.rows() - 1 - i) * x.stride(), x.cols(), result.data() + i * x.cols());
    return result;
}

template <class Real>
double norm_of(const HostMatrix<Real>& x) {
    double squares = 0;
    for (Index i = 0; i < x.size(); ++i) squares += static_cast<double>(x.data()[i]) * static_cast<double>(x.data()[i]);
    return std::sqrt(squares);
}

}  // namespace

template <class Real>
void DistributedSpectrum<Real>::require_countable(const DistributedLayout& layout) {
    const double numbers = eigen_workspace(layout, 0).numbers;  // the first rank has the most
    ntk::require_countable(numbers, fmt::format("a work space of {:.3g} numbers for the eigenvectors", numbers),
                           layout.grid.rows * layout.grid.cols);
}

template <class Real>
DistributedSpectrum<Real>::DistributedSpectrum(MpiRanks& ranks, const DistributedLayout& layout, HostMatrix<Real> part,
                                               std::shared_ptr<Backend<Real>> host, double resolution)
    : ranks_(ranks), layout_(layout), host_(std::move(host)), vectors_(std::move(part)) {
    require_symmetric_part(layout, ranks.rank(), vectors_.rows(), vectors_.cols());
    require_countable(layout);
    const SpreadMatrix<Real> matrix(ranks_, layout_, vectors_, *host_);
    const double resolved = resolution * matrix.checked_mean_of_diagonal();
    Matrix<Real> probe(host_, layout.rows.size, 1);
    host_->draw_normals({1, 0, 0}, 1, probe.view());
    const HostMatrix<Real> image = matrix.times(Transpose::no, probe.view());

    // Of -K, so that the largest eigenvalue of K comes first and its leading eigenvectors are the first rows, in blocks as they lie.
    if (!vectors_.empty()) host_->scale(-1, vectors_.view());
    const std::vector<Real> negative = decompose(ranks_, layout_, vectors_);
    std::vector<double> ascending;
    for (auto value = negative.rbegin(); value != negative.rend(); ++value) ascending.push_back(-static_cast<double>(*value));
    this->set_values(std::move(ascending), resolved);

    // What no status of ScaLAPACK says.
    HostMatrix<Real> difference = download(this->apply([](double lambda) { return lambda; }, probe.view()));
    for (Index i = 0; i < difference.size(); ++i) difference.data()[i] -= image.data()[i];
    const double error = norm_of(difference) / norm_of(download(probe)),
                 rounding = 10 * static_cast<double>(std::max<Index>(10, this->samples())) * epsilon<Real> *
                            std::max(this->values().back(), -this->values().front());
    if (!(error <= rounding))
        throw Error(
            ErrorCode::device_failure,
            fmt::format("ScaLAPACK's eigendecomposition of a kernel of {} rows is not that of the kernel: of a random direction it is "
                        "{:.2g} away, where rounding explains {:.2g}",
                        this->samples(), error, rounding));
}

template <class Real>
DistributedLayout DistributedSpectrum<Real>::leading_layout(Index count) const {
    if (count > this->samples())
        throw Error(ErrorCode::invalid_argument, fmt::format("{} eigenvectors of a kernel that has {}", count, this->samples()));
    return {layout_.grid, {count, layout_.rows.side, layout_.rows.parts}, layout_.cols};
}

template <class Real>
HostMatrix<Real> DistributedSpectrum<Real>::leading_vectors(Index count) const {
    struct Largest {
        double magnitude;
        int at;  ///< 2 column + (whether it is negative), so that of equal ones the first counts
    };
    const DistributedLayout layout = leading_layout(count);
    const int rank = ranks_.rank();
    std::vector<Largest> largest(static_cast<std::size_t>(count), {-1, 0});
    HostMatrix<Real> part(layout.local_rows(rank), layout.local_cols(rank));
    for (Index i = 0; i < part.rows(); ++i) {
        Largest& of_row = largest[static_cast<std::size_t>(layout.global_row(rank, i))];
        for (Index j = 0; j < part.cols(); ++j) {
            const Real entry = part(i, j) = vectors_(i, j);
            if (const double magnitude = std::fabs(static_cast<double>(entry)); magnitude > of_row.magnitude)
                of_row = {magnitude, static_cast<int>(2 * layout.global_col(rank, j)) + (entry < 0)};
        }
    }
    mpi_call("MPI_Allreduce",
             MPI_Allreduce(MPI_IN_PLACE, largest.data(), static_cast<int>(count), MPI_DOUBLE_INT, MPI_MAXLOC, ranks_.communicator()));
    for (Index i = 0; i < part.rows(); ++i)
        if (largest[static_cast<std::size_t>(layout.global_row(rank, i))].at % 2 == 1)
            for (Index j = 0; j < part.cols(); ++j) part(i, j) = -part(i, j);
    return part;
}

template <class Real>
HostMatrix<Real> DistributedSpectrum<Real>::project(InputView<Real> y) const {
    return upside_down<Real>(SpreadMatrix<Real>(ranks_, layout_, vectors_, *host_).times(Transpose::no, y).view());
}

template <class Real>
Matrix<Real> DistributedSpectrum<Real>::combine(const HostMatrix<Real>& modes) const {
    const HostMatrix<Real> sum =
        SpreadMatrix<Real>(ranks_, layout_, vectors_, *host_).times(Transpose::yes, upside_down<Real>(modes.view()).view());
    Matrix<Real> result(host_, sum.rows(), sum.cols());
    host_->upload(sum.view(), result.view());
    return result;
}

template <class Real>
std::vector<double> DistributedSpectrum<Real>::diagonal(const std::vector<double>& weights) const {
    return SpreadMatrix<Real>(ranks_, layout_, vectors_, *host_).squares({weights.rbegin(), weights.rend()});
}

template class DistributedSpectrum<float>;
template class DistributedSpectrum<double>;

}  // namespace ntk
