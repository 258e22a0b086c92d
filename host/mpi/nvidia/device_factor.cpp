#include "device_factor.hpp"

#include "cuda/distributed_part.hpp"
#include "host/mpi/mirrored_blocks.hpp"
#include "host/rank_numbers.hpp"

#include <algorithm>

namespace ntk::nvidia {
namespace {

constexpr cublasFillMode_t triangle = CUBLAS_FILL_MODE_LOWER;
/// Everything begins in the first row and column, counting from 1.
constexpr std::int64_t first_index = 1;

/// The first minor that a rank has found not to be positive; 0: none.
int first_of_all(MpiRanks& ranks, int mine) {
    int first = 0;
    for (const int theirs : of_every_rank(ranks, mine))
        if (theirs > 0 && (first == 0 || theirs < first)) first = theirs;
    return first;
}

}  // namespace

template <class Real>
DeviceFactor<Real>::DeviceFactor(const Group<Real>& group, const DistributedLayout& of_kernel, Matrix<Real> part)
    : DistributedFactor<Real>(group.ranks(), of_kernel),
      group_(group),
      part_(std::move(part)),
      nothing_(group.context(), sizeof(Real)),
      description_(group.describe(of_kernel, part_.cols())) {}

template <class Real>
std::vector<double> DeviceFactor<Real>::diagonal() const {
    const std::vector<KernelPiece> pieces = diagonal_pieces(layout(), rank());
    Index count = 0;
    for (const KernelPiece& piece : pieces) count += piece.rows;
    Matrix<Real> entries(group_.backend(), count, 1);
    Index next = 0;
    for (const KernelPiece& piece : pieces) {
        group_.backend()->diagonal(block_of(part_.view(), piece), entries.view().row_range(next, piece.rows));
        next += piece.rows;
    }
    const HostMatrix<Real> mine = download(entries);
    std::vector<double> all(static_cast<std::size_t>(n()));
    next = 0;
    for (const KernelPiece& piece : pieces)
        for (Index i = 0; i < piece.rows; ++i, ++next)
            all[static_cast<std::size_t>(layout().global_row(rank(), piece.row + i))] = static_cast<double>(mine(next, 0));
    this->ranks().sum(std::span(all));
    return all;
}

template <class Real>
std::vector<double> DeviceFactor<Real>::column_sums() const {
    const std::vector<double> mine = cuda::absolute_column_sums<Real>(group_.context(), part_.view());
    std::vector<double> all(static_cast<std::size_t>(n()));
    for (Index j = 0; j < part_.cols(); ++j)
        all[static_cast<std::size_t>(layout().global_col(rank(), j))] = mine[static_cast<std::size_t>(j)];
    this->ranks().sum(std::span(all));
    return all;
}

template <class Real>
void DeviceFactor<Real>::add_to_diagonal(double value) {
    for (const KernelPiece& piece : diagonal_pieces(layout(), rank()))
        group_.backend()->add_to_diagonal(value, block_of(part_.view(), piece));
}

template <class Real>
int DeviceFactor<Real>::factorise() {
    // The documentation does not say what becomes of the other triangle.
    if (n() <= gathered_up_to) kernel_ = download(part_);
    Real* const k = address(part_.view());
    std::size_t device_bytes = 0, host_bytes = 0;
    cuda::check(group_.nvidia().cusolverMpPotrf_bufferSize(group_.solver(), triangle, n(), k, first_index, first_index, description_.get(),
                                                           cuda::data_type<Real>, &device_bytes, &host_bytes),
                "cusolverMpPotrf_bufferSize");
    cuda::SolverWork work(group_.context(), device_bytes, host_bytes);
    work.clear_info();
    cuda::check(group_.nvidia().cusolverMpPotrf(group_.solver(), triangle, n(), k, first_index, first_index, description_.get(),
                                                cuda::data_type<Real>, work.device.template as<void>(), work.device_bytes, work.host.data(),
                                                work.host.size(), work.info()),
                "cusolverMpPotrf");
    return first_of_all(this->ranks(), work.fetch_info("cusolverMpPotrf"));
}

template <class Real>
void DeviceFactor<Real>::solve_rows(Index count, Matrix<Real>& b) const {
    constexpr std::int64_t at_once = 1;  // as many right-hand sides as cuSOLVERMp's documentation allows
    const Description description = group_.describe(sides_layout(count), b.cols());
    const Real* const k = address(part_.view());
    Real* const x = address(b.view());
    std::size_t device_bytes = 0, host_bytes = 0;
    cuda::check(group_.nvidia().cusolverMpPotrs_bufferSize(group_.solver(), triangle, n(), at_once, k, first_index, first_index,
                                                           description_.get(), x, first_index, first_index, description.get(),
                                                           cuda::data_type<Real>, &device_bytes, &host_bytes),
                "cusolverMpPotrs_bufferSize");
    cuda::SolverWork work(group_.context(), device_bytes, host_bytes);
    for (Index column = 0; column < count; ++column) {
        work.clear_info();
        cuda::check(group_.nvidia().cusolverMpPotrs(group_.solver(), triangle, n(), at_once, k, first_index, first_index,
                                                    description_.get(), x, first_index, first_index + column, description.get(),
                                                    cuda::data_type<Real>, work.device.template as<void>(), work.device_bytes,
                                                    work.host.data(), work.host.size(), work.info()),
                    "cusolverMpPotrs");
        (void)work.fetch_info("cusolverMpPotrs");
    }
}

template <class Real>
HostMatrix<Real> DeviceFactor<Real>::solve(const HostMatrix<Real>& y) const {
    HostMatrix<Real> x(y.rows(), y.cols());
    for (Index first = 0; first < y.cols(); first += layout().rows.side) {
        const DistributedLayout sides = sides_layout(std::min(layout().rows.side, y.cols() - first));
        HostMatrix<Real> part(sides.local_rows(rank()), sides.local_cols(rank()));
        this->for_each_entry(sides, part, [&](Index row, Index col, Real& entry) { entry = y(col, first + row); });
        Matrix<Real> b(group_.backend(), part.rows(), part.cols());
        group_.backend()->upload(part.view(), b.view());
        solve_rows(sides.rows.size, b);
        group_.backend()->download(b.view(), part.view());
        this->for_each_entry(sides, part, [&](Index row, Index col, Real& entry) { x(col, first + row) = entry; });
    }
    this->sum(x);
    return x;
}

template <class Real>
Matrix<Real> DeviceFactor<Real>::rows_on_first(const Matrix<Real>& cross, int from, Index first, Index count) const {
    const RankGrid& grid = layout().grid;
    const int row = grid.row_of(rank()), col = grid.col_of(rank());
    Matrix<Real> rows(group_.backend(), row == 0 ? count : 0, cross.cols());
    group_.exchange([&] {
        if (row == from) group_.send(cross.view().row_range(first, count), grid.rank(0, col));
        if (row == 0) group_.receive(rows.view(), grid.rank(from, col));
    });
    return rows;
}

template <class Real>
HostMatrix<Real> DeviceFactor<Real>::explained(const DistributedLayout& cross_layout, const Matrix<Real>& cross) const {
    HostMatrix<Real> all(cross_layout.rows.size, 1);
    for (int from = 0; from < layout().grid.rows; ++from)
        for (Index first = 0; first < cross_layout.rows.count(from); first += layout().rows.side) {
            const Index count = std::min(layout().rows.side, cross_layout.rows.count(from) - first);
            const Matrix<Real> rows = rows_on_first(cross, from, first, count);
            Matrix<Real> solved(group_.backend(), rows.rows(), rows.cols()), products(group_.backend(), rows.rows(), 1);
            group_.backend()->copy(rows.view(), solved.view());
            solve_rows(count, solved);
            if (rows.empty()) continue;
            group_.backend()->row_dots(rows.view(), solved.view(), products.view());
            const HostMatrix<Real> mine = download(products);
            for (Index i = 0; i < count; ++i) all(cross_layout.rows.global(from, first + i), 0) = mine(i, 0);
        }
    this->sum(all);
    return all;
}

template <class Real>
HostMatrix<Real> DeviceFactor<Real>::explained(const DistributedLayout& cross_layout, HostMatrix<Real> cross) const {
    Matrix<Real> on_device(group_.backend(), cross.rows(), cross.cols());
    group_.backend()->upload(cross.view(), on_device.view());
    return explained(cross_layout, on_device);
}

template class DeviceFactor<float>;
template class DeviceFactor<double>;

}  // namespace ntk::nvidia
