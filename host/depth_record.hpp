#pragma once

// What a DepthRecord consists of, for files and for other ranks.

#include "byte_archive.hpp"

#include <ntkcuda/depth_limit.hpp>

#include <concepts>
#include <type_traits>

namespace ntk {

/// Of DepthPoint what a record keeps; the distances of u need the limit.
inline constexpr double DepthPoint::*depth_numbers[] = {
    &DepthPoint::offdiag_min,           &DepthPoint::offdiag_mean,    &DepthPoint::offdiag_max,       &DepthPoint::max_one_minus_k,
    &DepthPoint::log10_max_one_minus_k, &DepthPoint::dist_ones,       &DepthPoint::dist_ones_max,     &DepthPoint::dist_limit,
    &DepthPoint::dist_limit_max,        &DepthPoint::dist_identity,   &DepthPoint::dist_identity_max, &DepthPoint::log10_lambda_min,
    &DepthPoint::log10_lambda_max,      &DepthPoint::log_determinant, &DepthPoint::u_error,           &DepthPoint::table_error};
inline constexpr std::vector<double> DepthPoint::*depth_lists[] = {&DepthPoint::traced_kernel, &DepthPoint::traced_cross,
                                                                   &DepthPoint::traced_weight, &DepthPoint::log10_spectrum};

template <class Archive, class Value>
requires std::same_as<std::remove_const_t<Value>, DepthRecord>
void fields(Archive& archive, Value& record) {
    auto& point = record.point;
    archive(point.depth, point.score, point.closed_form_note, point.still);
    for (const auto number : depth_numbers) archive(point.*number);
    for (const auto list : depth_lists) archive(point.*list);
    Index rows = record.weights.rows(), cols = record.weights.cols();
    std::vector<double> values(record.weights.data(), record.weights.data() + record.weights.size());
    archive(rows, cols, values);
    if constexpr (!std::is_const_v<Value>) record.weights = {rows, cols, std::move(values)};
}

}  // namespace ntk
