#pragma once

// What several ranks do together in the place of what one does alone: ntkcuda-mpi has it, plain ntkcuda does not.

#include "kernel_task.hpp"
#include "predict.hpp"

#include <ntkcuda/distributed_layout.hpp>

#include <memory>

namespace ntk::cli {

struct Solution;

/// Predictions from samples, as `predict` is asked for them.
template <class Real>
struct PredictTask {
    const PredictArguments& arguments;
    Run& run;
    const Samples& samples;
    const Architecture& architecture;
    const std::optional<Weights>& weights;
    std::shared_ptr<Backend<Real>> backend;
};

/// A kernel that the ranks hold together, factorised, or decomposed where the predictions are spectral.
class DistributedSolver {
public:
    virtual ~DistributedSolver() = default;
    /// Of the system.
    [[nodiscard]] virtual double condition() const = 0;
    /// Predictions and what the command line asks for beside them, the same on every rank. Called once.
    [[nodiscard]] virtual Solution solve() = 0;
};

/// A .npy file that the ranks write together; nothing is under its name before finish().
template <class Real>
class SharedFile {
public:
    virtual ~SharedFile() = default;
    /// This rank's part of the array, in memory of the host.
    virtual void write(const DistributedLayout& layout, ConstMatrixView<Real> part) = 0;
    virtual void finish() = 0;
};

/// All ranks call all functions in the same order.
class Distribution {
public:
    virtual ~Distribution() = default;
    [[nodiscard]] virtual Ranks& ranks() = 0;
    /// Of the ranks on this machine: which this one is, and how many they are.
    [[nodiscard]] virtual int local_rank() const = 0;
    [[nodiscard]] virtual int local_ranks() const = 0;

    virtual void open(const std::string& path, const std::vector<Index>& shape, std::unique_ptr<SharedFile<float>>& file) = 0;
    virtual void open(const std::string& path, const std::vector<Index>& shape, std::unique_ptr<SharedFile<double>>& file) = 0;

    /// Computes the kernel and writes its files, then those of its spectrum; nothing is under their names before their end.
    [[nodiscard]] virtual KernelFacts write_kernel(const KernelTask<float>& task) = 0;
    [[nodiscard]] virtual KernelFacts write_kernel(const KernelTask<double>& task) = 0;

    /// Whether the ranks share this work; else one of them does it.
    [[nodiscard]] virtual bool shares(const PredictArguments& arguments) const = 0;
    /// The kernel of the training samples with its ridge, factorised, or its eigenvectors. Throws as KernelSystem, or as Spectrum.
    [[nodiscard]] virtual std::unique_ptr<DistributedSolver> factorise(const PredictTask<float>& task) = 0;
    [[nodiscard]] virtual std::unique_ptr<DistributedSolver> factorise(const PredictTask<double>& task) = 0;
};

}  // namespace ntk::cli
