// The plan of a run: work by exact small formulas, memory as the run plans it, the same refusals, and nothing computed or left.

#include "support/paths.hpp"
#include "support/program.hpp"
#include "support/rates.hpp"
#include "support/thread_ranks.hpp"

#include <ntkcuda/ntkcuda.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <array>

namespace {

using namespace ntk;
using namespace ntk::testing;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using Json = nlohmann::json;

/// Widths 3 -> 5 -> 7 -> 2.
Architecture small_network() {
    Architecture architecture;
    architecture.inputs = 3;
    architecture.hidden = {5, 7};
    architecture.outputs = 2;
    return architecture;
}

double flops(const std::vector<Phase>& phases, const std::string& name) {
    for (const Phase& phase : phases)
        if (phase.name == name) return phase.flops();
    ADD_FAILURE() << "no phase " << name;
    return 0;
}

TEST(PlanFlops, PassesAreProductsOfTheWeights) {
    EXPECT_EQ(forward_flops(small_network(), 10), 2 * 10 * (3 * 5 + 5 * 7 + 7 * 2));
    EXPECT_EQ(backward_flops(small_network(), 10), 2 * 10 * 2 * (5 * 7));
}

TEST(PlanFlops, LayersOfAKernel) {
    KernelWork kernel;
    kernel.architecture = small_network();
    const BlockWork work{10, 55};
    // trace: a^{l-1} of 3, 5, 7 and delta of both outputs of 5, 7 units.
    EXPECT_EQ(flops(kernel_phases(kernel, work, 100), "layer products"), 2 * 55 * ((3 + 2 * 5) + (5 + 2 * 7) + 7));
    EXPECT_EQ(flops(kernel_phases(kernel, work, 100), "passes"), forward_flops(small_network(), 10) + backward_flops(small_network(), 10));
    kernel.block = Block::full;
    EXPECT_EQ(flops(kernel_phases(kernel, work, 100), "layer products"), 2 * 55 * ((3 + 4 * 5) + (5 + 4 * 7) + 7));
    kernel.method = Method::jacobian;
    EXPECT_EQ(flops(kernel_phases(kernel, work, 100), "layer products"), 2 * 55 * 4 * (3 * 5 + 5 * 7 + 7 * 2));
    kernel.kernel = InfiniteKernel::nngp;
    EXPECT_EQ(flops(kernel_phases(kernel, work, 100), "layer products"), 2 * 55 * 7);
    EXPECT_EQ(flops(kernel_phases(kernel, work, 100), "passes"), forward_flops(small_network(), 10));
}

TEST(PlanFlops, TheLimitCountsPairsTimesLayers) {
    KernelWork kernel;
    kernel.architecture = small_network();
    kernel.finite = false;
    EXPECT_TRUE(network_phases(kernel).empty());
    const auto phases = kernel_phases(kernel, {10, 55}, 100);
    EXPECT_EQ(phases.front().name, "pairs");
    EXPECT_EQ(phases.front().flops(), 2 * 3 * 55);
    EXPECT_EQ(phases.front().pair_layers(), 3 * 55);
}

TEST(PlanFlops, Systems) {
    SystemWork system;
    system.rows = 30;
    system.tests = 4;
    system.targets = 3;
    EXPECT_EQ(flops(system_phases(system), "factorise"), 30 * 30 * 30 / 3);
    EXPECT_EQ(flops(system_phases(system), "condition"), 5 * 2 * 30 * 30);
    EXPECT_EQ(flops(system_phases(system), "targets"), 3 * 2 * 30 * 30);
    system.posterior = true;
    EXPECT_EQ(flops(system_phases(system), "variance"), 4 * 30 * 30);
    system.spectrum = true;
    EXPECT_EQ(flops(system_phases(system), "eigenvectors"), 9 * 30 * 30 * 30);
}

/// On r x c ranks, of 1000 rows in blocks of b: those who wait for a block do as much as nobody else.
TEST(PlanFlops, SystemsOnSeveralRanks) {
    SystemWork system;
    system.rows = 1000;
    const double all = 1e9 / 3;
    const auto on = [&](int ranks, const char* phase) {
        system.layout = kernel_layout(ranks, 1000, 0, 1);
        return flops(system_phases(system), phase);
    };
    EXPECT_EQ(on(4, "condition"), 5 * 1e6 * (1.0 / 2 + 1.0 / 2));
    EXPECT_EQ(on(3, "condition"), 5 * 1e6 * (1.0 + 1.0 / 3));
    EXPECT_EQ(on(3, "targets"), 1e6 * (1.0 + 1.0 / 3));
    for (const int ranks : {2, 3, 4, 6}) {
        const double side = static_cast<double>(kernel_layout(ranks, 1000, 0, 1).rows.side), rows = rank_grid(ranks).rows;
        const double waited = side * side * 1000 / 3 + side * 1000 * (1000 - side) / 2 / rows;
        EXPECT_GT(on(ranks, "factorise"), waited + (all - waited * rows) / ranks) << ranks;
        EXPECT_LT(on(ranks, "factorise"), waited + 1.5 * all / ranks) << ranks;
    }
    system.layout = kernel_layout(2, 1000, 0, 1);
    system.layout.rows.side = system.layout.cols.side = 1000;  // one block: nothing is shared
    EXPECT_DOUBLE_EQ(flops(system_phases(system), "factorise"), all);
}

double link_bytes(const std::vector<Phase>& phases) {
    double bytes = 0;
    for (const Phase& phase : phases)
        for (const Work& work : phase.work)
            if (work.operation == Operation::link) bytes += work.amount;
    return bytes;
}

/// 1000 samples on 2 x 3 ranks: the first has 508 rows and 344 columns. Shares are 192, 192, 124 of the rows and 192, 152 of the columns.
TEST(PlanPasses, AreComputedWhereNeededOrExchanged) {
    KernelWork kernel;
    kernel.architecture = small_network();
    const DistributedCost cost = distributed_cost(kernel_layout(6, 1000, 0, 1), 1, 1, sizeof(double));
    EXPECT_TRUE(cost.shared);
    const auto computed = pass_phases(kernel, cost, Passes::compute), exchanged = pass_phases(kernel, cost, Passes::exchange);
    EXPECT_EQ(flops(computed, "passes"), forward_flops(small_network(), 508 + 344) + backward_flops(small_network(), 508 + 344));
    EXPECT_EQ(link_bytes(computed), 0);
    EXPECT_EQ(flops(exchanged, "passes"), forward_flops(small_network(), 192 + 192) + backward_flops(small_network(), 192 + 192));
    const double gathered = (508 - 124) + (344 - 152);
    EXPECT_EQ(link_bytes(exchanged), gathered * (5 + 7) * (1 + 2) * sizeof(double));
    kernel.kernel = InfiniteKernel::nngp;
    EXPECT_EQ(link_bytes(pass_phases(kernel, cost, Passes::exchange)), gathered * 7 * sizeof(double));
}

TEST(PlanPasses, TheOneThatTakesLess) {
    KernelWork kernel;
    kernel.architecture = small_network();
    const DistributedCost cost = distributed_cost(kernel_layout(6, 1000, 0, 1), 1, 1, sizeof(double));
    Rates rates;
    rates.fp64 = {{Operation::gemm, {1e9, 0}}, {Operation::memory, {1e30, 0}}, {Operation::link, {1e30, 0}}};
    const double compute = flops(pass_phases(kernel, cost, Passes::compute), "passes") / 1e9;
    const double share = flops(pass_phases(kernel, cost, Passes::exchange), "passes") / 1e9;
    EXPECT_EQ(choose_passes(kernel, cost, rates).passes, Passes::exchange);
    EXPECT_NEAR(choose_passes(kernel, cost, rates).exchange_seconds, share, 1e-12 * share);
    EXPECT_NEAR(choose_passes(kernel, cost, rates).compute_seconds, compute, 1e-12 * compute);
    // Where the rest comes as fast as it is computed.
    const double link = link_bytes(pass_phases(kernel, cost, Passes::exchange)) / (compute - share);
    rates.fp64[Operation::link].per_second = 1.01 * link;
    EXPECT_EQ(choose_passes(kernel, cost, rates).passes, Passes::exchange);
    rates.fp64[Operation::link].per_second = 0.99 * link;
    EXPECT_EQ(choose_passes(kernel, cost, rates).passes, Passes::compute);
    // Nothing is shared where a rank has no part, or a kernel no passes.
    EXPECT_EQ(choose_passes(kernel, distributed_cost(kernel_layout(6, 2, 0, 1), 1, 1, sizeof(double)), {}).passes, Passes::compute);
    kernel.finite = false;
    EXPECT_EQ(choose_passes(kernel, cost, {}).passes, Passes::compute);
}

TEST(PlanFlops, ASweepIsItsNetworksAndTheirLimits) {
    CompareOptions options;
    options.base = small_network();
    options.depths = {2, 3};
    options.widths = {4, 8, 16};
    options.seeds = 5;
    const SampleCounts size{30, 4, 3, 2};
    const auto phases = compare_phases(options, size, sizeof(double));
    EXPECT_EQ(flops(phases, "networks: factorise"), 2 * 3 * 5 * 30 * 30 * 30 / 3);
    EXPECT_EQ(flops(phases, "limits: factorise"), 2 * 30 * 30 * 30 / 3);
    // Two ranks share five seeds as three and two.
    EXPECT_EQ(flops(compare_phases(options, size, sizeof(double), 2), "networks: factorise"), 2 * 3 * 3 * 30 * 30 * 30 / 3);
    options.base.parametrization = Parametrization::standard;
    EXPECT_EQ(flops(compare_phases(options, size, sizeof(double)), "limits: factorise"), 2 * 3 * 30 * 30 * 30 / 3);
}

TEST(PlanFlops, DepthsOfAStudy) {
    DepthOptions options;
    options.depths = {1, 10, 100};
    options.spectrum = false;
    const SampleCounts size{30, 4, 3, 2};
    EXPECT_EQ(depth_pair_layers(options, size), (30 * 31 / 2 + 4 * 30) * 100);
    EXPECT_DOUBLE_EQ(flops(depth_phases(options, size), "factorise"), 3 * 2.0 / 3 * 30 * 30 * 30);
    EXPECT_EQ(flops(depth_phases(options, size), "weights"), 3 * 6 * 4 * 30 * 30);
}

/// What for_each_kernel_block asks for, counted one block after the other.
BlockWork counted(const KernelBlocks& blocks) {
    BlockWork work;
    const auto backend = make_backend<double>("cpu", 1);
    for_each_kernel_block<double>(
        *backend, blocks,
        [&](const SampleBlock& block) {
            const bool diagonal = blocks.symmetric && block.on_diagonal();
            const auto rows = static_cast<double>(block.rows), cols = static_cast<double>(block.cols);
            work.passes += diagonal ? rows : rows + cols;
            work.pairs += diagonal ? rows * (rows + 1) / 2 : rows * cols;
            return Matrix<double>(backend, block.rows, block.cols);
        },
        [](Index, Index, ConstMatrixView<double>) {});
    return work;
}

TEST(PlanBlocks, CountPassesAndPairsOfEveryBlock) {
    for (const KernelBlocks& blocks :
         {KernelBlocks{50, 50, 50, true}, {50, 50, 16, true}, {50, 50, 1, true}, {50, 20, 16, false}, {20, 50, 64, false}}) {
        const BlockWork planned = block_work(blocks), exact = counted(blocks);
        EXPECT_EQ(planned.passes, exact.passes) << blocks.side;
        EXPECT_EQ(planned.pairs, exact.pairs) << blocks.side;
    }
    EXPECT_THROW((void)block_work({50, 50, 0, true}), Error);
}

TEST(PlanRates, GoThroughBothMeasurements) {
    const double work[2] = {1e6, 1e9}, size[2] = {64, 512}, seconds[2] = {1e-4, 0.05};
    const Rate rate = fit_rate(work, size, seconds);
    EXPECT_GT(rate.half_at, 0);
    for (int i = 0; i < 2; ++i) EXPECT_NEAR(rate.seconds(work[i], size[i]), seconds[i], 1e-12 * seconds[i]);
    const double faster[2] = {1e-5, 0.05};
    EXPECT_EQ(fit_rate(work, size, faster).half_at, 0);
    EXPECT_NEAR(fit_rate(work, size, faster).seconds(work[1], 512), 0.05, 1e-12);
    const double none[2] = {0, 1};
    EXPECT_THROW((void)fit_rate(work, size, none), Error);
}

TEST(PlanRates, ThoseThatAreMissingAreNamed) {
    Rates rates;
    rates.device = "a device";
    rates.fp64[Operation::gemm] = {1e9, 0};
    EXPECT_EQ(rates.at(Operation::gemm, sizeof(double)).per_second, 1e9);
    expect_error(ErrorCode::invalid_argument, {"a device", "gemm", "fp32"}, [&] { (void)rates.at(Operation::gemm, sizeof(float)); });
}

TEST(PlanRates, OfThisMachineArePositive) {
    const TemporaryFolder folder;
    Rates rates;
    measure_rates(make_backend<double>("cpu", 1), {Operation::gemm, Operation::arccos_ntk, Operation::write, Operation::link},
                  folder.path(""), rates);
    for (const auto& [operation, rate] : rates.fp64) EXPECT_GT(rate.per_second, 0) << to_string(operation);
    EXPECT_EQ(rates.fp64.size(), 5U);  // with the memory's, for the link
    EXPECT_EQ(folder.entries(), 0U);
}

/// As ranks decide by them.
TEST(PlanRates, OfSeveralRanksAreTheSameOnAll) {
    const TemporaryFolder folder;
    std::array<Rates, 3> rates;
    on_ranks(3, [&](Ranks& ranks) {
        measure_rates(make_backend<double>("cpu", 1), {Operation::arccos_ntk, Operation::memory, Operation::write, Operation::link},
                      folder.path(""), rates[static_cast<std::size_t>(ranks.rank())], ranks, 0x1p20);
    });
    for (const auto& [operation, rate] : rates[0].fp64) EXPECT_GT(rate.per_second, 0) << to_string(operation);
    for (const Rates& others : {rates[1], rates[2]}) {
        ASSERT_EQ(others.fp64.size(), 4U);
        for (const auto& [operation, rate] : others.fp64) {
            EXPECT_EQ(rate.per_second, rates[0].fp64.at(operation).per_second) << to_string(operation);
            EXPECT_EQ(rate.half_at, rates[0].fp64.at(operation).half_at) << to_string(operation);
        }
    }
    EXPECT_EQ(folder.entries(), 0U);
}

TEST(PlanShapes, OfSourcesThatAreNotMade) {
    DataOptions options;
    options.source = "gaussian:n=1000000000,d=784,seed=1";
    const Dataset large = load_shape(options);
    EXPECT_EQ(large.samples(), 1000000000);
    EXPECT_EQ(large.features(), 784);
    EXPECT_FALSE(large.x.has_values());
    options.samples = 100;
    EXPECT_EQ(load_shape(options).samples(), 100);
    EXPECT_EQ(split(load_shape(options), 0.75, 1).first.samples(), 75);

    options = {};
    const Dataset digits = load_data(options), shape = load_shape(options);
    EXPECT_EQ(shape.samples(), digits.samples());
    EXPECT_EQ(shape.y.cols(), digits.y.cols());
    EXPECT_EQ(shape.classes, digits.classes);
    EXPECT_TRUE(shape.has_targets());
}

TEST(PlanShapes, OfNpyByTheHeader) {
    const TemporaryFolder folder;
    write_npy(folder.path("x.npy"), {6, 2, 3}, std::vector<double>(36, 1).data());
    DataOptions options;
    options.source = folder.path("x.npy");
    const Dataset shape = load_shape(options);
    EXPECT_EQ(shape.samples(), 6);
    EXPECT_EQ(shape.features(), 6);
    EXPECT_FALSE(shape.x.has_values());
    const std::string whole = read_bytes(folder.path("x.npy"));
    (void)folder.file("x.npy", whole.substr(0, whole.size() - 1));
    expect_error(ErrorCode::io, {"x.npy", "truncated"}, [&] { (void)load_shape(options); });
}

/// Made-up rates with links of so many bytes a second.
std::string rates_with_link(double per_second) {
    Json rates = Json::parse(rates_of(0x1p36));
    rates["fp64"]["link"]["per_second"] = per_second;
    return rates.dump();
}

Json plan_of(const TemporaryFolder& folder, const std::string& arguments) {
    const Outcome outcome = run_program(folder, arguments + " --json");
    EXPECT_EQ(outcome.code, 0) << arguments << ": " << outcome.err;
    return Json::parse(outcome.out, nullptr, false);
}

class PlanOfEveryCommand : public ::testing::TestWithParam<std::string> {};

TEST_P(PlanOfEveryCommand, LeavesNothingAndSaysWhatTheRunPlans) {
    const TemporaryFolder folder;
    (void)folder.file("rates.json", rates_of(0x1p36));
    const Json plan = plan_of(folder, "plan " + GetParam() + " --rates rates.json --ranks 1,2,6");
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path(""))) names.push_back(entry.path().filename());
    EXPECT_THAT(names, ::testing::UnorderedElementsAre(".out", ".err", "rates.json"));
    const Json& results = plan.at("results");
    ASSERT_EQ(results.at("ranks").size(), 3U);
    double seconds = 0;
    for (const Json& phase : results.at("ranks").at(0).at("phases")) seconds += phase.at("seconds").get<double>();
    EXPECT_NEAR(results.at("ranks").at(0).at("seconds"), seconds, 1e-12 * seconds);
    EXPECT_GT(seconds, 0);
    EXPECT_LE(results.at("ranks").at(2).at("seconds"), results.at("ranks").at(0).at("seconds"));

    ASSERT_EQ(run_program(folder, GetParam() + " --out " + (GetParam().starts_with("kernel") ? "K.npy" : "out")).code, 0);
    const Json run = Json::parse(read_bytes(folder.path(GetParam().starts_with("kernel") ? "K.run.json" : "out/run.json")));
    EXPECT_EQ(results.at("ranks").at(0).at("memory"), run.at("memory").at("planned"));
}

