#pragma once

/// \file ntkcuda.hpp
/// The whole library, in the order of the path: data, network, passes, kernels, limit, closed form, exact moments, comparison.
///
/// Options are structs whose fields have defaults: name those that differ, `{.source = "digits", .samples = 500}`. Every failure is thrown
/// as an ntk::Error (error.hpp). Work that takes long has an argument `progress` that reports and cancels (progress.hpp). Values of the
/// caller's own are passed as views of its memory (view() in matrix.hpp).
///
/// Threads: a backend, and whatever was made with it (Matrix, Network, KernelSystem, samplers ..), is used by one thread at a time. Threads
/// that work at once have a backend each, of different devices or of the same, and get the same bits as they would alone; on the CPU a
/// factorisation on several threads and the kernels of another thread wait for each other. Functions without a backend may be called by any
/// threads at once. Objects that nobody changes (Dataset, Architecture, HostMatrix, options) may be shared.

#include <ntkcuda/version.hpp>
#include <ntkcuda/error.hpp>
#include <ntkcuda/progress.hpp>
#include <ntkcuda/matrix.hpp>
#include <ntkcuda/device.hpp>
#include <ntkcuda/backend.hpp>
#include <ntkcuda/ranks.hpp>
#include <ntkcuda/workers.hpp>
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
#include <ntkcuda/kernel_spectrum.hpp>
#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/feature_space.hpp>
#include <ntkcuda/kernel_operator.hpp>
#include <ntkcuda/pivoted_cholesky.hpp>
#include <ntkcuda/conjugate_gradient.hpp>
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
#include <ntkcuda/rates.hpp>
#include <ntkcuda/plan.hpp>
