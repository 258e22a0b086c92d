// Factorisations by the 64-bit interface of cuSOLVER. The row-major lower triangle is the column-major upper one.

#include "blas.hpp"
#include "cuda_backend.hpp"
#include "solver_work.hpp"

#include "host/backend/lu_factor.hpp"

#include <string>

namespace ntk::cuda {
namespace {

using Parameters = Unique<cusolverDnParams_t, cusolverDnDestroyParams>;

Parameters new_parameters() {
    cusolverDnParams_t parameters = nullptr;
    check(cusolverDnCreateParams(&parameters), "cusolverDnCreateParams");
    return Parameters(parameters);
}

}  // namespace

template <class Real>
CholeskyStatus CudaBackend<Real>::cholesky(MatrixView<Real> k) {
    if (k.empty()) return {};
    Context& context = this->context();
    const cusolverDnHandle_t solver = context.solver();
    const Parameters parameters = new_parameters();
    std::size_t device_bytes = 0, host_bytes = 0;
    check(cusolverDnXpotrf_bufferSize(solver, parameters.get(), CUBLAS_FILL_MODE_UPPER, k.rows(), data_type<Real>, k.data(), k.stride(),
                                      data_type<Real>, &device_bytes, &host_bytes),
          "cusolverDnXpotrf_bufferSize");
    SolverWork work(context, device_bytes, host_bytes);
    check(
        cusolverDnXpotrf(solver, parameters.get(), CUBLAS_FILL_MODE_UPPER, k.rows(), data_type<Real>, k.data(), k.stride(), data_type<Real>,
                         work.device.template as<void>(), work.device_bytes, work.host.data(), work.host.size(), work.info()),
        "cusolverDnXpotrf");
    return {work.fetch_info("cusolverDnXpotrf")};
}

template <class Real>
void CudaBackend<Real>::cholesky_solve(ConstMatrixView<Real> factor, MatrixView<Real> b) {
    if (b.empty()) return;
    solve_lower(this->context(), Transpose::no, factor, b);
    solve_lower(this->context(), Transpose::yes, factor, b);
}

template <class Real>
void CudaBackend<Real>::triangular_solve_rows(ConstMatrixView<Real> factor, MatrixView<Real> b) {
    if (b.empty()) return;
    solve_lower_rows(this->context(), factor, b);
}

// The factors are those of A^T, and the rows of b are cuSOLVER's columns.
template <class Real>
LuFactor CudaBackend<Real>::lu(MatrixView<Real> a) {
    if (a.empty()) return {};
    Context& context = this->context();
    const cusolverDnHandle_t solver = context.solver();
    const Parameters parameters = new_parameters();
    std::size_t device_bytes = 0, host_bytes = 0;
    check(cusolverDnXgetrf_bufferSize(solver, parameters.get(), a.rows(), a.rows(), data_type<Real>, a.data(), a.stride(), data_type<Real>,
                                      &device_bytes, &host_bytes),
          "cusolverDnXgetrf_bufferSize");
    // The pivots keep the backend, whose memory they are.
    const auto release = [backend = this->shared_from_this(), &context](std::int64_t* p) { context.release(p); };
    const std::shared_ptr<std::int64_t> pivots(static_cast<std::int64_t*>(context.allocate(a.rows() * sizeof(std::int64_t))), release);
    SolverWork work(context, device_bytes, host_bytes);
    check(
        cusolverDnXgetrf(solver, parameters.get(), a.rows(), a.rows(), data_type<Real>, a.data(), a.stride(), pivots.get(), data_type<Real>,
                         work.device.template as<void>(), work.device_bytes, work.host.data(), work.host.size(), work.info()),
        "cusolverDnXgetrf");
    return {work.fetch_info("cusolverDnXgetrf"), pivots};
}

template <class Real>
void CudaBackend<Real>::lu_solve_rows(ConstMatrixView<Real> factor, const LuFactor& lu, MatrixView<Real> b) {
    if (b.empty()) return;
    refuse_zero_pivot(lu);
    Context& context = this->context();
    const cusolverDnHandle_t solver = context.solver();
    const Parameters parameters = new_parameters();
    SolverWork work(context, 0, 0);
    check(cusolverDnXgetrs(solver, parameters.get(), CUBLAS_OP_T, factor.rows(), b.rows(), data_type<Real>, factor.data(), factor.stride(),
                           static_cast<const std::int64_t*>(lu.pivots.get()), data_type<Real>, b.data(), b.stride(), work.info()),
          "cusolverDnXgetrs");
    work.fetch_info("cusolverDnXgetrs");
}

template <class Real>
void CudaBackend<Real>::eigen(MatrixView<Real> k, MatrixView<Real> values, bool vectors) {
    if (k.empty()) return;
    Context& context = this->context();
    const cusolverDnHandle_t solver = context.solver();
    const Parameters parameters = new_parameters();
    const cusolverEigMode_t mode = vectors ? CUSOLVER_EIG_MODE_VECTOR : CUSOLVER_EIG_MODE_NOVECTOR;
    const Buffer spectrum(context, k.rows() * sizeof(Real));  // `values` may have gaps
    std::size_t device_bytes = 0, host_bytes = 0;
    check(cusolverDnXsyevd_bufferSize(solver, parameters.get(), mode, CUBLAS_FILL_MODE_UPPER, k.rows(), data_type<Real>, k.data(),
                                      k.stride(), data_type<Real>, spectrum.as<Real>(), data_type<Real>, &device_bytes, &host_bytes),
          "cusolverDnXsyevd_bufferSize");
    SolverWork work(context, device_bytes, host_bytes);
    check(cusolverDnXsyevd(solver, parameters.get(), mode, CUBLAS_FILL_MODE_UPPER, k.rows(), data_type<Real>, k.data(), k.stride(),
                           data_type<Real>, spectrum.as<Real>(), data_type<Real>, work.device.template as<void>(), work.device_bytes,
                           work.host.data(), work.host.size(), work.info()),
          "cusolverDnXsyevd");
    if (const int info = work.fetch_info("cusolverDnXsyevd"); info > 0)
        throw Error(ErrorCode::device_failure,
                    "the eigenvalue iteration did not converge: " + std::to_string(info) + " off-diagonal entries are left");
    this->copy(ConstMatrixView<Real>(spectrum.as<Real>(), k.rows(), 1), values);
}

template class CudaBackend<float>;
template class CudaBackend<double>;

}  // namespace ntk::cuda
