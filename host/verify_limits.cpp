// Infinite-width kernels against recorded numbers, relative to sqrt(K(x, x) K(x', x')): an entry near a zero crossing has no relative
// precision of its own.

#include "verify.hpp"

#include <fmt/format.h>

namespace ntk {

void verify_limits(Verifier& verifier) {
    verifier.begin("infinite width, against recorded digits");
    const auto& backend = verifier.backend<double>();
    for (const auto& limit : verifier.expected().limits) {
        const Architecture& a = limit.architecture;
        const std::string what = fmt::format("{} {}, depth {}, sigma_w {:.4g}, sigma_b {:.4g}{}", to_string(a.activation),
                                             limit.kernel == InfiniteKernel::ntk ? "NTK" : "NNGP", a.depth(), a.weight_std, a.bias_std,
                                             a.parametrization == Parametrization::standard ? ", standard" : "");
        verifier.check(what, VerifyCheck::Measure::difference, 1e-15, [&](std::string&) {
            const HostMatrix<double> kernel =
                download(infinite_width_kernel(a, limit.kernel, upload(backend, verifier.expected().limit_inputs)));
            Largest worst;
            auto exact = limit.lower.begin();
            for (Index i = 0; i < kernel.rows(); ++i)
                for (Index j = 0; j <= i; ++j) {
                    const double size = std::sqrt(kernel(i, i) * kernel(j, j));
                    worst.add(static_cast<double>(std::fabs(kernel(i, j) - *exact++)) / size);
                }
            return worst.value();
        });
    }
}

}  // namespace ntk
