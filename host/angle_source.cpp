#include <ntkcuda/angle_table.hpp>

#include "depth_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace ntk {
namespace {

/// Rows that come to the host at a time when the range of the tangents is looked for entry by entry.
constexpr Index panel_rows = 256;

/// The smallest and largest of positive, finite entries.
struct Range {
    double smallest = std::numeric_limits<double>::infinity(), largest = 0;
    void include(double t) {
        if (!(t > 0) || std::isinf(t)) return;
        smallest = std::min(smallest, t);
        largest = std::max(largest, t);
    }
};

void include_entries(const Matrix<double>& tangents, Entries entries, Range& range) {
    const auto& backend = tangents.backend();
    const EntrySummary summary = backend->summarize(tangents.view(), entries, 0);
    if (summary.count == 0) return;
    if (summary.min > 0 && std::isfinite(summary.max)) {
        range.include(summary.min);
        range.include(summary.max);
        return;
    }
    // A test sample equal to a training sample, or opposite ones: the rest decides.
    for (Index first = 0; first < tangents.rows(); first += panel_rows) {
        HostMatrix<double> panel(std::min(panel_rows, tangents.rows() - first), tangents.cols());
        backend->download(tangents.view().row_range(first, panel.rows()), panel.view());
        for (Index i = 0; i < panel.rows(); ++i)
            for (Index j = 0; j < (entries == Entries::all ? panel.cols() : first + i); ++j) range.include(panel(i, j));
    }
}

class AngleSource final : public DepthSource {
public:
    AngleSource(const std::shared_ptr<Backend<double>>& backend, Ranks& ranks, const KernelFamily& family, const HostMatrix<double>& train,
                const HostMatrix<double>& test)
        : ranks_(ranks), train_(backend, train.rows(), train.rows()), cross_(backend, test.rows(), train.rows()) {
        const Matrix<double> x = upload(backend, train);
        backend->half_angle_tangents(x.view(), x.view(), Triangle::lower, train_.view());
        if (test.rows() > 0) backend->half_angle_tangents(upload(backend, test).view(), x.view(), Triangle::full, cross_.view());
        refuse_equal_samples();
        Range range;
        include_entries(train_, Entries::off_diagonal, range);
        include_entries(cross_, Entries::all, range);
        if (range.largest == 0) range.smallest = range.largest = 1;  // no pair but equal and opposite ones
        double mean_square = 0;
        for (Index j = 0; j < train.cols(); ++j) mean_square += train(0, j) * train(0, j) / static_cast<double>(train.cols());
        table_.emplace(family, mean_square, range.smallest, range.largest, ranks);
    }

    void advance(Index depth, const std::function<void(Index)>& progress) override {
        if (depth > table_->depth()) table_->advance(depth, progress);
        level_ = table_->level();
    }
    DepthLevel level(int owner) override {
        if (ranks_.rank() != owner) return {};
        return {evaluate(level_.value, 1, level_.value_opposite), evaluate(level_.below_one, 0, level_.below_one_opposite),
                level_.exponent};
    }
    KernelPair limiting_shape(int owner) override {
        if (ranks_.rank() != owner) return {};
        const AngleLevel limit = table_->limit();
        return evaluate(limit.below_one, 0, limit.below_one_opposite);
    }
    [[nodiscard]] bool still() const override { return level_.still && (!table_->linear() || level_.exponent < invisible_exponent); }
    [[nodiscard]] bool linear() const override { return table_->linear(); }
    [[nodiscard]] double error() const override { return level_.error; }
    [[nodiscard]] Index nodes() const override { return table_->nodes(); }

private:
    void refuse_equal_samples() const {
        const EntrySummary summary = train_.backend()->summarize(train_.view(), Entries::off_diagonal, 0);
        if (summary.count == 0 || summary.min > 0) return;
        throw Error(ErrorCode::not_positive_definite,
                    fmt::format("training samples {} and {} (counting from 1) have the same direction and norm: the kernel is singular at "
                                "every depth; remove one of them",
                                summary.min_col + 1, summary.min_row + 1));
    }
    [[nodiscard]] KernelPair evaluate(const std::vector<double>& coefficients, double at_zero, double at_infinity) const {
        const auto& backend = train_.backend();
        KernelPair out{Matrix<double>(backend, train_.rows(), train_.cols()), Matrix<double>(backend, cross_.rows(), cross_.cols())};
        const OctaveSeries series{level_.first_octave, level_.octaves, level_.terms, coefficients.data(), at_zero, at_infinity};
        backend->evaluate_series(series, train_.view(), Triangle::lower, out.train.view());
        backend->mirror_lower(out.train.view());
        if (!cross_.empty()) backend->evaluate_series(series, cross_.view(), Triangle::full, out.cross.view());
        return out;
    }

    Ranks& ranks_;
    Matrix<double> train_, cross_;  ///< tan(theta / 2); of train_ the lower triangle
    std::optional<AngleTable> table_;
    AngleLevel level_;
};

}  // namespace

std::unique_ptr<DepthSource> make_angle_source(const std::shared_ptr<Backend<double>>& backend, Ranks& ranks, const KernelFamily& family,
                                               const HostMatrix<double>& train, const HostMatrix<double>& test) {
    return std::make_unique<AngleSource>(backend, ranks, family, train, test);
}

}  // namespace ntk
