#pragma once

/// \file feature_space.hpp
/// The closed form where a kernel has fewer features than rows: K = Phi Phi^T with Phi (n r) x F, as every kernel of a finite network has
/// (its Jacobian, or its last activations), and with ridge > 0
///
///     k(x)^T (K + ridge I)^{-1} y = phi(x) w,     (Phi^T Phi + ridge I) w = Phi^T y     (F x F)

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/gram.hpp>

#include <functional>
#include <optional>

namespace ntk {

/// Phi at some samples: (n r) x F.
template <class Real>
struct FeatureMap {
    std::function<Matrix<Real>(ConstMatrixView<Real> x)> at;
    Index features = 0, rows_per_sample = 1;
};

/// F of the empirical NTK: P, or O P with Block::trace of O outputs.
[[nodiscard]] Index tangent_feature_count(const Architecture& architecture, Block block);
/// F of the empirical NNGP: n_{L-1}, and one for a bias.
[[nodiscard]] Index nngp_feature_count(const Architecture& architecture);

/// The Jacobian (full), or sqrt(1/O) times its rows of all outputs side by side (trace): Phi Phi^T is empirical_ntk. `network` must outlive
/// it. Throws Error(invalid_argument) for Block::diag.
template <class Real>
[[nodiscard]] FeatureMap<Real> tangent_features(const Network<Real>& network, Block block);
/// sigma_w / sqrt(n_{L-1}) a^{L-1}, and sigma_b: Phi Phi^T is empirical_nngp.
template <class Real>
[[nodiscard]] FeatureMap<Real> nngp_features(const Network<Real>& network);

/// A factorised system of the features of n samples: 2 n r F^2 + F^3 / 3 flops once.
template <class Real>
class FeatureSystem {
public:
    /// By `batch` samples at a time. Throws Error(not_positive_definite) for ridge 0 with fewer features than rows, where K is singular,
    /// and as KernelSystem; `samples` and what `map` needs must outlive this.
    FeatureSystem(FeatureMap<Real> map, std::shared_ptr<Backend<Real>> backend, InputView<Real> samples, double ridge, Index batch,
                  const Progress<Index, Index>& progress = {});

    /// Of K + ridge I: the log determinant exactly, the condition as estimated for Phi^T Phi + ridge I, whose extreme eigenvalues are the
    /// same.
    [[nodiscard]] const SystemReport& report() const { return report_; }
    /// w (F x m) of the targets y ((n r) x m).
    [[nodiscard]] Matrix<Real> weights(InputView<Real> y) const;
    /// phi(x) w: (x.rows() r) x m.
    [[nodiscard]] Matrix<Real> predict(InputView<Real> x, const Matrix<Real>& weights) const;
    /// (K + ridge I)^{-1} y = (y - Phi w) / ridge, for a ridge > 0.
    [[nodiscard]] Matrix<Real> coefficients(InputView<Real> y, const Matrix<Real>& weights) const;

private:
    FeatureMap<Real> map_;
    std::shared_ptr<Backend<Real>> backend_;
    ConstMatrixView<Real> samples_;
    double ridge_;
    Index batch_;
    std::optional<KernelSystem<Real>> system_;
    SystemReport report_;
};

}  // namespace ntk