INSTANTIATE_TEST_SUITE_P(Commands, PlanOfEveryCommand,
                         ::testing::Values("kernel --samples 40 --width 32", "kernel --samples 40 --width 32 --outputs 3 --block full",
                                           "kernel --data gaussian:n=30,d=5,seed=1 --test gaussian:n=20,d=5,seed=2 --kernel ntk",
                                           "kernel --samples 40 --width 32 --block diag --precision fp32",
                                           "predict --samples 60 --depth 3 --ridge 1e-3",
                                           "predict --samples 60 --kernel nngp --posterior --ridge 1e-3", "predict --samples 60 --time 10",
                                           "predict --samples 60 --ridge 1e-3,1", "kernel --samples 40 --width 32 --eigenvalues",
                                           "compare --samples 30 --depths 2,3 --widths 8,16 --seeds 6 --ridge 1e-3",
                                           "depth --samples 30 --depths 1,3,10", "ensemble --samples 3 --width 8 --networks 200"));

TEST(Plan, SaysWhetherRanksExchangePasses) {
    const TemporaryFolder folder;
    (void)folder.file("slow.json", rates_with_link(1));
    (void)folder.file("fast.json", rates_with_link(1e15));
    const auto passes = [&](const std::string& arguments) {
        const Json ranks = plan_of(folder, "plan " + arguments + " --ranks 1,4").at("results").at("ranks");
        EXPECT_TRUE(ranks.at(0).at("passes").is_null());
        std::vector<std::string> phases;
        for (const Json& phase : ranks.at(1).at("phases")) phases.push_back(phase.at("name"));
        const std::string said = ranks.at(1).at("passes").is_null() ? "" : ranks.at(1).at("passes").get<std::string>();
        EXPECT_EQ(std::count(phases.begin(), phases.end(), "exchange"), said.starts_with("exchanged") ? 1 : 0) << arguments;
        return said;
    };
    const std::string predict = "predict --samples 500 --ridge 1e-3 --solver cholesky --kernel empirical-ntk --width 32 ";
    for (const std::string command : {"kernel --samples 500 --width 32 ", predict.c_str()}) {
        EXPECT_THAT(passes(command + "--rates slow.json"), ::testing::StartsWith("computed by every rank that needs them ("));
        EXPECT_THAT(passes(command + "--rates fast.json"), ::testing::StartsWith("exchanged ("));
        EXPECT_THAT(passes(command + "--rates slow.json --passes exchange"), HasSubstr("as --passes says"));
        EXPECT_THAT(passes(command + "--rates fast.json --passes compute"), HasSubstr("as --passes says"));
    }
    EXPECT_THAT(passes("kernel --samples 1 --width 32 --rates fast.json"), HasSubstr("fewer samples"));
    EXPECT_EQ(passes("kernel --samples 500 --kernel ntk --rates fast.json"), "");
    EXPECT_THAT(passes("kernel --samples 500 --width 32"), HasSubstr("nominal rates"));
}

