#pragma once

// The same matrix of each network of a batch, one after another in memory.

#include "device_matrix.hpp"

namespace ntk::cuda {

template <class T>
struct Stack {
    T* data;
    Index count, rows, cols, stride;
    Index step;  ///< from one network to the next; 0: one matrix for all

    Stack(T* memory, Index networks, Index rows_each, Index columns)
        : data(memory), count(networks), rows(rows_each), cols(columns), stride(columns), step(rows_each * columns) {}
    /// A mutable stack converts to a read-only one.
    template <class Other>
    requires(std::is_same_v<T, const Other>) Stack(const Stack<Other>& other)  // NOLINT(google-explicit-constructor)
        : data(other.data), count(other.count), rows(other.rows), cols(other.cols), stride(other.stride), step(other.step) {}

    __device__ T& operator()(Index network, Index i, Index j) const { return data[network * step + i * stride + j]; }

    /// Columns [first, first + number) of each.
    [[nodiscard]] Stack columns(Index first, Index number) const {
        Stack part = *this;
        part.data += first;
        part.cols = number;
        return part;
    }
    /// The same contiguous memory read as other matrices; fewer elements leave the end unused.
    [[nodiscard]] Stack reshaped(Index rows_each, Index columns) const { return {data, count, rows_each, columns}; }
    /// One matrix, for `networks` networks.
    [[nodiscard]] static Stack shared(T* memory, Index networks, Index rows_each, Index columns) {
        Stack stack(memory, networks, rows_each, columns);
        stack.step = 0;
        return stack;
    }
};

/// f(network, i, j) for every entry, shared out over the grid of stack_shape.
template <class F>
__device__ void for_each_stack_entry(Index networks, Index rows, Index cols, F f) {
    for_each_entry(networks * rows, cols, [&](Index row, Index j) { f(row / rows, row % rows, j); });
}
template <class T>
LaunchShape stack_shape(const Stack<T>& stack) {
    return entries_shape(stack.count * stack.rows, stack.cols);
}

}  // namespace ntk::cuda
