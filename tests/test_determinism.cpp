// Same parameters, same bits: every command run again, and on other numbers of threads.

#include "support/process.hpp"

#include <gtest/gtest.h>

namespace ntk {
namespace {

using namespace testing;

struct Command {
    std::string name, arguments;
    bool on_any_threads;  ///< else for the same number of threads only: factorisations are LAPACK's
};
void PrintTo(const Command& command, std::ostream* out) { *out << command.name; }

const Command commands[] = {
    {"empirical_ntk", "kernel --samples 150 --width 70 --depth 4 --b-std 0.2 --out K.npy", true},
    {"empirical_ntk_fp32", "kernel --samples 150 --width 70 --depth 4 --precision fp32 --per-layer --out K.npy", true},
    {"empirical_ntk_full", "kernel --samples 70 --width 70 --outputs 3 --block full --out K.npy", true},
    {"empirical_nngp", "kernel --samples 150 --width 70 --kernel empirical-nngp --out K.npy", true},
    {"empirical_ntk_diag", "kernel --samples 70 --width 70 --outputs 3 --block diag --out K.npy", true},
    {"by_jacobian", "kernel --samples 70 --width 70 --method jacobian --out K.npy", true},
    {"ntk_cross", "kernel --samples 400 --kernel ntk --test sphere:n=130,d=64,seed=3 --normalized --out K.npy", true},
    {"nngp_erf", "kernel --samples 400 --kernel nngp --activation erf --out K.npy", true},
    {"jacobian", "jacobian --samples 60 --width 40 --b-std 0.1 --out J.npy", true},
    {"predict", "predict --samples 300 --ridge 1e-3 --out run", false},
    {"predict_flow", "predict --samples 200 --time 5 --out run", false},
    {"predict_posterior", "predict --samples 200 --kernel nngp --posterior --ridge 0.1 --out run", false},
    {"predict_finite", "predict --samples 200 --kernel empirical-ntk --width 64 --initial-function --ridge 0.1 --out run", false},
    {"compare", "compare --samples 100 --depths 2,3 --widths 16,32 --seeds 3 --out run", false},
    {"depth", "depth --samples 100 --depths 1:1e3:log --out run", false},
    {"depth_grid", "depth --samples 60 --depths 1,10 --grid-w-std 1:2:3 --grid-b-std 0:1:2 --grid-depth 100 --out run", false},
    {"ensemble", "ensemble --data sphere:n=3,d=4,seed=1 --depth 3 --width 24 --networks 9000 --outputs 2 --block full --out run", true},
    {"ensemble_conditional",
     "ensemble --data sphere:n=3,d=4,seed=1 --depth 3 --widths 8,80 --networks 5000 --sampler conditional --out run", true},
};

class Determinism : public ::testing::TestWithParam<Command> {};

TEST_P(Determinism, SameBytesAgainAndOnOtherThreads) {
    const auto run = [](const TemporaryFolder& folder, int threads) {
        const Outcome outcome = run_program(folder, GetParam().arguments + " --device cpu --quiet --threads " + std::to_string(threads));
        ASSERT_EQ(outcome.code, 0) << outcome.err;
    };
    const TemporaryFolder first, again;
    run(first, 2);
    run(again, 2);
    expect_same_files(again.path(""), first.path(""));
    for (const int threads : {1, 3}) {
        if (!GetParam().on_any_threads) continue;
        const TemporaryFolder other;
        run(other, threads);
        expect_same_files(other.path(""), first.path(""), false);
    }
}

INSTANTIATE_TEST_SUITE_P(Commands, Determinism, ::testing::ValuesIn(commands), [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace ntk