TEST(Plan, OfAJacobianAndOfBlocks) {
    const TemporaryFolder folder;
    (void)folder.file("rates.json", rates_of(0x1p33));
    const Json jacobian = plan_of(folder, "jacobian --dry-run --samples 10 --width 16 --rates rates.json").at("results");
    EXPECT_EQ(jacobian.at("file_bytes"), 10 * (64 * 16 + 16 * 16 + 16) * 8);
    const Json shares =
        plan_of(folder, "plan jacobian --samples 1000 --width 16 --ranks 1,2,8 --rates rates.json").at("results").at("ranks");
    for (std::size_t i = 1; i < 3; ++i)
        for (const char* cost : {"memory", "seconds"})
            EXPECT_LT(shares.at(i).at(cost).get<double>(), shares.at(i - 1).at(cost).get<double>()) << cost << i;
    const Json blocks = plan_of(folder, "plan kernel --data gaussian:n=1000000,d=784,seed=1 --width 64 --rates rates.json").at("results");
    EXPECT_EQ(blocks.at("file_bytes"), 8e12);
    EXPECT_THAT(blocks.at("blocks").get<std::string>(), HasSubstr("TiB"));
    EXPECT_LE(blocks.at("ranks").at(0).at("memory"), 0x1p33);
}

/// Systems are dealt out whole; of the recursion of every pair each rank has its rows.
TEST(Plan, OfAStudyOfDepthOnSeveralRanks) {
    const TemporaryFolder folder;
    (void)folder.file("rates.json", rates_of(0x1p35));
    const std::string study =
        "plan depth --data gaussian:n=3000,d=20,seed=1 --b-std 0.3 --depths 1:100:log --ranks 1,4 --rates rates.json ";
    const Json angles = plan_of(folder, study).at("results").at("ranks"),
               pairs = plan_of(folder, study + "--normalize none").at("results").at("ranks");
    EXPECT_EQ(angles.at(0).at("memory"), angles.at(1).at("memory"));
    EXPECT_LT(pairs.at(1).at("memory").get<double>(), pairs.at(0).at("memory").get<double>() - 0.5 * 64 * 2400 * 2400 / 2);
    for (const Json& ranks : {angles, pairs})
        EXPECT_LT(ranks.at(1).at("seconds").get<double>(), 0.5 * ranks.at(0).at("seconds").get<double>());
}

