// The command line as a contract: what each kind of bad input says and exits with, what a good run leaves, and that nothing
// half-written remains.

#include "support/program.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/ntkcuda.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>

namespace {

using namespace ntk;
using namespace ntk::testing;
using ::testing::HasSubstr;

/// A case of bad input: the arguments, the exit code, and words that the message must contain.
struct BadInput {
    std::string name, arguments;
    int code;
    std::vector<std::string> words;
};

void PrintTo(const BadInput& input, std::ostream* out) { *out << input.name; }

class CommandLineRefuses : public ::testing::TestWithParam<BadInput> {};

void write_inputs(const TemporaryFolder& s) {
    s.file("ragged.csv", "a,b,label\n1,2,x\n3,y\n");
    s.file("text.csv", "a,b,label\n1,2,x\n3,oops,y\n");
    s.file("nan.csv", "a,b,label\n1,2,x\n3,nan,y\n");
    s.file("inf.csv", "a,b,label\n1,inf,x\n3,4,y\n");
    s.file("good.csv", "a,b,label\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n2,1,x\n");
    s.file("short.npy", std::string("\x93NUMPY\x01\x00\x76\x00", 10) + "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }" +
                            std::string(58, ' ') + "\n" + std::string(8, '\0'));
    s.file("complex.npy", std::string("\x93NUMPY\x01\x00\x76\x00", 10) + "{'descr': '<c16', 'fortran_order': False, 'shape': (1, 1), }" +
                              std::string(57, ' ') + "\n" + std::string(16, '\0'));
    s.file("broken.npz", "PK\x03\x04 this is not an archive");
    s.file("short.idx", std::string("\x00\x00\x08\x02\x00\x00\x00\x05\x00\x00\x00\x05", 12) + "abc");
    s.file("unknown.toml", "widht = 3\n");
}

TEST_P(CommandLineRefuses, WithItsOwnMessageAndCode) {
    const TemporaryFolder scratch;
    write_inputs(scratch);
    const Outcome outcome = run_program(scratch, GetParam().arguments);
    EXPECT_EQ(outcome.code, GetParam().code) << outcome.out << outcome.err;
    for (const auto& word : GetParam().words) EXPECT_THAT(outcome.err, HasSubstr(word));
    EXPECT_FALSE(std::filesystem::exists(scratch.path("K.npy")));
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, CommandLineRefuses,
    ::testing::Values(
        BadInput{"no_command", "", 2, {"subcommand"}}, BadInput{"unknown_command", "kernels", 2, {"kernels"}},
        BadInput{"unknown_option", "kernel --widht 3 --out K.npy", 2, {"--widht"}},
        BadInput{"unknown_config_name", "kernel --config unknown.toml --out K.npy", 2, {"widht"}},
        BadInput{"depth_list", "depth --depths 1:10 --out d", 2, {"--depths", "1:10"}},
        BadInput{"depth_unequal_norms",
                 "depth --data good.csv --activation hermite:0.5,0.5 --b-std 1 --normalize none --out d",
                 2,
                 {"norm", "hermite"}},
        BadInput{"fast_limit", "kernel --kernel ntk --precision fast --out K.npy", 2, {"--precision fast", "empirical-ntk"}},
        BadInput{"fast_jacobian", "jacobian --samples 5 --precision fast --out K.npy", 2, {"--precision fast", "kernel and predict"}},
        BadInput{
            "fast_by_jacobian", "kernel --samples 5 --method jacobian --precision fast --out K.npy", 2, {"--precision fast", "layerwise"}},
        BadInput{"fast_duplicates",
                 "predict --data good.csv --test good.csv --samples 4 --kernel empirical-ntk --depth 1 --precision fast --out P",
                 3,
                 {"--ridge", "--precision fp64"}},
        BadInput{"depth_precision", "depth --precision fp32 --out d", 2, {"fp64"}},
        BadInput{"depth_grid_word", "depth --grid-w-std 1,x --grid-b-std 0,1 --out d", 2, {"--grid-w-std", "'x'", "FROM:TO:COUNT"}},
        BadInput{"depth_grid_range", "depth --grid-w-std 1:2 --grid-b-std 0,1 --out d", 2, {"--grid-w-std", "1:2", "three parts"}},
        BadInput{"depth_grid_count", "depth --grid-w-std 1:2:1.5 --grid-b-std 0,1 --out d", 2, {"--grid-w-std", "1.5"}},
        BadInput{"depth_grid_order", "depth --grid-w-std 1,2 --grid-b-std 1,0 --out d", 2, {"--grid-b-std", "ascend"}},
        BadInput{"depth_grid_zero", "depth --grid-w-std 0,2 --grid-b-std 0,1 --out d", 2, {"--grid-w-std", "> 0"}},
        BadInput{"depth_grid_half", "depth --grid-w-std 1,2 --out d", 2, {"--grid-b-std", "both"}},
        BadInput{
            "depth_grid_biases", "depth --biases none --grid-w-std 1,2 --grid-b-std 0,1 --out d", 2, {"--biases none", "--grid-b-std"}},
        BadInput{"depth_grid_depth", "depth --grid-depth 0 --grid-w-std 1,2 --grid-b-std 0,1 --out d", 2, {"--grid-depth"}},
        BadInput{"missing_config", "kernel --config none.toml --out K.npy", 2, {"none.toml"}},
        BadInput{"missing_file", "kernel --data none.csv --out K.npy", 2, {"none.csv"}},
        BadInput{"ragged_csv", "kernel --data ragged.csv --out K.npy", 2, {"ragged.csv", "3"}},
        BadInput{"text_in_csv", "kernel --data text.csv --out K.npy", 2, {"text.csv", "oops", "3"}},
        BadInput{"nan_in_csv", "kernel --data nan.csv --out K.npy", 2, {"nan.csv", "3"}},
        BadInput{"inf_in_csv", "kernel --data inf.csv --out K.npy", 2, {"inf.csv", "2"}},
        BadInput{"truncated_npy", "kernel --data short.npy --out K.npy", 2, {"short.npy"}},
        BadInput{"complex_npy", "kernel --data complex.npy --out K.npy", 2, {"complex.npy", "c16"}},
        BadInput{"broken_npz", "kernel --data broken.npz --out K.npy", 2, {"broken.npz"}},
        BadInput{"truncated_idx", "kernel --data short.idx --out K.npy", 2, {"short.idx"}},
        BadInput{"unknown_synthetic_key", "kernel --data sphere:n=3,d=2,seed=1,k=2 --out K.npy", 2, {"k"}},
        BadInput{"unknown_activation", "kernel --activation tanhh --out K.npy", 2, {"tanhh", "relu"}},
        BadInput{"depth_and_hidden_disagree", "kernel --depth 5 --hidden 8,8 --out K.npy", 2, {"--depth 5", "--hidden"}},
        BadInput{"width_and_hidden", "kernel --width 5 --hidden 8,8 --out K.npy", 2, {"--width", "--hidden"}},
        BadInput{"width_zero", "kernel --width 0 --out K.npy", 2, {"width"}},
        BadInput{"depth_zero", "kernel --depth 0 --out K.npy", 2, {"--depth"}},
        BadInput{"negative_std", "kernel --w-std -1 --out K.npy", 2, {"weight_std"}},
        BadInput{"absurd_samples", "kernel --data sphere:n=3000000,d=3,seed=1 --kernel ntk --out K.npy", 2, {"GiB", "free"}},
        BadInput{"absurd_width", "kernel --samples 10 --width 100000000 --out K.npy", 4, {"iB"}},
        BadInput{"absurd_source", "kernel --data sphere:n=1000000000000,d=1000,seed=1 --out K.npy", 4, {}},
        BadInput{"memory_limit", "kernel --samples 1000 --memory 0.001 --out K.npy", 4, {"--memory", "MiB"}},
        BadInput{"unknown_device", "kernel --device tpu --out K.npy", 2, {"tpu"}},
        BadInput{"no_such_gpu", "kernel --samples 5 --device cuda:77 --out K.npy", 4, {"cuda:77"}},
        BadInput{"unwritable_output", "kernel --samples 5 --out /nonexistent/K.npy", 2, {"/nonexistent"}},
        BadInput{"output_is_a_directory", "kernel --samples 5 --out /tmp", 2, {"/tmp"}},
        BadInput{"unwritable_directory", "predict --samples 50 --out /proc/none", 2, {"/proc/none"}},
        BadInput{"no_output", "predict --samples 50", 2, {"--out"}},
        BadInput{"predict_without_targets", "predict --data sphere:n=20,d=3,seed=1 --out P", 2, {"targets"}},
        BadInput{"standard_ntk_without_widths", "kernel --samples 5 --kernel ntk --param standard --out K.npy", 2, {"--width"}},
        BadInput{"diag_cross", "kernel --data good.csv --test good.csv --block diag --out K.npy", 2, {"diag"}},
        BadInput{"duplicated_samples", "predict --data good.csv --test good.csv --samples 4 --depth 1 --out P", 3, {"pivot", "--ridge"}}),
    [](const auto& input) { return input.param.name; });

TEST(CommandLine, HelpAndVersionExitWithZero) {
    const TemporaryFolder scratch;
    for (const char* arguments :
         {"--help", "--version", "kernel --help", "jacobian --help", "predict --help", "compare --help", "info", "info --json"})
        EXPECT_EQ(run_program(scratch, arguments).code, 0) << arguments;
    EXPECT_THAT(run_program(scratch, "kernel --help").out, HasSubstr("Examples:"));
}

TEST(CommandLine, TakesTheVectorInstructionsThatThereAre) {
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) GTEST_SKIP() << "a processor without AVX2";
    const TemporaryFolder scratch;
    const std::string core = std::getenv("OPENBLAS_CORETYPE");
    unsetenv("OPENBLAS_CORETYPE");
    const Outcome info = run_program(scratch, "info");
    setenv("OPENBLAS_CORETYPE", core.c_str(), 1);
    EXPECT_EQ(info.code, 0) << info.err;
    EXPECT_THAT(info.out, HasSubstr(", core "));
    EXPECT_THAT(info.out, ::testing::Not(HasSubstr("core Prescott")));
#else
    GTEST_SKIP() << "not an x86-64 processor";
#endif
}

