#pragma once

// What the ranks of ntkcuda-mpi share.

#include "host/cli/distribution.hpp"

#include <ntkcuda/mpi.hpp>

namespace ntk::cli {

class Together final : public Distribution {
public:
    explicit Together(MpiRanks& ranks) : ranks_(ranks) {}
    [[nodiscard]] Ranks& ranks() override { return ranks_; }
    [[nodiscard]] int local_rank() const override { return ranks_.local_rank(); }
    [[nodiscard]] int local_ranks() const override { return ranks_.local_size(); }

    void open(const std::string& path, const std::vector<Index>& shape, std::unique_ptr<SharedFile<float>>& file) override;
    void open(const std::string& path, const std::vector<Index>& shape, std::unique_ptr<SharedFile<double>>& file) override;

    [[nodiscard]] KernelFacts write_kernel(const KernelTask<float>& task) override;
    [[nodiscard]] KernelFacts write_kernel(const KernelTask<double>& task) override;

    [[nodiscard]] bool shares(const PredictArguments& arguments) const override;
    [[nodiscard]] std::unique_ptr<DistributedSolver> factorise(const PredictTask<float>& task) override;
    [[nodiscard]] std::unique_ptr<DistributedSolver> factorise(const PredictTask<double>& task) override;

private:
    MpiRanks& ranks_;
};

}  // namespace ntk::cli
