#pragma once

// Measures levels of a study of depth on one device.

#include "byte_archive.hpp"
#include "depth_source.hpp"

#include <concepts>
#include <type_traits>

namespace ntk {

/// Entries that are followed for figures (DepthResult::traced_*).
struct TracedEntries {
    std::vector<Index> train, test;
};
template <class Archive, class Value>
requires std::same_as<std::remove_const_t<Value>, TracedEntries>
void fields(Archive& archive, Value& entries) { archive(entries.train, entries.test); }

/// Entries and distances of a level, and its closed form.
class DepthMeter {
public:
    /// Keeps references. `test` may be null.
    DepthMeter(const std::shared_ptr<Backend<double>>& backend, const Dataset& train, const Dataset* test, const DepthOptions& options);

    /// Those at the quantiles of the first rows of 1 - K.
    [[nodiscard]] TracedEntries entries_to_follow(const KernelPair& below_one) const;
    void follow(TracedEntries entries) { traced_ = std::move(entries); }

    /// The record of a level but for what needs the limit of u, DepthPoint::still and table_error; without `solve` the closed form is left
    /// out. A system that is singular to rounding is told in DepthPoint::closed_form_note.
    [[nodiscard]] DepthRecord measure(Index depth, DepthLevel level, bool solve) const;
    /// Of u y for weights u (tests x samples).
    [[nodiscard]] std::optional<double> score(const Matrix<double>& u) const;

private:
    [[nodiscard]] Index n() const { return train_.samples(); }
    [[nodiscard]] Index tests() const { return test_ != nullptr ? test_->samples() : 0; }
    void add_differences(DepthPoint& point, const Matrix<double>& e, std::int64_t exponent) const;
    void add_values(DepthPoint& point, const KernelPair& pair) const;
    void solve(DepthRecord& record, KernelPair pair, std::int64_t exponent, bool near_identity) const;

    std::shared_ptr<Backend<double>> backend_;
    const Dataset& train_;
    const Dataset* test_;
    const DepthOptions& options_;
    Matrix<double> targets_;
    TracedEntries traced_;
};

}  // namespace ntk
