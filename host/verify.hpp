#pragma once

// What the groups of checks of verify() share, one file a group: host/verify_*.cpp.

#include <ntkcuda/verify.hpp>

#include <chrono>
#include <cmath>
#include <limits>

namespace ntk {

/// The devices under comparison, and the checks made so far.
class Verifier {
public:
    Verifier(const VerifyOptions& options, const VerifyExpected& expected, const Progress<const VerifyCheck&>& progress);

    [[nodiscard]] const VerifyOptions& options() const { return options_; }
    [[nodiscard]] const VerifyExpected& expected() const { return expected_; }
    /// On the device to be checked.
    template <class Real>
    [[nodiscard]] const std::shared_ptr<Backend<Real>>& backend() const;
    /// What it is compared with: the CPU, or for the CPU itself another number of threads.
    template <class Real>
    [[nodiscard]] std::shared_ptr<Backend<Real>> reference() const {
        return make_backend<Real>("cpu", reference_threads_);
    }
    [[nodiscard]] bool on_cpu() const { return on_cpu_; }
    [[nodiscard]] int reference_threads() const { return reference_threads_; }

    void begin(std::string group) { group_ = std::move(group); }
    /// `work` measures, and may set the note of the check.
    void check(std::string what, VerifyCheck::Measure measure, double bound, const std::function<double(std::string& note)>& work);
    /// A check that is made already, but for its group and verdict.
    void add(VerifyCheck check);
    [[nodiscard]] std::vector<VerifyCheck> take() { return std::move(checks_); }

private:
    const VerifyOptions& options_;
    const VerifyExpected& expected_;
    const Progress<const VerifyCheck&>& progress_;
    std::shared_ptr<Backend<double>> double_;
    std::shared_ptr<Backend<float>> float_;
    bool on_cpu_ = true;
    int reference_threads_ = 0;
    std::string group_;
    std::vector<VerifyCheck> checks_;
};

class Seconds {
public:
    [[nodiscard]] double elapsed() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The largest of some numbers; NaN once there is one.
class Largest {
public:
    void add(double value) {
        if (!(value <= value_)) value_ = std::isnan(value_) ? value_ : value;
    }
    [[nodiscard]] double value() const { return value_; }

private:
    double value_ = 0;
};

/// |got - exact| / |exact|.
inline double relative_difference(long double got, long double exact) {
    return static_cast<double>(got == exact ? 0 : std::fabs((got - exact) / exact));
}

/// Largest |got - exact| relative to the largest |exact|; NaN for other shapes.
template <class Real, class Exact>
double relative_difference(const HostMatrix<Real>& got, const HostMatrix<Exact>& exact) {
    if (got.rows() != exact.rows() || got.cols() != exact.cols()) return std::numeric_limits<double>::quiet_NaN();
    Largest difference, size;
    for (Index e = 0; e < got.size(); ++e) {
        difference.add(std::fabs(static_cast<double>(got.data()[e]) - static_cast<double>(exact.data()[e])));
        size.add(std::fabs(static_cast<double>(exact.data()[e])));
    }
    return difference.value() == 0 ? 0 : difference.value() / size.value();
}

/// Rounding errors of sums of `terms` products, which add up like a random walk (Higham & Mary 2019).
template <class Real>
double rounding(Index terms) {
    return (8 + 4 * std::sqrt(static_cast<double>(terms))) * static_cast<double>(std::numeric_limits<Real>::epsilon());
}

template <class Real>
constexpr const char* precision_name = sizeof(Real) == 8 ? "float64" : "float32";

void verify_random(Verifier& verifier);
void verify_limits(Verifier& verifier);
void verify_layerwise(Verifier& verifier);
void verify_depth(Verifier& verifier);
void verify_moments(Verifier& verifier);
void verify_operations(Verifier& verifier);
void verify_factorisations(Verifier& verifier);

}  // namespace ntk