TEST(CommandLine, KernelIsTheLibrarysKernel) {
    const TemporaryFolder scratch;
    const Outcome outcome = run_program(
        scratch, "kernel --data sphere:n=7,d=4,seed=3 --hidden 6,5 --outputs 2 --block full --seed 9 --out K.npy --json --device cpu");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto backend = make_backend<double>("cpu");
    Dataset data = load_data({.source = "sphere:n=7,d=4,seed=3"});
    normalize(Normalization::sphere, data);
    const Architecture net{.inputs = 4, .hidden = {6, 5}, .outputs = 2};
    const auto expected = download(empirical_ntk(draw_network(backend, net, 9), upload(backend, data.x).view(), {.block = Block::full}));
    const Array written = read_npy(scratch.path("K.npy"));
    ASSERT_EQ(written.shape, (std::vector<Index>{14, 14}));
    EXPECT_EQ(written.values, std::vector<double>(expected.data(), expected.data() + expected.size()));

    const auto record = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(record.at("command"), "kernel");
    EXPECT_GE(record.at("timings").at("total").get<double>(), record.at("timings").at("compute").get<double>());
    const auto saved = nlohmann::json::parse(read_bytes(scratch.path("K.run.json")));
    EXPECT_EQ(saved.at("parameters"), record.at("parameters"));
    EXPECT_EQ(saved.at("results"), record.at("results"));
}

