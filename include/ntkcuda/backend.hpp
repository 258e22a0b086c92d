#pragma once

/// \file backend.hpp
/// The seam between the algorithms (host/*.cpp, written once) and the devices. An operation is here only if it touches elements
/// of device matrices or calls a vendor library. Views passed to a backend must point into memory of that backend; shapes are the
/// caller's duty except where an operation says that it checks. Operations may return before the work is done; `download` and
/// the operations that return a value wait for it.
///
/// All sums are over float64 or float32 according to `Real`; scalar formulas (activations, duals) are evaluated in float64.
/// Kernels have the same bits on any number of threads: host GEMMs run as one-thread BLAS calls on a fixed tiling.

#include <ntkcuda/activation.hpp>
#include <ntkcuda/device.hpp>
#include <ntkcuda/matrix.hpp>
#include <ntkcuda/octave_series.hpp>
#include <ntkcuda/pair_recursion.hpp>
#include <ntkcuda/random.hpp>

#include <cstdint>
#include <functional>
#include <memory>

namespace ntk {

struct Architecture;
enum class InfiniteKernel;
struct KernelSamplerOptions;
template <class Real>
class KernelSampler;

/// Whether op(a) is a or its transpose.
enum class Transpose { no, yes };
/// Which entries of a square result are computed: `lower` includes the diagonal and leaves the rest as it is.
enum class Triangle { full, lower };

/// Norms of a matrix or of a difference of two.
struct Norms {
    double frobenius = 0;  ///< sqrt(sum of squares)
    double max_abs = 0;    ///< largest |entry|
    double one = 0;        ///< largest column sum of |entry|
    bool finite = true;    ///< no NaN, no infinity
};

/// Which entries a summary is of: `off_diagonal` is those with j < i, each pair of a symmetric matrix once.
enum class Entries { all, off_diagonal };

/// Facts about the entries x - shift of a matrix; all 0 if there are none. A NaN among them is both min and max, and max_abs.
struct EntrySummary {
    Index count = 0;
    double min = 0, max = 0;
    double sum = 0, sum_of_squares = 0;
    double max_abs = 0;
    Index min_row = 0, min_col = 0;  ///< where min is, first in row-major order
    Index max_row = 0, max_col = 0;  ///< where max is
};

/// The powers that add_power takes.
enum class Power { one, half };

/// Result of a Cholesky factorisation: 0, or the 1-based order of the first leading minor that is not positive.
struct CholeskyStatus {
    Index failed_minor = 0;
};

/// Result of an LU factorisation.
struct LuFactor {
    Index zero_pivot = 0;                ///< 1-based order of the first pivot that is exactly zero; 0: none
    std::shared_ptr<const void> pivots;  ///< the row exchanges, in memory of the backend
};

/// The layers of a tangent kernel, added one by one from operands rounded to FP16 (Backend::half_gram_sum).
template <class Real>
class LayerGramSum {
public:
    LayerGramSum() = default;
    LayerGramSum(const LayerGramSum&) = delete;
    LayerGramSum& operator=(const LayerGramSum&) = delete;
    virtual ~LayerGramSum() = default;
    /// One layer, with the shapes and the meaning of Backend::accumulate_layer_gram. The operands need not outlive the call.
    virtual void add(ConstMatrixView<Real> a1, ConstMatrixView<Real> a2, ConstMatrixView<Real> d1, ConstMatrixView<Real> d2, double scale,
                     double shift) = 0;
    /// theta is complete after this; no layer can be added any more.
    virtual void finish() = 0;
};

/// Work that a backend keeps to run it again (Backend::record).
class Recording {
public:
    Recording() = default;
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;
    virtual ~Recording() = default;
    /// The same operations on what their matrices hold now, in order with the other work of the backend; may return before it is done.
    virtual void run() = 0;
};

/// Brings matrices to the host one behind the other while the device works on (Backend::host_staging).
template <class Real>
class HostStaging {
public:
    /// Rows [first, first + entries.rows()) of a matrix, in memory of the host, until the call returns.
    using Visit = std::function<void(Index first, ConstMatrixView<Real> entries)>;
    HostStaging() = default;
    HostStaging(const HostStaging&) = delete;
    HostStaging& operator=(const HostStaging&) = delete;
    virtual ~HostStaging() = default;
    /// Shows the values that `matrix` has after the work given so far to visit, all rows once and in order: during this call (CPU), or
    /// during the next one (CUDA), which can be made while the device still works on what comes next. The matrix is released then.
    /// An exception of visit comes out of here, or of finish(); this can only be destroyed then.
    virtual void put(Matrix<Real> matrix, Visit visit) = 0;
    /// All rows have been visited after this.
    virtual void finish() = 0;
};

/// One device with its memory; made by make_backend (device.hpp). One thread at a time (ntkcuda.hpp).
template <class Real>
class Backend : public std::enable_shared_from_this<Backend<Real>> {
public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;

