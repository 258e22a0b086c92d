// cuSOLVERMp on ScaLAPACK. What its documentation (0.7) demands is refused otherwise, the other triangle of a factorised matrix is unset,
// and work space is overwritten, so that nobody relies on more.

#include "library_call.hpp"
#include "handles.hpp"

#include "host/mpi/scalapack.hpp"

#include <cusolverMp.h>

#include <memory>

using namespace emulated;

struct cusolverMpHandle {
    int device;
    cudaStream_t stream;
    int users = 0;  ///< grids
};
struct cusolverMpGrid {
    cusolverMpHandle_t handle;
    ncclComm_t group;
    ntk::RankGrid ranks;  ///< as ours: its rows are the columns here
    std::shared_ptr<ntk::scalapack::Grid> blacs;
    int rank;
    int users = 0;  ///< descriptions
};
struct cusolverMpMatrixDescriptor {
    cusolverMpGrid_t grid;
    cudaDataType type;
    ntk::DistributedLayout layout;  ///< of the transposed matrix, as ours
    std::int64_t leading;
    int users = 0;

    [[nodiscard]] std::int64_t local_rows() const { return layout.local_cols(grid->rank); }
    [[nodiscard]] std::int64_t local_cols() const { return layout.local_rows(grid->rank); }
    [[nodiscard]] ntk::scalapack::Descriptor of_scalapack() const { return grid->blacs->describe(layout, leading); }
};

namespace {

constexpr std::size_t host_work = 64;
std::size_t device_work(const cusolverMpMatrixDescriptor& a) { return static_cast<std::size_t>(a.leading + 8) * sizeof(double); }

char letter(cublasFillMode_t fill) { return fill == CUBLAS_FILL_MODE_UPPER ? 'U' : 'L'; }

struct WorkSpace {
    void* device;
    std::size_t device_bytes;
    void* host;
    std::size_t host_bytes;
    int* info;
};

/// Of both calls: the whole matrix, in square blocks.
bool sound_system(cusolverMpHandle_t handle, std::int64_t n, const void* k, std::int64_t ia, std::int64_t ja,
                  const cusolverMpMatrixDescriptor& a, cudaDataType type) {
    if (existing_handle(a.grid).handle != handle || existing_handle(handle).device != current_device()) return false;
    return k && ia == 1 && ja == 1 && type == a.type && a.layout.rows.size == n && a.layout.cols.size == n &&
           a.layout.rows.side == a.layout.cols.side;
}

template <class Real>
Operand operand(const Real* data, const cusolverMpMatrixDescriptor& a, bool written) {
    return {data, a.local_rows(), a.local_cols(), a.leading, sizeof(Real), written};
}

cusolverStatus_t queue(cusolverMpHandle_t handle, std::vector<Operand> operands, const cusolverMpMatrixDescriptor& a, const WorkSpace& work,
                       std::function<int()> call) {
    const std::size_t needed = device_work(a);
    if (work.device_bytes < needed || work.host_bytes < host_work || !work.host || !sound(operands)) return CUSOLVER_STATUS_INVALID_VALUE;
    if (!on_device(work.device, needed) || !on_device(work.info, sizeof(int)))
        fault("the work space or the info is not device memory", work.device);
    enqueue_call(handle->stream, std::move(operands), [=] {
        std::memset(work.device, 0xFF, needed);
        std::memset(work.host, 0xFF, host_work);
        if (const int info = call()) *work.info = info;  // where all is well it may stay as it was
    });
    return CUSOLVER_STATUS_SUCCESS;
}

/// The triangle that is not the factor. Rows here are the columns of the layout.
template <class Real>
void unset_other_triangle(const cusolverMpMatrixDescriptor& a, bool lower, Real* k) {
    for (std::int64_t j = 0; j < a.local_cols(); ++j)
        for (std::int64_t i = 0; i < a.local_rows(); ++i) {
            const auto row = a.layout.global_col(a.grid->rank, i), col = a.layout.global_row(a.grid->rank, j);
            if (lower ? row < col : row > col) std::memset(&k[i + j * a.leading], 0xFF, sizeof(Real));
        }
}

template <class Real, class Factorise>
cusolverStatus_t factorise(Factorise compute, cusolverMpHandle_t handle, cublasFillMode_t fill, std::int64_t n, void* memory,
                           const cusolverMpMatrixDescriptor& a, const WorkSpace& work) {
    auto* const k = static_cast<Real*>(memory);
    return queue(handle, {operand(k, a, true)}, a, work, [=] {
        const int size = static_cast<int>(n);
        int info = 0;
        const char uplo = letter(fill);
        compute(&uplo, &size, k, &ntk::scalapack::one, &ntk::scalapack::one, a.of_scalapack().data(), &info);
        unset_other_triangle(a, uplo == 'L', k);
        return info;
    });
}

template <class Real, class Solve>
cusolverStatus_t solve(Solve compute, cusolverMpHandle_t handle, cublasFillMode_t fill, std::int64_t n, const void* factor,
                       const cusolverMpMatrixDescriptor& a, void* sides, std::int64_t jb, const cusolverMpMatrixDescriptor& b,
                       const WorkSpace& work) {
    const auto* const k = static_cast<const Real*>(factor);
    auto* const x = static_cast<Real*>(sides);
    return queue(handle, {operand(k, a, false), operand(x, b, true)}, a, work, [=] {
        const int size = static_cast<int>(n), columns = 1, column = static_cast<int>(jb);
        int info = 0;
        const char uplo = letter(fill);
        compute(&uplo, &size, &columns, k, &ntk::scalapack::one, &ntk::scalapack::one, a.of_scalapack().data(), x, &ntk::scalapack::one,
                &column, b.of_scalapack().data(), &info);
        return info;
    });
}

}  // namespace

