#include "host_backend.hpp"

#include <ntkcuda/network.hpp>

// PLACEHOLDER

namespace ntk {

template <class Real> void HostArithmetic<Real>::gemm(Transpose, Transpose, double, ConstMatrixView<Real>, ConstMatrixView<Real>, double, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostArithmetic<Real>::accumulate_gram(MatrixView<Real>, ConstMatrixView<Real>, ConstMatrixView<Real>, double, Triangle) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostArithmetic<Real>::axpy(double, ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostArithmetic<Real>::scale(double, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostArithmetic<Real>::add_row(ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostArithmetic<Real>::add_to_diagonal(double, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostArithmetic<Real>::diagonal(ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostArithmetic<Real>::mirror_lower(MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostArithmetic<Real>::normalize(ConstMatrixView<Real>, ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostArithmetic<Real>::row_dots(ConstMatrixView<Real>, ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> Norms HostArithmetic<Real>::norms(ConstMatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> Norms HostArithmetic<Real>::difference_norms(ConstMatrixView<Real>, ConstMatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }

template class HostArithmetic<float>;
template class HostArithmetic<double>;

}  // namespace ntk
