#pragma once

// The pairs of training samples (i, j), j <= i, and of tests with training samples, dealt to the ranks by rows.

#include <ntkcuda/matrix.hpp>
#include <ntkcuda/ranks.hpp>

namespace ntk {

/// Rows [first, first + rows) of the lower triangle and tests [first_test, first_test + tests).
struct PairShare {
    Index first = 0, rows = 0, first_test = 0, tests = 0;

    /// Numbers in PairParts.
    [[nodiscard]] Index entries(Index samples) const { return rows * (first + rows) + tests * samples; }
};

/// That of a rank: about as many pairs for each (rows of a triangle are the shorter the earlier). Rows are cut at multiples
/// of uncut_rows (distributed_layout.hpp), so that the bits of a pair do not depend on the number of ranks; few samples leave some ranks
/// idle.
[[nodiscard]] PairShare pair_share(Index samples, Index tests, int ranks, int rank);

/// A rank's rows of a symmetric matrix between training samples and of one between tests and training samples.
struct PairParts {
    Matrix<double> before;  ///< with the training samples before the first of them
    Matrix<double> own;     ///< with themselves, both triangles
    Matrix<double> cross;   ///< tests with all training samples

    PairParts() = default;
    PairParts(const std::shared_ptr<Backend<double>>& backend, const PairShare& share, Index samples)
        : before(backend, share.rows, share.first),
          own(backend, share.rows, share.rows),
          cross(backend, share.tests, share.tests > 0 ? samples : 0) {}
};

/// visit(part, ..) for those of the parts that are not empty, with the same part of other PairParts.
template <class Visit, class... Parts>
void for_each_part(const Visit& visit, Parts&... parts) {
    const auto visit_one = [&](auto&... part) {
        if ((!part.empty() && ...)) visit(part...);
    };
    visit_one(parts.before...);
    visit_one(parts.own...);
    visit_one(parts.cross...);
}

}  // namespace ntk
