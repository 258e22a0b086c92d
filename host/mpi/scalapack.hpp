#pragma once

// ScaLAPACK, which counts columns first: our row-major parts are its parts of the transposed matrix on the transposed grid, and our lower
// triangle is its upper one.

#include <ntkcuda/distributed_layout.hpp>

#include <mpi.h>

#include <array>
#include <vector>

extern "C" {
int Csys2blacs_handle(MPI_Comm group);
void Cfree_blacs_system_handle(int handle);
void Cblacs_gridinit(int* context, const char* order, int rows, int cols);
void Cblacs_gridexit(int context);

void pdpotrf_(const char* uplo, const int* n, double* a, const int* ia, const int* ja, const int* desc, int* info);
void pspotrf_(const char* uplo, const int* n, float* a, const int* ia, const int* ja, const int* desc, int* info);
void pdpotrs_(const char* uplo, const int* n, const int* nrhs, const double* a, const int* ia, const int* ja, const int* desca, double* b,
              const int* ib, const int* jb, const int* descb, int* info);
void pspotrs_(const char* uplo, const int* n, const int* nrhs, const float* a, const int* ia, const int* ja, const int* desca, float* b,
              const int* ib, const int* jb, const int* descb, int* info);
void pdtrsm_(const char* side, const char* uplo, const char* trans, const char* diag, const int* m, const int* n, const double* alpha,
             const double* a, const int* ia, const int* ja, const int* desca, double* b, const int* ib, const int* jb, const int* descb);
void pstrsm_(const char* side, const char* uplo, const char* trans, const char* diag, const int* m, const int* n, const float* alpha,
             const float* a, const int* ia, const int* ja, const int* desca, float* b, const int* ib, const int* jb, const int* descb);
void pdsyevd_(const char* jobz, const char* uplo, const int* n, double* a, const int* ia, const int* ja, const int* desca, double* w,
              double* z, const int* iz, const int* jz, const int* descz, double* work, const int* lwork, int* iwork, const int* liwork,
              int* info);
void pssyevd_(const char* jobz, const char* uplo, const int* n, float* a, const int* ia, const int* ja, const int* desca, float* w,
              float* z, const int* iz, const int* jz, const int* descz, float* work, const int* lwork, int* iwork, const int* liwork,
              int* info);
}

namespace ntk::scalapack {

inline constexpr int one = 1;
using Descriptor = std::array<int, 9>;

/// The transposed grid of BLACS on a communicator.
class Grid {
public:
    Grid(MPI_Comm group, const RankGrid& grid) : handle_(Csys2blacs_handle(group)), context_(handle_) {
        Cblacs_gridinit(&context_, "Column", grid.cols, grid.rows);
    }
    ~Grid() {
        Cblacs_gridexit(context_);
        Cfree_blacs_system_handle(handle_);
    }
    Grid(const Grid&) = delete;
    Grid& operator=(const Grid&) = delete;

    /// Of a part that is row-major with `local_cols` columns.
    [[nodiscard]] Descriptor describe(const DistributedLayout& layout, Index local_cols) const {
        constexpr int dense = 1, first = 0;
        const auto number = [](Index value) { return static_cast<int>(value); };
        return {dense,
                context_,
                number(layout.cols.size),
                number(layout.rows.size),
                number(layout.cols.side),
                number(layout.rows.side),
                first,
                first,
                number(std::max<Index>(1, local_cols))};
    }

private:
    int handle_, context_;
};

/// Upper triangle in its words: K = U^T U. 0, or the 1-based order of the first minor that is not positive.
inline int potrf(int n, double* a, const Descriptor& desc) {
    int info = 0;
    pdpotrf_("U", &n, a, &one, &one, desc.data(), &info);
    return info;
}
inline int potrf(int n, float* a, const Descriptor& desc) {
    int info = 0;
    pspotrf_("U", &n, a, &one, &one, desc.data(), &info);
    return info;
}
/// b (n x columns in its words) becomes K^{-1} b.
inline int potrs(int n, int columns, const double* a, const Descriptor& desca, double* b, const Descriptor& descb) {
    int info = 0;
    pdpotrs_("U", &n, &columns, a, &one, &one, desca.data(), b, &one, &one, descb.data(), &info);
    return info;
}
inline int potrs(int n, int columns, const float* a, const Descriptor& desca, float* b, const Descriptor& descb) {
    int info = 0;
    pspotrs_("U", &n, &columns, a, &one, &one, desca.data(), b, &one, &one, descb.data(), &info);
    return info;
}
/// b becomes U^{-T} b.
inline void half_solve(int n, int columns, const double* a, const Descriptor& desca, double* b, const Descriptor& descb) {
    const double alpha = 1;
    pdtrsm_("L", "U", "T", "N", &n, &columns, &alpha, a, &one, &one, desca.data(), b, &one, &one, descb.data());
}
inline void half_solve(int n, int columns, const float* a, const Descriptor& desca, float* b, const Descriptor& descb) {
    const float alpha = 1;
    pstrsm_("L", "U", "T", "N", &n, &columns, &alpha, a, &one, &one, desca.data(), b, &one, &one, descb.data());
}
/// Eigenvalues (ascending, on the root; on all ranks where n is more than a block) and eigenvectors, in its words columns of z, which lies
/// as a does; a is destroyed. The status is no use: of the steps of divide and conquer it is overwritten.
inline void syevd(int n, double* a, const Descriptor& desc, double* values, double* z, std::vector<double>& work,
                  std::vector<int>& integers) {
    const int count = static_cast<int>(work.size()), integer_count = static_cast<int>(integers.size());
    int info = 0;
    pdsyevd_("V", "U", &n, a, &one, &one, desc.data(), values, z, &one, &one, desc.data(), work.data(), &count, integers.data(),
             &integer_count, &info);
}
inline void syevd(int n, float* a, const Descriptor& desc, float* values, float* z, std::vector<float>& work, std::vector<int>& integers) {
    const int count = static_cast<int>(work.size()), integer_count = static_cast<int>(integers.size());
    int info = 0;
    pssyevd_("V", "U", &n, a, &one, &one, desc.data(), values, z, &one, &one, desc.data(), work.data(), &count, integers.data(),
             &integer_count, &info);
}

}  // namespace ntk::scalapack
