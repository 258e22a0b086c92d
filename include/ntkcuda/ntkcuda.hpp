#pragma once

/// \file ntkcuda.hpp
/// The whole library, in the order of the path: data, network, passes, kernels, limit, closed form, exact moments, comparison.

#include <ntkcuda/error.hpp>
#include <ntkcuda/matrix.hpp>
#include <ntkcuda/device.hpp>
#include <ntkcuda/backend.hpp>
#include <ntkcuda/data.hpp>
#include <ntkcuda/array_file.hpp>
#include <ntkcuda/activation.hpp>
#include <ntkcuda/random.hpp>
#include <ntkcuda/network.hpp>
#include <ntkcuda/propagate.hpp>
#include <ntkcuda/gram.hpp>
#include <ntkcuda/kernel_blocks.hpp>
#include <ntkcuda/repeated_kernel.hpp>
#include <ntkcuda/kernel_sampler.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/dual_activation.hpp>
#include <ntkcuda/sphere_recursion.hpp>
#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/metrics.hpp>
#include <ntkcuda/exact_moments.hpp>
#include <ntkcuda/moments.hpp>
#include <ntkcuda/ensemble.hpp>
#include <ntkcuda/verify.hpp>
#include <ntkcuda/compare.hpp>
#include <ntkcuda/angle_table.hpp>
#include <ntkcuda/normalized_system.hpp>
#include <ntkcuda/depth_limit.hpp>
#include <ntkcuda/how_deep.hpp>
