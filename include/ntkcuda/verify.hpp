#pragma once

/// \file verify.hpp
/// A self-check of this machine and one of its devices, to be run before trusting either: random numbers by their hash, infinite-width
/// kernels and the closed form at depth against recorded numbers of many digits, the layerwise tangent kernel against J J^T, moments of
/// many random networks against exact theory, every operation against the CPU, factorisations of matrices of known solution.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/exact_moments.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/progress.hpp>

#include <functional>
#include <string>
#include <vector>

namespace ntk {

/// What is checked, and how much of it.
struct VerifyOptions {
    std::string device = "auto";  ///< as make_backend takes it
    int threads = 0;              ///< CPU threads; 0: all
    std::uint64_t seed = 1;       ///< of everything random but the recorded hash
    Index networks = 1000000;     ///< of each ensemble, at least 4000
};

/// One thing that was measured and what it had to be.
struct VerifyCheck {
    enum class Measure {
        difference,  ///< relative difference
        z,           ///< largest |measured - exact| / standard error of some comparisons
        values       ///< how many values differ in any bit
    };
    std::string group, what;
    Measure measure = Measure::difference;
    double measured = 0, bound = 0;  ///< it holds where measured <= bound
    std::string note;                ///< how many comparisons; or the message of what went wrong
    bool passed = false;
    double seconds = 0;
};

/// All checks, in the order in which they were made.
struct VerifyReport {
    std::vector<VerifyCheck> checks;

    [[nodiscard]] Index failed() const;
    /// All checks hold.
    [[nodiscard]] bool passed() const { return !checks.empty() && failed() == 0; }
};

/// What the checks take for true. Recorded numbers have 21 digits, from tests/golden/make_verify.py.
struct VerifyExpected {
    /// FNV-1a over the bits of 1000 x 1000 normals, as floats, of the stream {seed 0x0123456789abcdef, network 7, weights of layer 3}.
    std::uint64_t normals_hash = 0;

    /// An infinite-width kernel of limit_inputs.
    struct Limit {
        Architecture architecture;
        InfiniteKernel kernel = InfiniteKernel::ntk;
        std::vector<long double> lower;  ///< lower triangle of the kernel of limit_inputs, row by row
    };
    HostMatrix<double> limit_inputs;
    std::vector<Limit> limits;

    /// The normalised tangent kernel K of the two rows of pair_inputs, and 1 - K.
    struct Pair {
        Activation activation;
        double weight_std = 1, bias_std = 0;
        Index depth = 1;
        long double kernel = 0, below_one = 0;
    };
    HostMatrix<double> pair_inputs;
    std::vector<Pair> pairs;

    /// Closed-form weights u(x) = K^{-1} k(x) (tests x samples, row by row) of the normalised tangent kernel of a ReLU family.
    struct ClosedForm {
        /// The weights at one depth.
        struct Point {
            Index depth = 1;
            long double log10_max_one_minus_k = 0;
            std::vector<long double> weights;
        };
        std::string samples;  ///< "equal norms" or "unequal norms"
        double weight_std = 1, bias_std = 0;
        HostMatrix<double> train, test;
        std::vector<Point> points;
    };
    std::vector<ClosedForm> closed_forms;

    /// E Theta_oo^2 / (E Theta_oo)^2 over hidden widths.
    struct Moment {
        std::vector<Index> hidden;
        long double ratio = 1;
    };
    std::vector<Moment> moments;
    /// The theory that random networks are compared with.
    std::function<DiagonalMoments(const Architecture&)> second_moments = diagonal_moments;
};

/// The true ones.
[[nodiscard]] VerifyExpected verify_constants();

/// Runs all checks, in float64 and float32; the same result for the same options on one device, times aside. On the CPU, where there is
/// no other device to compare with, one thread is compared with many: the same bits. `progress` is called after each check. An Error within
/// a check makes it one that failed. About 10 s on two cores.
/// Throws Error(device_unavailable), Error(out_of_memory), Error(cancelled), and Error(invalid_argument) for too few networks.
[[nodiscard]] VerifyReport verify(const VerifyOptions& options, const VerifyExpected& expected = verify_constants(),
                                  const Progress<const VerifyCheck&>& progress = {});

}  // namespace ntk
