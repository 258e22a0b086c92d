// Moments of many random networks against exact theory.

#include "verify.hpp"

#include <ntkcuda/ensemble.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ntk {
namespace {

struct Setting {
    Architecture architecture;
    Sampler sampler;
};

std::vector<Setting> settings() {
    std::vector<Architecture> shapes{{.inputs = 2, .hidden = {20, 20, 20}},
                                     {.inputs = 3, .hidden = {10, 10}},
                                     {.inputs = 5, .hidden = {30, 12, 20}, .outputs = 3},
                                     {.inputs = 3, .hidden = {12, 40}, .outputs = 2, .weight_std = 1},
                                     {.inputs = 4, .hidden = {32, 16, 24, 48}},
                                     {.inputs = 6, .hidden = {8}, .outputs = 2}};
    // One hidden layer has the mean of its limit with any activation and with biases.
    shapes.push_back({.inputs = 3, .hidden = {16}, .activation = parse_activation("erf"), .bias_std = 0.5, .biases = Biases::trained});
    std::vector<Setting> all;
    for (const Architecture& shape : shapes)
        for (const Sampler sampler : {Sampler::weights, Sampler::conditional}) all.push_back({shape, sampler});
    return all;
}

template <class Real>
std::vector<Comparison> compare(const Verifier& verifier, const Setting& setting) {
    const Architecture& a = setting.architecture;
    const std::uint64_t seed = verifier.options().seed;
    const HostMatrix<double> x = host_normals({seed, 0, data_stream}, 2, a.inputs);
    EnsembleOptions options;
    options.sampler = {a, setting.sampler, seed, Block::full, true};
    options.networks = verifier.options().networks;
    const KernelEntry first{KernelEntry::Kernel::tangent, 0, 0, 0}, second{KernelEntry::Kernel::tangent, 1, 1, 0};
    if (a.outputs > 1) options.covariances = {{first, second}};
    const Ensemble drawn = ensemble(verifier.backend<Real>(), x, options);
    const Matrix<double> inputs = upload(verifier.backend<double>(), x);
    const auto limit = [&](InfiniteKernel kernel) { return download(infinite_width_kernel(a, kernel, inputs)); };
    return compare_with_theory(drawn, x, {limit(InfiniteKernel::ntk), limit(InfiniteKernel::nngp)}, options.covariances,
                               verifier.expected().second_moments);
}

/// The bound that the largest |z| of this many comparisons together passes with probability Verdict::significance.
double largest_z_allowed(Index comparisons) {
    const double each = -std::expm1(std::log1p(-Verdict::significance) / static_cast<double>(std::max<Index>(1, comparisons)));
    double low = 0, high = 40;
    for (int i = 0; i < 60; ++i) {
        const double middle = (low + high) / 2;
        (std::erfc(middle / std::numbers::sqrt2) > each ? low : high) = middle;
    }
    return high;
}

void check_recursion(Verifier& verifier) {
    for (const auto& moment : verifier.expected().moments) {
        verifier.check(fmt::format("exact E Theta^2 / (E Theta)^2 = {:.6g}, hidden widths {}", static_cast<double>(moment.ratio),
                                   fmt::join(moment.hidden, ",")),
                       VerifyCheck::Measure::difference, 1e-15, [&](std::string&) {
                           const Architecture a{.hidden = moment.hidden};
                           return relative_difference(1 + verifier.expected().second_moments(a).variance(), moment.ratio);
                       });
    }
}

}  // namespace

void verify_moments(Verifier& verifier) {
    verifier.begin(fmt::format("exact moments, {} random networks each", verifier.options().networks));
    check_recursion(verifier);
    // Their common bound is known once all comparisons are.
    std::vector<VerifyCheck> checks;
    std::vector<std::string> farthest;  // what the largest |z| of each is of
    Index comparisons = 0;
    const auto draw = [&]<class Real>(const Setting& setting, std::type_identity<Real>) {
        const Architecture& a = setting.architecture;
        VerifyCheck check;
        check.measure = VerifyCheck::Measure::z;
        check.what = fmt::format("{} {}-{}-{}, {} sampler, {}", to_string(a.activation), a.inputs, fmt::join(a.hidden, "-"), a.outputs,
                                 setting.sampler == Sampler::weights ? "weights" : "conditional", precision_name<Real>);
        check.measured = std::numeric_limits<double>::quiet_NaN();
        const Seconds clock;
        farthest.emplace_back();
        try {
            const Verdict verdict = judge(compare<Real>(verifier, setting));
            if (verdict.comparisons > 0) check.measured = verdict.largest_z;
            check.note = fmt::format("{} comparisons", verdict.comparisons);
            if (verdict.inconclusive > 0) check.note += fmt::format(", {} not conclusive", verdict.inconclusive);
            if (verdict.comparisons == 0) check.note += ": take more networks";
            comparisons += verdict.comparisons;
            farthest.back() = verdict.worst;
        } catch (const Error& error) {
            if (error.code() == ErrorCode::out_of_memory) throw;
            check.note = error.what();
        }
        check.seconds = clock.elapsed();
        checks.push_back(std::move(check));
    };
    for (const Setting& setting : settings()) draw(setting, std::type_identity<double>{});
    // Once with each sampler in float32.
    draw(settings()[0], std::type_identity<float>{});
    draw(settings()[5], std::type_identity<float>{});
    for (std::size_t i = 0; i < checks.size(); ++i) {
        checks[i].bound = largest_z_allowed(comparisons);
        if (checks[i].measured > checks[i].bound) checks[i].note += ": " + farthest[i];
        verifier.add(std::move(checks[i]));
    }
}

}  // namespace ntk
