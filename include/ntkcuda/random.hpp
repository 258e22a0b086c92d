#pragma once

/// \file random.hpp
/// Counter-based standard normals: Philox 4x32-10 and a Box-Muller transform made of correctly rounded operations only, so that
/// a (seed, network, stream, element) gives the same bits on every device, compiler and precision.

#include <ntkcuda/matrix.hpp>

#include <cstdint>

namespace ntk {

/// Names one matrix of independent normals. Element e (row-major, e = i * cols + j) is number e % 4 of the Philox block with
/// counter (low word of e / 4, high word of e / 4, stream, network) and key (low and high word of seed).
struct NormalStream {
    std::uint64_t seed = 0;
    std::uint32_t network = 0;
    std::uint32_t stream = 0;  ///< which matrix: weight_stream, bias_stream or data_stream
};

/// The stream of the weights, and of the biases, of a layer l = 1 .. L.
[[nodiscard]] constexpr std::uint32_t weight_stream(Index layer) { return static_cast<std::uint32_t>(2 * layer); }
[[nodiscard]] constexpr std::uint32_t bias_stream(Index layer) { return static_cast<std::uint32_t>(2 * layer + 1); }
/// Synthetic inputs; no layer reaches it.
inline constexpr std::uint32_t data_stream = 0xffffffffU;

/// The same normals on the host, without a backend: rows x cols values, each a float widened to double.
[[nodiscard]] HostMatrix<double> host_normals(NormalStream stream, Index rows, Index cols);

}  // namespace ntk
