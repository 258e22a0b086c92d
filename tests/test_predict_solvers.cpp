// predict --solver: conjugate gradients and the space of the parameters give what Cholesky gives; which is chosen, what is refused.

#include "support/program.hpp"

#include <ntkcuda/ntkcuda.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace {

using namespace ntk;
using namespace ntk::testing;
using ::testing::HasSubstr;

nlohmann::json record(const TemporaryFolder& folder, const std::string& out) {
    return nlohmann::json::parse(read_bytes(folder.path(out + "/run.json")));
}

Outcome expect_done(const TemporaryFolder& folder, const std::string& arguments) {
    Outcome outcome = run_program(folder, "predict --device cpu --threads 1 " + arguments);
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
    return outcome;
}

void expect_refused(const TemporaryFolder& folder, const std::string& arguments, int code, const std::vector<std::string>& parts) {
    const Outcome outcome = run_program(folder, "predict --device cpu --out refused " + arguments);
    EXPECT_EQ(outcome.code, code) << arguments << "\n" << outcome.err;
    for (const auto& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part)) << arguments;
    EXPECT_FALSE(std::filesystem::exists(folder.path("refused/run.json")));
}

/// The largest difference of two runs' predictions over the largest prediction.
double difference(const TemporaryFolder& folder, const std::string& a, const std::string& b) {
    const Array x = read_npy(folder.path(a + "/predictions.npy")), y = read_npy(folder.path(b + "/predictions.npy"));
    EXPECT_EQ(x.shape, y.shape);
    double largest = 0, scale = 0;
    for (std::size_t k = 0; k < x.values.size(); ++k) {
        largest = std::max(largest, std::abs(x.values[k] - y.values[k]));
        scale = std::max(scale, std::abs(x.values[k]));
    }
    return largest / scale;
}

TEST(PredictSolvers, ConjugateGradientsAreCholeskyOnDigitsInAFractionOfItsMemory) {
    const TemporaryFolder folder;
    // 1e-3 of the mean diagonal, about 6 for three layers on the sphere.
    const std::string common = "--kernel empirical-ntk --width 256 --depth 3 --ridge 6e-3 --task regression ";
    expect_done(folder, common + "--solver cholesky --out cholesky");
    expect_done(folder, common + "--solver cg --memory 0.02 --out cg");
    const auto cg = record(folder, "cg"), cholesky = record(folder, "cholesky");
    EXPECT_EQ(cg.at("results").at("solver"), "cg");
    EXPECT_EQ(cholesky.at("results").at("solver"), "cholesky");
    EXPECT_LE(cg.at("results").at("residual").get<double>(), 1e-8);
    EXPECT_GT(cg.at("results").at("iterations").get<Index>(), 0);
    EXPECT_FALSE(cg.at("results").contains("log_determinant"));
    EXPECT_LE(difference(folder, "cg", "cholesky"), 1e-6);  // residual times the condition of the prediction
    EXPECT_LE(2 * cg.at("memory").at("planned").get<double>(), cholesky.at("memory").at("planned").get<double>());
    const double condition = cg.at("results").at("condition").get<double>(), exact = cholesky.at("results").at("condition").get<double>();
    EXPECT_GT(condition, exact / 30);
    EXPECT_LT(condition, exact * 30);
}

TEST(PredictSolvers, EveryKernelAndBlock) {
    const TemporaryFolder folder;
    for (const std::string kernel :
         {"--kernel ntk", "--kernel nngp", "--kernel empirical-nngp --width 64", "--kernel empirical-ntk --width 8",
          "--kernel empirical-ntk --width 8 --block full", "--kernel empirical-ntk --width 8 --initial-function",
          "--kernel empirical-ntk --width 8 --outputs 3 --b-std 0.2 --activation erf"}) {
        SCOPED_TRACE(kernel);
        const std::string common = kernel + " --samples 300 --depth 3 --ridge 0.1 ";
        expect_done(folder, common + "--solver cholesky --out cholesky");
        expect_done(folder, common + "--solver cg --tolerance 1e-11 --out cg");
        EXPECT_LE(difference(folder, "cg", "cholesky"), 1e-8);
        if (kernel.find("empirical") == std::string::npos) continue;
        expect_done(folder, common + "--solver features --out features");
        EXPECT_LE(difference(folder, "features", "cholesky"), 1e-8);
        EXPECT_EQ(record(folder, "features").at("results").at("solver"), "features");
        EXPECT_NEAR(record(folder, "features").at("results").at("log_determinant").get<double>(),
                    record(folder, "cholesky").at("results").at("log_determinant").get<double>(), 1e-4);
    }
}

TEST(PredictSolvers, AutoSaysWhichAndWhy) {
    const TemporaryFolder folder;
    const std::string data = "--kernel empirical-ntk --ridge 0.1 ";
    EXPECT_THAT(expect_done(folder, data + "--width 64 --out all").out, HasSubstr("solver    cholesky: the matrix takes"));
    EXPECT_THAT(expect_done(folder, data + "--width 64 --memory 0.02 --out some").out, HasSubstr("solver    cg: the matrix takes"));
    EXPECT_THAT(expect_done(folder, data + "--width 4 --memory 0.02 --out few").out, HasSubstr("features are fewer than 1438 rows"));
    EXPECT_LE(difference(folder, "all", "some"), 1e-5);
}

TEST(PredictSolvers, AFitIsKept) {
    const TemporaryFolder folder;
    for (const std::string solver : {"cg", "features"}) {
        expect_done(folder,
                    "--kernel empirical-ntk --width 16 --samples 200 --ridge 0.1 --solver " + solver + " --save-fit fit.npz --out run");
        expect_done(folder, "--config run/run.json --out again");
        EXPECT_EQ(read_bytes(folder.path("again/predictions.npy")), read_bytes(folder.path("run/predictions.npy")));
        expect_done(folder, "--fit fit.npz --test digits --out fit");
        EXPECT_EQ(record(folder, "fit").at("results").contains("log_determinant"), solver == "features");
    }
}

TEST(PredictSolvers, Refusals) {
    const TemporaryFolder folder;
    const std::string small = "--samples 100 --kernel empirical-ntk --width 8 ";
    expect_refused(folder, "--samples 100 --kernel nngp --solver cg --posterior --ridge 1", 2, {"--solver cg", "--posterior"});
    expect_refused(folder, small + "--solver cg --time 1", 2, {"--time"});
    expect_refused(folder, small + "--solver cg --ridge 1,2", 2, {"several ridges"});
    expect_refused(folder, small + "--solver cg --precision fast", 2, {"--precision fast"});
    expect_refused(folder, small + "--solver cg --method jacobian", 2, {"--method jacobian"});
    expect_refused(folder, small + "--solver lu", 2, {"--solver"});
    expect_refused(folder, small + "--solver cholesky --tolerance 1e-6", 2, {"--tolerance"});
    expect_refused(folder, small + "--solver cg --tolerance 2", 2, {"tolerance"});
    expect_refused(folder, "--samples 100 --kernel ntk --solver features", 2, {"--solver features", "finite network"});
    expect_refused(folder, small + "--solver cg --ridge 1e-9 --max-iterations 3", 3, {"after 3 iterations", "try a ridge"});
    expect_refused(folder, "--kernel empirical-nngp --width 16 --depth 2 --solver features", 3, {"singular", "16 features"});
    expect_refused(folder, "--kernel empirical-ntk --solver cg --memory 0.001", 4, {"by cg", "needs", "--memory"});
}

}  // namespace