TEST(Plan, MeasuresWhereNoRatesAreGiven) {
    const TemporaryFolder folder;
    const Json plan = plan_of(folder, "kernel --dry-run --samples 40 --width 32 --out K.npy");
    EXPECT_THAT(plan.at("results").at("rates").at("source").get<std::string>(), HasSubstr("measured"));
    EXPECT_FALSE(std::filesystem::exists(folder.path("K.npy")));
    const Json ensemble = plan_of(folder, "plan ensemble --samples 3 --width 8 --networks 200 --sampler conditional");
    EXPECT_GT(ensemble.at("results").at("ranks").at(0).at("seconds"), 0);
}

TEST(Plan, RatesThatAreSavedServeAgain) {
    const TemporaryFolder folder;
    const Outcome saved = run_program(folder, "plan --save-rates rates.json");
    EXPECT_EQ(saved.code, 0) << saved.err;
    const Json plan = plan_of(folder, "plan predict --samples 60 --ridge 1e-6:1:log --rates rates.json");
    EXPECT_EQ(plan.at("results").at("rates"), Json::parse(read_bytes(folder.path("rates.json"))));
}

struct Refusal {
    std::string arguments;
    int code;
    std::vector<std::string> words;
};

TEST(Plan, OfADeviceThatIsNotHereChoosesByItsMemory) {
    const TemporaryFolder folder;
    const std::string rates = std::string(" --rates ") + paths::data + "/rates/h200.json --json --quiet";
    const auto planned = [&](const std::string& arguments) {
        const Outcome outcome = run_program(folder, "plan " + arguments + rates);
        EXPECT_EQ(outcome.code, 0) << outcome.err;
        return Json::parse(outcome.out)["results"]["ranks"];
    };
    const std::string data = " --data gaussian:n=300000,d=64,seed=1 ", tests = "--test gaussian:n=10,d=64,seed=2 --targets 1 --ridge 1e-3 ";
    const Json kernel = planned("kernel" + data + "--width 512 --ranks 1,8");
    ASSERT_EQ(kernel.size(), 2U);
    // 8 x 300000^2 bytes are 720 GB: by blocks on one device of 134 GB, whole on eight.
    EXPECT_LT(kernel[0]["memory"].get<double>(), 133.95e9);
    EXPECT_GT(kernel[1]["memory"].get<double>(), 720e9 / 8);
    // ScaLAPACK counts to 2^31 entries, so that 8 ranks are too few for Cholesky.
    const Json predict = planned("predict" + data + tests + "--kernel empirical-ntk --width 512 --ranks 1,8,64");
    EXPECT_EQ(predict[0]["solver"], "cg");
    EXPECT_EQ(predict[1]["solver"], "cg");
    EXPECT_EQ(predict[2]["solver"], "cholesky");
    EXPECT_EQ(planned("predict" + data + tests + "--kernel empirical-ntk --width 64")[0]["solver"], "features");
    EXPECT_EQ(planned("predict" + data + tests + "--kernel ntk --solver cg --ranks 8")[0]["solver"], "cg");
}

