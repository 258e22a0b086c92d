#pragma once

/// \file ranks.hpp
/// The processes that do one piece of work together. The library runs on one rank; ntkcuda::mpi has those of MPI.
///
/// Every rank makes the same calls in the same order with arguments of the same shape, and every result that all ranks have is the same
/// bits on every rank, so that ranks which decide by results decide alike. A rank that fails leaves the others waiting: who started them
/// ends them.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace ntk {

/// A group of processes, and what they tell each other.
class Ranks {
public:
    Ranks() = default;
    Ranks(const Ranks&) = delete;
    Ranks& operator=(const Ranks&) = delete;
    virtual ~Ranks() = default;

    /// This process, 0 .. size() - 1.
    [[nodiscard]] virtual int rank() const = 0;
    [[nodiscard]] virtual int size() const = 0;
    /// The rank that speaks and writes files.
    [[nodiscard]] bool root() const { return rank() == 0; }

    /// The bytes of every rank, in the order of the ranks.
    [[nodiscard]] virtual std::vector<std::vector<std::byte>> all_gather(std::span<const std::byte> mine) = 0;
    /// The same without a copy, where every rank knows how much each of them has: `all` holds counts[0] rows of rank 0, then counts[1] of
    /// rank 1, .., of `row_bytes` each. This rank's own are there, and those of the others come to their places.
    virtual void all_gather_rows(std::span<std::byte> all, std::size_t row_bytes, std::span<const std::int64_t> counts) = 0;
    /// receive(from, bytes) on rank `to` alone, for every rank in order and one at a time, so that nobody has to have room for all.
    virtual void gather(std::span<const std::byte> mine, int to,
                        const std::function<void(int from, std::span<const std::byte> bytes)>& receive) = 0;
    /// The bytes of the root.
    [[nodiscard]] virtual std::vector<std::byte> broadcast(std::span<const std::byte> of_root) = 0;
    /// values[i] becomes its sum over the ranks, the same bits on each of them.
    virtual void sum(std::span<double> values) = 0;
    virtual void sum(std::span<float> values) = 0;
};

/// This process alone.
[[nodiscard]] Ranks& one_rank();

}  // namespace ntk