    // --- device and memory ---------------------------------------------------------------------------------------------
    /// What this backend runs on, memory_free as of now.
    [[nodiscard]] virtual DeviceInfo info() const = 0;
    /// Throws Error(out_of_memory) with the bytes asked for and free.
    [[nodiscard]] virtual Real* allocate(Index count) = 0;
    /// What allocate() gave.
    virtual void release(Real* data) noexcept = 0;
    /// Host memory to the device, and back; `download` waits for the values, `upload` may still read `host` until synchronize().
    virtual void upload(ConstMatrixView<Real> host, MatrixView<Real> device) = 0;
    virtual void download(ConstMatrixView<Real> device, MatrixView<Real> host) = 0;
    /// Entry by entry, like fill; views of equal shapes that do not overlap.
    virtual void copy(ConstMatrixView<Real> from, MatrixView<Real> to) = 0;
    virtual void fill(MatrixView<Real> x, double value) = 0;
    /// Waits for all work given so far; throws Error(device_failure) if any of it failed.
    virtual void synchronize() = 0;
    /// Keeps `work`, operations of this backend, to be run again for the price of one call: a GPU records what they are, without running
    /// them; the CPU keeps the function and calls it in each run. `work` must have run before, so that nothing is prepared for a first use.
    /// The matrices of others that it uses must stay where they are for as long as the result is used; those that it makes it must
    /// release. Until this returns no other thread may use the backend.
    /// Throws what `work` throws, and on a GPU Error(invalid_argument) if `work` waits for the device, as download and norms do: nothing is
    /// recorded then, and nothing is lost.
    [[nodiscard]] virtual std::unique_ptr<Recording> record(std::function<void()> work) = 0;
    /// Matrices to the host beside the work of the device. CUDA: over two strips of pinned memory, on a stream of its own; CPU: no copy.
    [[nodiscard]] virtual std::unique_ptr<HostStaging<Real>> host_staging() = 0;
    /// Released memory is kept for later matrices only as far as it and the matrices that are there stay within `bytes` together. No limit
    /// at first. An allocation that passes the limit by itself is not refused.
    virtual void limit_memory(std::uint64_t bytes) = 0;
    /// Bytes of work space, at most, that the operations which make a kernel of rows x cols entries take beside operands and result;
    /// `inputs` are the columns of the samples. CPU: of one thread, so that what is planned by it is the same on any number of threads.
    [[nodiscard]] virtual std::uint64_t kernel_workspace(Index rows, Index cols, Index inputs) const = 0;

    // --- dense arithmetic ------------------------------------------------------------------------------------------------
    /// c = alpha op(a) op(b) + beta c.  2 m n k flops.
    virtual void gemm(Transpose ta, Transpose tb, double alpha, ConstMatrixView<Real> a, ConstMatrixView<Real> b, double beta, MatrixView<Real> c) = 0;
    /// theta += alpha j1 j2^T. With Triangle::lower j1 and j2 must be the same view and only that triangle is touched.
    virtual void accumulate_gram(MatrixView<Real> theta, ConstMatrixView<Real> j1, ConstMatrixView<Real> j2, double alpha, Triangle triangle) = 0;
    /// y += alpha x, elementwise.
    virtual void axpy(double alpha, ConstMatrixView<Real> x, MatrixView<Real> y) = 0;
    /// x *= alpha, elementwise.
    virtual void scale(double alpha, MatrixView<Real> x) = 0;
    /// y += alpha x^power, elementwise; for Power::half x >= 0 (the root of a negative entry is NaN).
    virtual void add_power(double alpha, Power power, ConstMatrixView<Real> x, MatrixView<Real> y) = 0;
    /// Each row of x gets `row` (1 x cols) added.
    virtual void add_row(ConstMatrixView<Real> row, MatrixView<Real> x) = 0;
    /// x(i, i) += value.
    virtual void add_to_diagonal(double value, MatrixView<Real> x) = 0;
    /// diagonal (n x 1) = x(i, i).
    virtual void diagonal(ConstMatrixView<Real> x, MatrixView<Real> diagonal) = 0;
    /// x(i, j) for j > i becomes x(j, i).
    virtual void mirror_lower(MatrixView<Real> x) = 0;
    /// x(i, j) /= sqrt(rows(i) cols(j)); `rows` (m x 1) and `cols` (n x 1) are the two diagonals.
    virtual void normalize(ConstMatrixView<Real> rows, ConstMatrixView<Real> cols, MatrixView<Real> x) = 0;
    /// out (rows x 1): sum_j a(i, j) b(i, j).
    virtual void row_dots(ConstMatrixView<Real> a, ConstMatrixView<Real> b, MatrixView<Real> out) = 0;
    /// Accumulated in float64.
    [[nodiscard]] virtual Norms norms(ConstMatrixView<Real> x) = 0;
    /// Norms of x - y, accumulated in float64.
    [[nodiscard]] virtual Norms difference_norms(ConstMatrixView<Real> x, ConstMatrixView<Real> y) = 0;
    /// Facts about x(i, j) - shift, in float64; the sums are compensated, over a fixed partition.
    [[nodiscard]] virtual EntrySummary summarize(ConstMatrixView<Real> x, Entries entries, double shift) = 0;
    /// Moments of each column of x (N x E, N > 0), 6 x E: mean, sum of (x - mean)^2, of its 3rd and 4th powers, smallest, largest. Float64
    /// inside, in two passes over strips of rows that are joined in order: the same bits whatever the number of threads. A NaN makes
    /// all six of its column NaN, an infinity the sums.  About 12 N E flops.
    [[nodiscard]] virtual HostMatrix<double> column_moments(ConstMatrixView<Real> x) = 0;