TEST(CommandLine, RerunFromRunJsonGivesTheSameBits) {
    const TemporaryFolder scratch;
    ASSERT_EQ(run_program(scratch, "kernel --samples 20 --hidden 16,8 --b-std 0.3 --activation erf --seed 4 --out A.npy").code, 0);
    const Outcome again = run_program(scratch, "kernel --config A.run.json --out B.npy");
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(read_bytes(scratch.path("A.npy")), read_bytes(scratch.path("B.npy")));
    scratch.file("run.toml", "samples = 20\nhidden = [16, 8]\nb-std = 0.3\nactivation = \"erf\"\nseed = 5\n");
    const Outcome toml = run_program(scratch, "kernel --config run.toml --seed 4 --out C.npy");
    ASSERT_EQ(toml.code, 0) << toml.err;
    EXPECT_EQ(read_bytes(scratch.path("A.npy")), read_bytes(scratch.path("C.npy")));
}

TEST(CommandLine, KernelBitsDoNotDependOnThreads) {
    const TemporaryFolder scratch;
    for (const char* kernel : {"empirical-ntk", "empirical-nngp", "ntk", "nngp"}) {
        for (const char* threads : {"1", "2", "3"})
            ASSERT_EQ(run_program(scratch, std::string("kernel --samples 450 --width 70 --kernel ") + kernel + " --threads " + threads +
                                               " --device cpu --out K" + threads + ".npy")
                          .code,
                      0);
        EXPECT_EQ(read_bytes(scratch.path("K1.npy")), read_bytes(scratch.path("K2.npy"))) << kernel;
        EXPECT_EQ(read_bytes(scratch.path("K1.npy")), read_bytes(scratch.path("K3.npy"))) << kernel;
    }
}