TEST(Plan, RanksShareAnEigendecomposition) {
    const TemporaryFolder folder;
    (void)folder.file("rates.json", rates_of(0x1p40));
    const double n = 100000, n2 = n * n;
    const std::string data = " --data gaussian:n=100000,d=64,seed=1 --rates rates.json --ranks 1,64 ";
    const auto ranks = [&](const std::string& arguments) { return plan_of(folder, "plan " + arguments + data).at("results").at("ranks"); };
    const auto phase = [](const Json& rank, const std::string& name) {
        for (const Json& one : rank.at("phases"))
            if (one.at("name") == name) return one;
        ADD_FAILURE() << "no phase " << name;
        return Json();
    };
    const Json flow = ranks("predict --test gaussian:n=10,d=64,seed=2 --targets 1 --time 10"),
               kernel = ranks("kernel --kernel ntk --eigenvectors 10");
    for (const Json& one : {flow, kernel}) {
        EXPECT_EQ(phase(one[0], "eigenvectors").at("flops"), 9 * n * n2);
        EXPECT_EQ(phase(one[1], "eigenvectors").at("flops"), 9 * n * n2 / 64);
        // The part, the eigenvectors, and twice as much to work in; blocks are of 240 rows.
        EXPECT_GT(one[1].at("memory"), 4 * n2 * 8 / 64);
        EXPECT_LT(one[1].at("memory"), 4 * (n / 8 + 240) * (n / 8 + 240) * 8 + 1e9);
    }
    const DistributedLayout layout = kernel_layout(64, 100000, 0, 1);
    const double received = 4 * n * static_cast<double>(layout.local_rows(0) + layout.local_cols(0)) * 8;
    EXPECT_EQ(phase(flow[1], "panels").at("bytes"), received);
    EXPECT_EQ(phase(kernel[1], "eigenvectors").at("bytes"), received);
}

