#include "distributed_factor.hpp"
#include "mirrored_blocks.hpp"
#include "part_checks.hpp"
#include "scalapack.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ntk {
namespace {

template <class Real>
void require_countable_part(const HostMatrix<Real>& part, const MpiRanks& ranks) {
    const auto entries = static_cast<double>(part.size());
    require_countable(entries, fmt::format("a part of {:.3g} entries", entries), ranks.size());
}

template <class Real>
class ScalapackFactor final : public DistributedFactor<Real> {
public:
    ScalapackFactor(MpiRanks& ranks, const DistributedLayout& of_kernel, HostMatrix<Real> part)
        : DistributedFactor<Real>(ranks, of_kernel), part_(std::move(part)), grid_(ranks.communicator(), of_kernel.grid) {
        require_countable_part(part_, ranks);
        description_ = grid_.describe(of_kernel, part_.cols());
    }

    [[nodiscard]] std::vector<double> diagonal() const override {
        std::vector<double> values(static_cast<std::size_t>(n()));
        for_each_diagonal_entry(layout(), this->rank(), part_, [&](Index index, const Real& entry) {
            values[static_cast<std::size_t>(index)] = static_cast<double>(entry);
        });
        this->ranks().sum(std::span(values));
        return values;
    }

    [[nodiscard]] std::vector<double> column_sums() const override {
        std::vector<double> columns(static_cast<std::size_t>(n()));
        this->for_each_entry(layout(), part_, [&](Index, Index col, const Real& entry) {
            columns[static_cast<std::size_t>(col)] += std::fabs(static_cast<double>(entry));
        });
        this->ranks().sum(std::span(columns));
        return columns;
    }

    void add_to_diagonal(double value) override {
        for_each_diagonal_entry(layout(), this->rank(), part_, [&](Index, Real& entry) { entry += static_cast<Real>(value); });
    }

    [[nodiscard]] int factorise() override { return scalapack::potrf(static_cast<int>(n()), part_.data(), description_); }

    /// The factor is the lower triangle.
    [[nodiscard]] HostMatrix<Real> upper_triangle() const override { return this->gather_upper(part_); }

    [[nodiscard]] HostMatrix<Real> solve(const HostMatrix<Real>& y) const override {
        // Transposed as everything: targets are the rows.
        const RankGrid& grid = layout().grid;
        const DistributedLayout transposed{grid, {y.cols(), std::max<Index>(1, y.cols() / grid.rows), grid.rows}, layout().cols};
        HostMatrix<Real> part(transposed.local_rows(this->rank()), transposed.local_cols(this->rank()));
        this->for_each_entry(transposed, part, [&](Index row, Index col, Real& entry) { entry = y(col, row); });
        (void)scalapack::potrs(static_cast<int>(n()), static_cast<int>(y.cols()), part_.data(), description_, part.data(),
                               grid_.describe(transposed, part.cols()));
        HostMatrix<Real> x(y.rows(), y.cols());
        this->for_each_entry(transposed, part, [&](Index row, Index col, Real& entry) { x(col, row) = entry; });
        this->sum(x);
        return x;
    }

    [[nodiscard]] HostMatrix<Real> explained(const DistributedLayout& cross_layout, HostMatrix<Real> cross) const override {
        const Index tests = cross_layout.rows.size;
        require_countable_part(cross, this->ranks());
        scalapack::half_solve(static_cast<int>(n()), static_cast<int>(tests), part_.data(), description_, cross.data(),
                              grid_.describe(cross_layout, cross.cols()));
        HostMatrix<Real> squares(tests, 1);
        this->for_each_entry(cross_layout, cross, [&](Index row, Index, Real& entry) { squares(row, 0) += entry * entry; });
        this->sum(squares);
        return squares;
    }
    [[nodiscard]] HostMatrix<Real> explained(const DistributedLayout& cross_layout, const Matrix<Real>& cross) const override {
        return explained(cross_layout, download(cross));
    }

private:
    using DistributedFactor<Real>::n;
    using DistributedFactor<Real>::layout;

    HostMatrix<Real> part_;
    scalapack::Grid grid_;
    scalapack::Descriptor description_{};
};

}  // namespace

template <class Real>
std::unique_ptr<DistributedFactor<Real>> scalapack_factor(MpiRanks& ranks, const DistributedLayout& layout, HostMatrix<Real> part) {
    return std::make_unique<ScalapackFactor<Real>>(ranks, layout, std::move(part));
}

template std::unique_ptr<DistributedFactor<float>> scalapack_factor(MpiRanks&, const DistributedLayout&, HostMatrix<float>);
template std::unique_ptr<DistributedFactor<double>> scalapack_factor(MpiRanks&, const DistributedLayout&, HostMatrix<double>);

}  // namespace ntk