TEST(CommandLine, FastKernelIsTheKernelToFp16AndSaysWhatItResolves) {
    const TemporaryFolder scratch;
    const std::string kernel = "kernel --samples 100 --width 200 --depth 4 --b-std 0.2 ";
    ASSERT_EQ(run_program(scratch, kernel + "--out K.npy").code, 0);
    const Outcome fast = run_program(scratch, kernel + "--precision fast --out F.npy");
    ASSERT_EQ(fast.code, 0) << fast.err;
    EXPECT_THAT(fast.out, HasSubstr("resolves"));
    const Array exact = read_npy(scratch.path("K.npy")), coarse = read_npy(scratch.path("F.npy"));
    double largest = 0;
    for (Index i = 0; i < 100; ++i)
        for (Index j = 0; j < 100; ++j) {
            const auto at = [&](const Array& k, Index row, Index col) { return k.values[static_cast<std::size_t>(row * 100 + col)]; };
            largest = std::max(largest, std::abs(at(coarse, i, j) - at(exact, i, j)) / std::sqrt(at(exact, i, i) * at(exact, j, j)));
            EXPECT_EQ(at(coarse, i, j), at(coarse, j, i));
        }
    EXPECT_GT(largest, 1e-6);
    EXPECT_LT(largest, 4 * 0x1p-11);  // four operands, each within 2^-11
    const auto record = nlohmann::json::parse(read_bytes(scratch.path("F.run.json")));
    EXPECT_EQ(record.at("results").at("resolution").get<double>(), half_gram_resolution(100));
    ASSERT_EQ(run_program(scratch, "kernel --config F.run.json --out G.npy").code, 0);
    EXPECT_EQ(read_bytes(scratch.path("F.npy")), read_bytes(scratch.path("G.npy")));
}

TEST(CommandLine, FastPredictionsFollowTheExactOnesWhereTheRidgeIsResolved) {
    const TemporaryFolder scratch;
    const std::string predict = "predict --samples 300 --kernel empirical-ntk --width 256 --ridge 0.1 ";
    ASSERT_EQ(run_program(scratch, predict + "--out exact").code, 0);
    const Outcome fast = run_program(scratch, predict + "--precision fast --out fast");
    ASSERT_EQ(fast.code, 0) << fast.err;
    const Array exact = read_npy(scratch.path("exact/predictions.npy")), coarse = read_npy(scratch.path("fast/predictions.npy"));
    for (std::size_t k = 0; k < exact.values.size(); ++k) EXPECT_NEAR(coarse.values[k], exact.values[k], 0.01);
}

