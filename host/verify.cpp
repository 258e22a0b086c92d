#include "verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

namespace ntk {

Index VerifyReport::failed() const {
    return std::count_if(checks.begin(), checks.end(), [](const VerifyCheck& check) { return !check.passed; });
}

Verifier::Verifier(const VerifyOptions& options, const VerifyExpected& expected, const Progress<const VerifyCheck&>& progress)
    : options_(options),
      expected_(expected),
      progress_(progress),
      double_(make_backend<double>(options.device, options.threads)),
      float_(make_backend<float>(options.device, options.threads)) {
    const DeviceInfo device = double_->info();
    on_cpu_ = device.kind == DeviceKind::cpu;
    if (on_cpu_) reference_threads_ = device.threads == 1 ? 3 : 1;
}

template <>
const std::shared_ptr<Backend<double>>& Verifier::backend<double>() const {
    return double_;
}
template <>
const std::shared_ptr<Backend<float>>& Verifier::backend<float>() const {
    return float_;
}

void Verifier::check(std::string what, VerifyCheck::Measure measure, double bound, const std::function<double(std::string& note)>& work) {
    progress_.check();
    VerifyCheck made{{}, std::move(what), measure, 0, bound, {}, false, 0};
    const Seconds clock;
    try {
        made.measured = work(made.note);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::out_of_memory) throw;
        made.measured = std::numeric_limits<double>::quiet_NaN();
        made.note = error.what();
    }
    made.seconds = clock.elapsed();
    add(std::move(made));
}

void Verifier::add(VerifyCheck check) {
    check.group = group_;
    check.passed = check.measured <= check.bound;
    checks_.push_back(std::move(check));
    progress_(checks_.back());
}

VerifyReport verify(const VerifyOptions& options, const VerifyExpected& expected, const Progress<const VerifyCheck&>& progress) {
    constexpr Index fewest = 4000;
    if (options.networks < fewest)
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("verify: {} networks are too few to conclude anything; take {} or more", options.networks, fewest));
    Verifier verifier(options, expected, progress);
    verify_random(verifier);
    verify_limits(verifier);
    verify_depth(verifier);
    verify_layerwise(verifier);
    verify_factorisations(verifier);
    verify_operations(verifier);
    verify_moments(verifier);
    return {verifier.take()};
}

}  // namespace ntk
