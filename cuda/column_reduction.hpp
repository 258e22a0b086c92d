#pragma once

// Facts about the entries of a matrix in three steps of fixed shape, so that the same matrix always gives the same bits: a thread
// looks at a strip of one column; the strips of a column are joined; CUB reduces what is left.

#include "context.hpp"
#include "device_matrix.hpp"

#include <cub/device/device_reduce.cuh>

namespace ntk::cuda {

inline constexpr Index strip_rows = 256;

/// strips(s, j) = look(first, end, j): facts about rows [first, end) of column j.
template <class Facts, class Look>
__global__ void look_at_strips_kernel(Look look, Index rows, Index cols, Facts* strips) {
    for_each_entry(ceil_divide(rows, strip_rows), cols, [&](Index strip, Index j) {
        const Index first = strip * strip_rows, end = rows - first < strip_rows ? rows : first + strip_rows;
        strips[strip * cols + j] = look(first, end, j);
    });
}

/// The first `cols` facts become those of whole columns.
template <class Facts, class Join>
__global__ void join_strips_kernel(Join join, Facts* strips, Index count, Index cols) {
    for_each_entry(1, cols, [&](Index, Index j) {
        for (Index strip = 1; strip < count; ++strip) strips[j] = join(strips[j], strips[strip * cols + j]);
    });
}

/// All facts, joined by `join` within a column and by `join_columns` across columns; `none` is that of no entries. rows, cols > 0.
template <class Facts, class Look, class Join, class JoinColumns>
Facts reduce_columns(Context& context, const Look& look, const Join& join, const JoinColumns& join_columns, const Facts& none, Index rows,
                     Index cols) {
    const Index strips = ceil_divide(rows, strip_rows);
    const Buffer parts(context, strips * cols * sizeof(Facts)), total(context, sizeof(Facts));
    context.launch("look_at_strips", entries_shape(strips, cols), look_at_strips_kernel<Facts, Look>, look, rows, cols, parts.as<Facts>());
    context.launch("join_strips", entries_shape(1, cols), join_strips_kernel<Facts, Join>, join, parts.as<Facts>(), strips, cols);
    const Facts* const columns = parts.as<Facts>();
    std::size_t bytes = 0;
    check(cub::DeviceReduce::Reduce(nullptr, bytes, columns, total.as<Facts>(), cols, join_columns, none, context.stream()),
          "cub::DeviceReduce::Reduce");
    const Buffer work(context, bytes);
    check(cub::DeviceReduce::Reduce(work.as<void>(), bytes, columns, total.as<Facts>(), cols, join_columns, none, context.stream()),
          "cub::DeviceReduce::Reduce");
    Facts result;
    check(cudaMemcpyAsync(&result, total.as<Facts>(), sizeof result, cudaMemcpyDeviceToHost, context.stream()), "cudaMemcpyAsync");
    context.synchronize();
    return result;
}

}  // namespace ntk::cuda