TEST(CommandLine, PerLayerTermsSumToTheKernel) {
    const TemporaryFolder scratch;
    ASSERT_EQ(run_program(scratch, "kernel --samples 12 --depth 4 --width 20 --per-layer --out K.npy").code, 0);
    const Array kernel = read_npy(scratch.path("K.npy")), layers = read_npy(scratch.path("K.layers.npy"));
    ASSERT_EQ(layers.shape, (std::vector<Index>{4, 12, 12}));
    for (std::size_t i = 0; i < kernel.values.size(); ++i) {
        double sum = 0;
        for (std::size_t l = 0; l < 4; ++l) sum += layers.values[l * kernel.values.size() + i];
        EXPECT_NEAR(sum, kernel.values[i], 1e-12 * std::abs(kernel.values[i]));
    }
}

TEST(CommandLine, NormalizedKernelHasAUnitDiagonal) {
    const TemporaryFolder scratch;
    for (const char* block : {"trace", "full"}) {
        ASSERT_EQ(
            run_program(scratch, std::string("kernel --samples 9 --width 30 --outputs 3 --normalized --out K.npy --block ") + block).code,
            0);
        const Array kernel = read_npy(scratch.path("K.npy"));
        for (Index i = 0; i < kernel.shape[0]; ++i) EXPECT_NEAR(kernel.values[static_cast<std::size_t>(i * kernel.shape[1] + i)], 1, 1e-14);
    }
}

TEST(CommandLine, DepthWritesARowForEveryDepth) {
    const TemporaryFolder folder;
    const Outcome run =
        run_program(folder, "depth --data sphere:n=30,d=5,seed=1 --w-std 1 --b-std 0.5 --depths 3,100,1e5 --device cpu --out study");
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_THAT(run.out, HasSubstr("ordered"));
    const std::string csv = read_bytes(folder.path("study/depth.csv"));
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 4);
    EXPECT_EQ(csv.rfind("depth,offdiag_min,offdiag_mean,offdiag_max,max_one_minus_k,log10_max_one_minus_k,dist_ones,dist_limit,", 0), 0u);
    const Array u = read_npy(folder.path("study/u.npy"));
    EXPECT_EQ(u.shape, (std::vector<Index>{3, 6, 24}));
    for (Index t = 0; t < 3 * 6; ++t) {  // kernels near ones: the weights of a test sample sum to nearly 1
        double sum = 0;
        for (Index i = 0; i < 24; ++i) sum += u.values[static_cast<std::size_t>(t * 24 + i)];
        EXPECT_NEAR(sum, 1, t < 6 ? 0.1 : 1e-12);
    }
    const auto record = nlohmann::json::parse(read_bytes(folder.path("study/run.json")));
    EXPECT_EQ(record.at("results").at("off_diagonal_limit"), 1.0);
    const Outcome again = run_program(folder, "depth --config study/run.json --out again");
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(read_bytes(folder.path("again/depth.csv")), csv);
}

TEST(CommandLine, DepthGridHasARowForEveryCellAndTheSameBytesAgain) {
    const TemporaryFolder folder;
    const Outcome run = run_program(folder,
                                    "depth --data sphere:n=30,d=5,seed=1 --depths 3 --device cpu --grid-w-std '1,sqrt(2),2' --grid-b-std "
                                    "0:0.5:2 --grid-depth 2000 --out study");
    ASSERT_EQ(run.code, 0) << run.err;
    std::istringstream csv(read_bytes(folder.path("study/how_deep.csv")));
    std::vector<std::vector<std::string>> rows;
    for (std::string line; std::getline(csv, line);) {
        rows.emplace_back();
        std::istringstream cells(line + ",");
        for (std::string cell; std::getline(cells, cell, ',');) rows.back().push_back(cell);
        EXPECT_EQ(rows.back().size(), 9u + 3 * 12) << line;
    }
    ASSERT_EQ(rows.size(), 7u);
    EXPECT_EQ(std::vector<std::string>(rows[0].begin(), rows[0].begin() + 10),
              (std::vector<std::string>{"w_std", "b_std", "regime", "chi", "predicted_limit", "measured_depth", "offdiag_min",
                                        "offdiag_mean", "offdiag_max", "ones_1e-1"}));
    std::vector<std::string> regimes;
    for (std::size_t i = 1; i < rows.size(); ++i) {
        regimes.push_back(rows[i][2]);
        for (const std::size_t k : {6u, 7u, 8u}) EXPECT_NEAR(std::stod(rows[i][k]), std::stod(rows[i][4]), 0.05);
    }
    EXPECT_EQ(regimes, (std::vector<std::string>{"critical", "critical", "critical", "ordered", "critical-with-bias", "growing"}));
    EXPECT_EQ(rows[4][9 + 11], rows[4][5]);  // the ordered cell is followed until ones is reached to 1e-12
    const Outcome again = run_program(folder, "depth --config study/run.json --threads 1 --out again");
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(read_bytes(folder.path("study/how_deep.csv")), read_bytes(folder.path("again/how_deep.csv")));
}