    // --- finite network --------------------------------------------------------------------------------------------------
    /// x(i, j) = Real(scale * normal(i * cols + j)), one float64 product and one rounding: the same bits on every backend.
    virtual void draw_normals(NormalStream stream, double scale, MatrixView<Real> x) = 0;
    /// a = phi(z); a may be z.
    virtual void activate(const Activation& activation, ConstMatrixView<Real> z, MatrixView<Real> a) = 0;
    /// delta (n O x w): row (i, o) *= phi'(z row i), O = delta.rows() / z.rows().
    virtual void multiply_by_slope(const Activation& activation, ConstMatrixView<Real> z, MatrixView<Real> delta) = 0;
    /// delta (n O x w) of the last hidden layer: delta((i, o), j) = w(o, j) phi'(z(i, j)); w is the output layer (O x w).
    virtual void output_delta(const Activation& activation, ConstMatrixView<Real> w, ConstMatrixView<Real> z, MatrixView<Real> delta) = 0;

    // --- kernels of a finite network ------------------------------------------------------------------------------------
    /// One layer of the tangent kernel (theory: Novak et al. 2022): with r = d1.rows() / a1.rows() rows of delta for each sample,
    ///     theta((x, o), (x', o')) += (scale <a1(x), a2(x')> + shift) <d1(x, o), d2(x', o')>.
    /// theta is (n1 r) x (n2 r). With empty d1 and d2 the layer is the output layer, whose delta is the identity: r =
    /// theta.rows() / a1.rows() and the second factor is [o = o'].
    /// With Triangle::lower both sides must be the same views; call mirror_lower once after the last layer.
    /// (n1 n2 k + n1 n2 r^2 w) 2 flops, half of it with Triangle::lower; no temporary of the size of theta.
    virtual void accumulate_layer_gram(MatrixView<Real> theta, ConstMatrixView<Real> a1, ConstMatrixView<Real> a2, ConstMatrixView<Real> d1,
                                       ConstMatrixView<Real> d2, double scale, double shift, Triangle triangle) = 0;
    /// The same sum with coarse products, added to theta, which must outlive the result. Each row of an operand is divided by the power of
    /// two that brings its largest |entry| into [1, 2) and rounded to FP16, to nearest, ties to even (formulas/half_rounding.hpp: the same
    /// rounded values on every backend; a zero row stays zero, one that is not finite becomes NaN). Products are summed in float32; the
    /// two products of a layer are multiplied and added in float64, or by a kernel of some devices in float32, in units of a power of two a
    /// row. So theta is, up to those sums, the Gram matrix of rounded operands.
    [[nodiscard]] virtual std::unique_ptr<LayerGramSum<Real>> half_gram_sum(MatrixView<Real> theta, Triangle triangle) = 0;
    /// The diagonal of the same sum: theta (n x O) (x, o) += (scale |a(x)|^2 + shift) |d(x, o)|^2; empty d: second factor 1.
    virtual void accumulate_layer_diagonal(MatrixView<Real> theta, ConstMatrixView<Real> a, ConstMatrixView<Real> d, double scale, double shift) = 0;
    /// Columns of the Jacobian of one layer for its units [first, first + count): out (n O x count k),
    ///     out((x, o), r k + c) = scale delta((x, o), first + r) a(x, c).
    /// Empty delta: the output layer, delta((x, o), u) = [o = u], O = out.rows() / a.rows().
    virtual void jacobian_block(ConstMatrixView<Real> delta, ConstMatrixView<Real> a, Index first, Index count, double scale, MatrixView<Real> out) = 0;
    /// Draws the kernels of many random networks on the rows of x (n x d), of which it keeps a copy. Throws Error(invalid_argument) for an
    /// architecture that is not valid, Error(shape_mismatch) if x does not fit it or is empty.
    [[nodiscard]] virtual std::unique_ptr<KernelSampler<Real>> kernel_sampler(const KernelSamplerOptions& options, ConstMatrixView<Real> x) = 0;

