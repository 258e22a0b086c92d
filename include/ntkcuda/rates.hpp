#pragma once

/// \file rates.hpp
/// How fast a device is: what plans make times of.
///
/// A rate falls off for small work. With P the rate of large work and h the size at which half of it is reached,
///
///     seconds = work / P (1 + h / size)
///
/// where `size` is what decides (the inner dimension of a product, the order of a matrix, the layers of a recursion).

#include <ntkcuda/device.hpp>
#include <ntkcuda/ranks.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace ntk {

/// What rates are of, and the unit of its work.
enum class Operation {
    gemm,           ///< flops of products of tall matrices; size: their columns
    gram,           ///< flops of the Grams of layers, lower triangle; size: inner dimension
    half_gram,      ///< the same of operands rounded to FP16
    pair_features,  ///< flops of inner products of pairs of samples for the limit; size: features
    arccos_ntk,     ///< pairs times layers of the recursion of the limit, by kernel and dual activation; size: layers
    arccos_nngp,
    erf_ntk,
    erf_nngp,
    cholesky,      ///< flops, n^3 / 3; size: n
    solve,         ///< flops of one right-hand side, 2 n^2; size: n
    lu,            ///< flops, 2/3 n^3; size: n
    eigenvalues,   ///< flops, 4/3 n^3; size: n
    eigenvectors,  ///< flops, 9 n^3; size: n
    normals,       ///< numbers drawn on the device
    host_normals,  ///< numbers drawn on the host
    memory,        ///< bytes read or written on the device
    write,         ///< bytes to a file
    link           ///< bytes between two ranks
};
/// "gemm", "eigenvectors", ..: the names of rates files.
[[nodiscard]] const char* to_string(Operation operation);
[[nodiscard]] const std::vector<Operation>& all_operations();

/// How fast one operation is.
struct Rate {
    double per_second = 0;  ///< P, of large work
    double half_at = 0;     ///< h
    [[nodiscard]] double seconds(double work, double size) const { return work / per_second * (1 + half_at / size); }
};
/// The rate through two measurements: work[i] of size[i] took seconds[i], size[0] < size[1]. One that grows for small work is taken as
/// constant. Throws Error(invalid_argument) unless all are positive.
[[nodiscard]] Rate fit_rate(const double (&work)[2], const double (&size)[2], const double (&seconds)[2]);

/// The rates of one device, and what it has.
struct Rates {
    DeviceKind kind = DeviceKind::cpu;
    std::string device;  ///< its name
    std::string source;  ///< where the numbers are from, for reports
    double memory = 0;   ///< bytes of the device that a run may use
    std::map<Operation, Rate> fp64, fp32;

    /// Throws Error(invalid_argument) naming an operation that has no rate in this precision.
    [[nodiscard]] const Rate& at(Operation operation, std::size_t real_bytes) const;
};

/// Rates that nobody has measured, of large products, copies and links: for choices that are to be the same in every run. A thread of a CPU
/// does 25 Gflop/s in float64 and 10 GB/s; a CUDA device 30 Tflop/s and 2 TB/s; float32 takes half of the time for the same flops; a rank
/// receives 5 GB/s.
[[nodiscard]] Rates nominal_rates(DeviceKind kind, int threads);

/// Measures the rates of these operations on the device of `backend`, in the precision of Real, into `rates` (with kind, name and free
/// memory of the device): the shortest of up to four runs each, all together in a few seconds. A file is written to `folder` once and
/// removed, of `file_bytes` but no more than 1 GiB: give what the run will write, since systems take the beginning of a file faster than
/// the rest. Several ranks measure together, each operation at the same time, as they will work: every one of them gets the rate of the
/// slowest, its share of the file, and for the link the bytes that each receives a second while all gather 64 MiB. On one rank the link is
/// taken as half of what a copy in memory takes, as between processes of one machine. Throws Error(io) where nothing can be written,
/// Error(out_of_memory).
template <class Real>
void measure_rates(const std::shared_ptr<Backend<Real>>& backend, const std::set<Operation>& operations, const std::string& folder,
                   Rates& rates, Ranks& ranks = one_rank(), double file_bytes = 0x1p28);

}  // namespace ntk