TEST(CommandLine, PredictSolvesWhereTheKernelHasLostItsDigits) {
    const TemporaryFolder folder;
    const std::string same = " --samples 200 --w-std 1 --b-std 0.5 --device cpu --out ";
    const Outcome predict = run_program(folder, "predict --depth 200" + same + "predicted");
    ASSERT_EQ(predict.code, 0) << predict.err;
    const auto record = nlohmann::json::parse(read_bytes(folder.path("predicted/run.json")));
    EXPECT_EQ(record.at("results").at("solver"), "bordered");
    EXPECT_GT(record.at("results").at("accuracy"), 0.8);
    ASSERT_EQ(run_program(folder, "depth --depths 200" + same + "study").code, 0);
    auto [train, test] = split(load_data({.source = "digits", .samples = 200}), 0.8, 1);
    const Array u = read_npy(folder.path("study/u.npy")), predictions = read_npy(folder.path("predicted/predictions.npy"));
    for (Index t = 0; t < 40; ++t)
        for (Index c = 0; c < 10; ++c) {
            double sum = 0;
            for (Index i = 0; i < 160; ++i) sum += u.values[static_cast<std::size_t>(t * 160 + i)] * train.y(i, c);
            EXPECT_NEAR(predictions.values[static_cast<std::size_t>(t * 10 + c)], sum, 1e-13);
        }
    const auto shallow = run_program(folder, "predict --depth 3" + same + "shallow");
    ASSERT_EQ(shallow.code, 0) << shallow.err;
    EXPECT_EQ(nlohmann::json::parse(read_bytes(folder.path("shallow/run.json"))).at("results").at("solver"), "cholesky");
}

TEST(CommandLine, PredictLearnsTheDigits) {
    const TemporaryFolder scratch;
    const Outcome outcome = run_program(scratch, "predict --samples 600 --json --out P");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto results = nlohmann::json::parse(outcome.out).at("results");
    EXPECT_GT(results.at("accuracy").get<double>(), 0.9);  // 10 classes: chance is 0.1
    EXPECT_EQ(read_npy(scratch.path("P/predictions.npy")).shape, (std::vector<Index>{120, 10}));
    EXPECT_THAT(read_bytes(scratch.path("P/predict.csv")), HasSubstr("sample,class,predicted_class,score_0"));
}

TEST(CommandLine, FullBlockAndInitialFunctionAgreeWithTraceOnOneTarget) {
    const TemporaryFolder scratch;
    std::string rows = "a,b,c,y\n";
    for (int i = 0; i < 30; ++i) rows += fmt::format("{},{},{},{}\n", std::cos(i), std::sin(2 * i), std::cos(3 * i + 1), std::sin(i) + 0.5);
    scratch.file("r.csv", rows);
    const std::string common = "predict --data r.csv --kernel empirical-ntk --width 64 --ridge 1e-3 --out ";
    ASSERT_EQ(run_program(scratch, common + "T").code, 0);
    ASSERT_EQ(run_program(scratch, common + "F --block full").code, 0);
    EXPECT_EQ(read_bytes(scratch.path("T/predictions.npy")), read_bytes(scratch.path("F/predictions.npy")));
    ASSERT_EQ(run_program(scratch, common + "I --initial-function").code, 0);
    EXPECT_NE(read_bytes(scratch.path("T/predictions.npy")), read_bytes(scratch.path("I/predictions.npy")));
}

}  // namespace