extern "C" {

cusolverStatus_t cusolverMpCreate(cusolverMpHandle_t* handle, int device, cudaStream_t stream) {
    if (fails("cusolverMpCreate")) return CUSOLVER_STATUS_ALLOC_FAILED;
    if (device != current_device()) return CUSOLVER_STATUS_INVALID_VALUE;
    (void)existing_here(stream);
    if (!live<cusolverMpHandle>().empty()) fault("a second handle of cuSOLVERMp in one process");
    *handle = create(cusolverMpHandle{device, stream});
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverMpDestroy(cusolverMpHandle_t handle) {
    destroy(handle);
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverMpGetVersion(cusolverMpHandle_t handle, int* version) {
    (void)existing_handle(handle);
    *version = 900;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverMpCreateDeviceGrid(cusolverMpHandle_t handle, cusolverMpGrid_t* grid, const ncclComm_t group, int32_t rows,
                                            int32_t cols, const cusolverMpGridMapping_t mapping) {
    int failed = fails("cusolverMpCreateDeviceGrid"), size = 0, rank = 0;
    MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, existing_handle(group).ranks);  // on all ranks alike
    if (failed) return CUSOLVER_STATUS_ALLOC_FAILED;
    MPI_Comm_size(group->ranks, &size);
    MPI_Comm_rank(group->ranks, &rank);
    if (mapping != CUSOLVERMP_GRID_MAPPING_COL_MAJOR || rows < 1 || cols < 1 || rows * cols != size) return CUSOLVER_STATUS_INVALID_VALUE;
    const ntk::RankGrid ranks{cols, rows};
    ++existing_handle(handle).users;
    ++group->users;
    *grid = create(cusolverMpGrid{handle, group, ranks, std::make_shared<ntk::scalapack::Grid>(group->ranks, ranks), rank});
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverMpDestroyGrid(cusolverMpGrid_t grid) {
    --existing_handle(existing_handle(grid).handle).users;
    --existing_handle(grid->group).users;
    destroy(grid);
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverMpCreateMatrixDesc(cusolverMpMatrixDescriptor_t* description, cusolverMpGrid_t grid, cudaDataType type,
                                            int64_t rows, int64_t cols, int64_t row_side, int64_t col_side, uint32_t first_row,
                                            uint32_t first_col, int64_t leading) {
    if (fails("cusolverMpCreateMatrixDesc")) return CUSOLVER_STATUS_ALLOC_FAILED;
    const ntk::RankGrid& ranks = existing_handle(grid).ranks;
    if (rows < 1 || cols < 1 || row_side < 1 || col_side < 1 || first_row != 0 || first_col != 0) return CUSOLVER_STATUS_INVALID_VALUE;
    if (type != CUDA_R_32F && type != CUDA_R_64F) return CUSOLVER_STATUS_INVALID_VALUE;
    const cusolverMpMatrixDescriptor made{grid, type, {ranks, {cols, col_side, ranks.rows}, {rows, row_side, ranks.cols}}, leading};
    if (leading < std::max<std::int64_t>(1, made.local_rows())) return CUSOLVER_STATUS_INVALID_VALUE;
    ++grid->users;
    *description = create(made);
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverMpDestroyMatrixDesc(cusolverMpMatrixDescriptor_t description) {
    --existing_handle(existing_handle(description).grid).users;
    destroy(description);
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverMpPotrf_bufferSize(cusolverMpHandle_t handle, cublasFillMode_t, int64_t n, const void* a, int64_t ia, int64_t ja,
                                            cusolverMpMatrixDescriptor_t description, cudaDataType_t type, size_t* device, size_t* host) {
    if (fails("cusolverMpPotrf_bufferSize")) return CUSOLVER_STATUS_INTERNAL_ERROR;
    if (!sound_system(handle, n, a, ia, ja, existing_handle(description), type)) return CUSOLVER_STATUS_INVALID_VALUE;
    *device = device_work(*description);
    *host = host_work;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverMpPotrf(cusolverMpHandle_t handle, cublasFillMode_t fill, int64_t n, void* a, int64_t ia, int64_t ja,
                                 cusolverMpMatrixDescriptor_t description, cudaDataType_t type, void* device, size_t device_bytes,
                                 void* host, size_t host_bytes, int* info) {
    if (fails("cusolverMpPotrf")) return CUSOLVER_STATUS_EXECUTION_FAILED;
    const cusolverMpMatrixDescriptor& found = existing_handle(description);
    if (!sound_system(handle, n, a, ia, ja, found, type)) return CUSOLVER_STATUS_INVALID_VALUE;
    const WorkSpace work{device, device_bytes, host, host_bytes, info};
    return type == CUDA_R_32F ? factorise<float>(pspotrf_, handle, fill, n, a, found, work)
                              : factorise<double>(pdpotrf_, handle, fill, n, a, found, work);
}

cusolverStatus_t cusolverMpPotrs_bufferSize(cusolverMpHandle_t handle, cublasFillMode_t fill, int64_t n, int64_t, const void* a, int64_t ia,
                                            int64_t ja, cusolverMpMatrixDescriptor_t description, const void*, int64_t, int64_t,
                                            cusolverMpMatrixDescriptor_t, cudaDataType_t type, size_t* device, size_t* host) {
    return cusolverMpPotrf_bufferSize(handle, fill, n, a, ia, ja, description, type, device, host);
}

cusolverStatus_t cusolverMpPotrs(cusolverMpHandle_t handle, cublasFillMode_t fill, int64_t n, int64_t sides, const void* a, int64_t ia,
                                 int64_t ja, cusolverMpMatrixDescriptor_t description, void* b, int64_t ib, int64_t jb,
                                 cusolverMpMatrixDescriptor_t sides_description, cudaDataType_t type, void* device, size_t device_bytes,
                                 void* host, size_t host_bytes, int* info) {
    if (fails("cusolverMpPotrs")) return CUSOLVER_STATUS_EXECUTION_FAILED;
    const cusolverMpMatrixDescriptor &found = existing_handle(description), &right = existing_handle(sides_description);
    if (!sound_system(handle, n, a, ia, ja, found, type) || sides != 1) return CUSOLVER_STATUS_INVALID_VALUE;
    if (!b || right.type != type || right.grid != found.grid || ib != 1 || jb < 1 || jb > right.layout.rows.size ||
        right.layout.cols.size != n || right.layout.cols.side != found.layout.cols.side || right.layout.rows.side != right.layout.cols.side)
        return CUSOLVER_STATUS_INVALID_VALUE;
    const WorkSpace work{device, device_bytes, host, host_bytes, info};
    return type == CUDA_R_32F ? solve<float>(pspotrs_, handle, fill, n, a, found, b, jb, right, work)
                              : solve<double>(pdpotrs_, handle, fill, n, a, found, b, jb, right, work);
}
}
