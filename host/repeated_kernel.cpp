#include <ntkcuda/repeated_kernel.hpp>

namespace ntk {
namespace {

const EmpiricalOptions& recordable(const EmpiricalOptions& options) {
    if (options.per_layer) throw Error(ErrorCode::invalid_argument, "a repeated kernel has no per_layer terms: they are for empirical_ntk");
    return options;
}

}  // namespace

template <class Real>
RepeatedKernel<Real>::RepeatedKernel(const Network<Real>& network, InputView<Real> x, const EmpiricalOptions& options)
    : theta_(empirical_ntk(network, x, recordable(options))),
      recording_(
          network.backend()->record([&network, x, options, theta = theta_.view()] { empirical_ntk_into(theta, network, x, options); })) {}

template <class Real>
const Matrix<Real>& RepeatedKernel<Real>::run() {
    recording_->run();
    return theta_;
}

template class RepeatedKernel<float>;
template class RepeatedKernel<double>;

}  // namespace ntk
