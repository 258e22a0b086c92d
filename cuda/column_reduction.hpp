#pragma once

// Facts about the entries of a matrix in three steps of fixed shape, so that the same matrix always gives the same bits: a thread
// looks at a strip of one column; the strips of a column are joined; CUB reduces what is left.

#include "context.hpp"
#include "device_matrix.hpp"

#include <cub/device/device_reduce.cuh>

namespace ntk::cuda {

/// strips(s, j) = look(first, end, j): facts about rows [first, end) of column j, at most strip_rows.
template <class Facts, class Look>
__global__ void look_at_strips_kernel(Look look, Index strip_rows, Index rows, Index cols, Facts* strips) {
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

/// Facts about the columns, joined by `join` over strips of `strip_rows`: the first `cols` in `parts`. rows, cols > 0.
template <class Facts, class Look, class Join>
void look_at_columns(Context& context, const Look& look, const Join& join, Index strip_rows, Index rows, Index cols, Buffer& parts) {
    const Index strips = ceil_divide(rows, strip_rows);
    parts.reserve(strips * cols * sizeof(Facts));
    context.launch("look_at_strips", entries_shape(strips, cols), look_at_strips_kernel<Facts, Look>, look, strip_rows, rows, cols,
                   parts.as<Facts>());
    if (strips > 1)
        context.launch("join_strips", entries_shape(1, cols), join_strips_kernel<Facts, Join>, join, parts.as<Facts>(), strips, cols);
}

/// All facts, joined by `join` within a column and by `join_columns` across columns; `none` is that of no entries. rows, cols > 0.
template <class Facts, class Look, class Join, class JoinColumns>
Facts reduce_columns(Context& context, const Look& look, const Join& join, const JoinColumns& join_columns, const Facts& none, Index rows,
                     Index cols) {
    Buffer parts(context);
    look_at_columns<Facts>(context, look, join, 256, rows, cols, parts);
    const Buffer total(context, sizeof(Facts));
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
