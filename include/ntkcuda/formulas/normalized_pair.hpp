#pragma once

/// \file formulas/normalized_pair.hpp
/// A pair of samples, layer by layer, to any depth: rho, K and their differences from 1 by limit_recursion.hpp, with the factors of
/// normalized_sample.hpp.
///
/// What limits the digits after a million layers is no single rounding but one that is the same in every layer. So wherever a layer
/// hardly changes a value, its small change is added before the one rounding, and where even that changes too little from layer to layer
/// (rho near 1 at or near criticality) the rounding of 1 - rho is carried along.

#include <ntkcuda/formulas/normalized_sample.hpp>

namespace ntk::formulas {

/// What a pair carries from layer to layer.
struct NormalizedPair {
    Correlation correlation;
    double below_one_low;  ///< what rounding cut off 1 - rho
    Tangent tangent;

    static constexpr int count = 8;
    NTK_HD void store(double* to, long stride) const {
        to[0] = correlation.rho;
        to[stride] = correlation.below_one;
        to[2 * stride] = correlation.above_minus_one;
        to[3 * stride] = correlation.difference;
        to[4 * stride] = below_one_low;
        to[5 * stride] = tangent.value;
        to[6 * stride] = tangent.below_one;
        to[7 * stride] = tangent.difference;
    }
    NTK_HD static NormalizedPair load(const double* from, long stride) {
        return {{from[0], from[stride], from[2 * stride], from[3 * stride]},
                from[4 * stride],
                {from[5 * stride], from[6 * stride], from[7 * stride]}};
    }
};

/// Its kernels with their differences from 1, as they are told.
NTK_HD Correlation correlation_of(const NormalizedPair& pair) { return consistent(pair.correlation); }
NTK_HD Tangent tangent_of(const NormalizedPair& pair) { return consistent(pair.tangent); }

/// The first layer. `Unequal`: norms matter, that is sigma_b > 0 or the dual depends on the variances.
template <bool Unequal>
NTK_HD NormalizedPair first_pair(const InputPair& angle, const FirstFactors& x, const FirstFactors& y) {
    const InputPair input{angle.rho, angle.below_one, angle.above_minus_one, Unequal ? angle.difference : 0};
    // Without a tangent kernel (a zero row with fixed biases) K is 0 by convention; the next layer takes nothing over from it.
    const bool kernel = x.tangent_root > 0 && y.tangent_root > 0;
    const Correlation correlation = Unequal ? first_correlation(input, x.layer, y.layer, x.covariance_root / y.covariance_root)
                                            : Correlation{input.rho, input.below_one, input.above_minus_one, 0};
    const Tangent tangent = first_tangent(input, x.layer, y.layer, Unequal && kernel ? x.tangent_root / y.tangent_root : 1);
    return {correlation, 0, {kernel ? tangent.value : 0, kernel ? tangent.below_one : 1, kernel ? tangent.difference : 0}};
}

/// The next layer. `Bias`: sigma_b > 0; without it the image is the next correlation.
template <bool Bias, class Dual>
NTK_HD NormalizedPair next_pair(const Dual& dual, const NormalizedPair& pair, const TableEntry<PreciseLayerFactors, Dual>& first,
                                const TableEntry<PreciseLayerFactors, Dual>& second) {
    // References into larger objects would keep loops from vectorising.
    const PreciseLayerFactors x = first.layer, y = second.layer;
    const typename Dual::Factors dual_x = first.dual, dual_y = second.dual;
    const Correlation correlation = pair.correlation;
    const Tangent tangent = pair.tangent;
    const Image image = dual.image(correlation, dual_x, dual_y);
    NormalizedPair next;
    next.tangent = next_tangent(tangent, image, x, y);
    const double low = image.below_one_low + (correlation.below_one < 0.5 ? image.below_one_slope * pair.below_one_low : 0);
    DoubleDouble below_one = ordered_sum(image.value.below_one, low);
    if constexpr (Bias) {
        next.correlation = next_correlation(image, x, y);
        const DoubleDouble weight = covariance_weight(x, y), product = exact_product(weight.hi, image.value.below_one);
        const double rest = product.lo + (weight.lo * image.value.below_one + weight.hi * low);
        below_one = exact_sum(product.hi, rest + covariance_defect(next.correlation.difference, x, y));
    } else {
        next.correlation = image.value;
    }
    next.correlation.below_one = below_one.hi;
    next.below_one_low = below_one.lo;
    return next;
}

}  // namespace ntk::formulas
