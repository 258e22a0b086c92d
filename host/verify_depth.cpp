// The normalised kernel and the closed form at depth, also where 1 - K is 1e-75 or has underflowed.

#include "verify.hpp"

#include <ntkcuda/depth_limit.hpp>

#include <fmt/format.h>

namespace ntk {
namespace {

using enum VerifyCheck::Measure;

void check_pairs(Verifier& verifier) {
    const auto& backend = verifier.backend<double>();
    const Matrix<double> x = upload(backend, verifier.expected().pair_inputs);
    for (const auto& pair : verifier.expected().pairs) {
        const std::string what =
            fmt::format("{}, depth {}, sigma_w {:.4g}, sigma_b {:.4g}: K = {:.6g}, 1 - K = {:.3g}", to_string(pair.activation), pair.depth,
                        pair.weight_std, pair.bias_std, static_cast<double>(pair.kernel), static_cast<double>(pair.below_one));
        verifier.check(what, difference, 1e-13, [&](std::string&) {
            const PairRecursionOptions options{pair.activation, pair.weight_std, pair.bias_std, true};
            const auto recursion = backend->pair_recursion(options, x.view(), x.view(), Triangle::full);
            recursion->advance(pair.depth);
            Matrix<double> out(backend, 2, 2);
            Largest worst;
            recursion->tangent(out.view());
            worst.add(relative_difference(download(out)(1, 0), pair.kernel));
            recursion->tangent_below_one(out.view());
            worst.add(relative_difference(download(out)(1, 0), pair.below_one));
            return worst.value();
        });
    }
}

void check_closed_form(Verifier& verifier, const VerifyExpected::ClosedForm& study) {
    const auto data = [&](const HostMatrix<double>& x) {
        Dataset set;
        set.source = study.samples;
        set.x = x;
        return set;
    };
    DepthOptions options;
    options.family.weight_std = study.weight_std;
    options.family.bias_std = study.bias_std;
    for (const auto& point : study.points) options.depths.push_back(point.depth);
    // Once for all depths; each check that follows would throw alike.
    DepthResult result;
    std::string failure;
    const Seconds clock;
    try {
        const Dataset train = data(study.train), test = data(study.test);
        result = depth_limit(verifier.backend<double>(), train, &test, options);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::out_of_memory) throw;
        failure = error.what();
    }
    const double share = clock.elapsed() / static_cast<double>(study.points.size());
    for (std::size_t p = 0; p < study.points.size(); ++p) {
        const auto& point = study.points[p];
        VerifyCheck check{{}, {}, difference, std::numeric_limits<double>::quiet_NaN(), 1e-12, failure, false, share};
        // Written by hand: it may be below the smallest double.
        const auto log10 = static_cast<double>(point.log10_max_one_minus_k);
        check.what = fmt::format("u = K^-1 k, {}, depth {}: 1 - K = {:.1f}e{:.0f}", study.samples, point.depth,
                                 std::pow(10, log10 - std::floor(log10)), std::floor(log10));
        if (failure.empty()) {
            Largest worst;
            HostMatrix<double> exact(study.test.rows(), study.train.rows(), {point.weights.begin(), point.weights.end()});
            worst.add(relative_difference(result.weights[p], exact));
            // The factor by which the largest 1 - K is off.
            worst.add(static_cast<double>(
                std::fabs((result.points[p].log10_max_one_minus_k - point.log10_max_one_minus_k) * std::numbers::ln10_v<long double>)));
            check.measured = worst.value();
        }
        verifier.add(std::move(check));
    }
}

}  // namespace

void verify_depth(Verifier& verifier) {
    verifier.begin("depth, against recorded digits");
    check_pairs(verifier);
    for (const auto& study : verifier.expected().closed_forms) check_closed_form(verifier, study);
}

}  // namespace ntk