TEST(Plan, RefusesAsTheRunDoes) {
    const TemporaryFolder folder;
    (void)folder.file("rates.json", rates_of(0x1p24));
    (void)folder.file("less.json",
                      R"({"device": "x", "kind": "cpu", "source": "y", "memory": 1e9, "fp64": {"gemm": {"per_second": 1e9}}})");
    (void)folder.file("other.json", R"({"device": "x", "kind": "cpu", "source": "y", "memory": 1e9, "fp16": {}})");
    (void)folder.file("empty.json", R"({"device": "x", "kind": "cpu", "source": "y", "memory": 1e9})");
    (void)folder.file("broken.json", "{");
    const auto before = folder.entries();
    for (const Refusal& refusal :
         std::vector<Refusal>{{"plan predict --data gaussian:n=100000,d=10,seed=1 --targets 1 --rates rates.json", 4, {"iB", "free"}},
                              {"predict --dry-run --data gaussian:n=100,d=10,seed=1", 2, {"targets"}},
                              {"kernel --dry-run --samples 10 --block diag --test digits", 2, {"diag"}},
                              {"kernel --dry-run --samples 10 --kernel ntk --method jacobian", 2, {"--method jacobian"}},
                              {"kernel --dry-run --samples 10 --out /nonexistent/K.npy", 2, {"/nonexistent"}},
                              {"predict --dry-run --samples 50 --out /proc/none", 2, {"/proc"}},
                              {"compare --dry-run --samples 30 --seeds 2", 2, {"seeds"}},
                              {"ensemble --dry-run --samples 3 --entries theta[7,0]", 2, {"theta.7,0."}},
                              {"kernel --samples 10 --ranks 2 --out K.npy", 2, {"--dry-run"}},
                              {"kernel --dry-run --samples 10 --rates none.json", 2, {"none.json"}},
                              {"kernel --dry-run --samples 10 --rates broken.json", 2, {"broken.json"}},
                              {"kernel --dry-run --samples 10 --rates less.json", 2, {"less.json", "half_at"}},
                              {"kernel --dry-run --samples 10 --rates other.json", 2, {"other.json", "fp16"}},
                              {"kernel --dry-run --samples 10 --rates empty.json", 2, {"memory", "fp64"}},
                              {"plan kernels", 2, {"kernels"}}}) {
        const Outcome outcome = run_program(folder, refusal.arguments);
        EXPECT_EQ(outcome.code, refusal.code) << refusal.arguments << ": " << outcome.out << outcome.err;
        for (const auto& word : refusal.words) EXPECT_THAT(outcome.err, ::testing::ContainsRegex(word)) << refusal.arguments;
    }
    EXPECT_LE(folder.entries(), before + 2);  // .out and .err
}

}  // namespace