    // --- infinite width -----------------------------------------------------------------------------------------------------
    /// out (n1 x n2) = the limiting kernel of `architecture` between the rows of x1 and of x2 (infinite_width.hpp). Arithmetic in float64.
    /// With Triangle::lower x1 and x2 are the same view.
    virtual void infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x1, ConstMatrixView<Real> x2,
                                       Triangle triangle, MatrixView<Real> out) = 0;

    /// out (n x 1) = its diagonal at the rows of x.
    virtual void infinite_width_diagonal(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x,
                                         MatrixView<Real> out) = 0;

    /// The normalised recursion between the rows of x1 and of x2 (n1 x n2), at depth 1 (pair_recursion.hpp). With Triangle::lower x1 and x2
    /// are the same view. The rows are not needed afterwards.
    /// Throws Error(invalid_argument) for options out of their domain, and naming the first row that is not finite, whose |x|^2 leaves the
    /// range of doubles where the variance decides, or that is zero where sigma_b = 0 (it has no normalised kernel);
    /// Error(out_of_memory).
    [[nodiscard]] virtual std::unique_ptr<PairRecursion<Real>> pair_recursion(const PairRecursionOptions& options, ConstMatrixView<Real> x1,
                                                                              ConstMatrixView<Real> x2, Triangle triangle) = 0;

    // --- functions of the angle between inputs --------------------------------------------------------------------------
    /// out (n1 x n2) = tan(theta / 2) = sqrt((1 - cos theta) / (1 + cos theta)) of the angle theta between the rows of x1 and x2, with
    /// full relative precision near 0 and pi: exactly 0 for equal directions, infinity for opposite ones, NaN where a row is zero or
    /// not finite. Arithmetic in float64.  2 n1 n2 d flops, 3 times that for pairs within 26 degrees of a line.
    /// With Triangle::lower x1 and x2 are the same view, and the diagonal is exactly 0 (or NaN).
    virtual void half_angle_tangents(ConstMatrixView<Real> x1, ConstMatrixView<Real> x2, Triangle triangle, MatrixView<Real> out) = 0;

    /// out(i, j) = f(t(i, j)), f as tabulated by `series`; NaN where t is in none of its octaves (negative and NaN included). The series
    /// is summed in float64, in the same order on every backend. out may be t. With Triangle::lower only j <= i is read and written.
    /// 3 flops for each term.
    virtual void evaluate_series(const OctaveSeries& series, ConstMatrixView<Real> t, Triangle triangle, MatrixView<Real> out) = 0;

    // --- closed form ---------------------------------------------------------------------------------------------------------
    /// k (lower triangle read) becomes its Cholesky factor in the lower triangle; the strict upper triangle keeps its values.  n^3 / 3
    /// flops.
    [[nodiscard]] virtual CholeskyStatus cholesky(MatrixView<Real> k) = 0;
    /// b (n x m) becomes K^{-1} b, from the factor.
    virtual void cholesky_solve(ConstMatrixView<Real> factor, MatrixView<Real> b) = 0;
    /// Each row r of b (m x n) becomes G^{-1} r with K = G G^T, that is b becomes b G^{-T}: rows, so that a cross kernel (tests x n)
    /// needs no transposed copy.  m n^2 flops.
    virtual void triangular_solve_rows(ConstMatrixView<Real> factor, MatrixView<Real> b) = 0;
    /// a (n x n, any) becomes its LU factors with partial pivoting, in an order that is lu_solve_rows' own.  2/3 n^3 flops.
    [[nodiscard]] virtual LuFactor lu(MatrixView<Real> a) = 0;
    /// Each row r of b (m x n) becomes (A^{-1} r^T)^T, from the factors.  2 m n^2 flops. Throws Error(invalid_argument) for factors with
    /// a zero pivot.
    virtual void lu_solve_rows(ConstMatrixView<Real> factor, const LuFactor& lu, MatrixView<Real> b) = 0;
    /// Eigenvalues (n x 1, ascending) of the symmetric k (lower triangle read). With `vectors` ROW i of k becomes the unit eigenvector
    /// of values(i) (LAPACK's columns, left where it puts them), otherwise k is destroyed.  About 4/3 n^3 (values) or 9 n^3 (vectors)
    /// flops. Throws Error(device_failure) if the iteration does not converge.
    virtual void eigen(MatrixView<Real> k, MatrixView<Real> values, bool vectors) = 0;
};

}  // namespace ntk
