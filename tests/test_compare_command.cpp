#include "support/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sstream>

namespace ntk {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::Not;

/// The last four cells of each line after the header: variance, standard error, exact, z.
std::vector<std::vector<std::string>> variance_columns(const std::string& csv) {
    std::istringstream lines(csv);
    std::vector<std::vector<std::string>> rows;
    for (std::string line; std::getline(lines, line);) {
        std::vector<std::string> cells;
        std::istringstream text(line + ",");
        for (std::string cell; std::getline(text, cell, ',');) cells.push_back(cell);
        rows.emplace_back(cells.end() - 4, cells.end());
    }
    EXPECT_EQ(rows.at(0),
              (std::vector<std::string>{"diagonal_variance", "diagonal_variance_se", "diagonal_variance_exact", "diagonal_variance_z"}));
    rows.erase(rows.begin());
    return rows;
}

TEST(CompareCommand, PutsTheExactVarianceBesideTheMeasuredOne) {
    const TemporaryFolder folder;
    const auto outcome =
        run_program(folder, "compare --data sphere:n=10,d=4,seed=1 --depths 2,5 --widths 8 --seeds 4 --outputs 2 --device cpu --out sweep");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("z leans to negative values with fewer than 200 networks"));
    EXPECT_THAT(outcome.out, HasSubstr("heavy tail"));
    const auto rows = variance_columns(read_bytes(folder.path("sweep/compare.csv")));
    ASSERT_EQ(rows.size(), 2U);
    // One hidden layer, O outputs: 2/n for the covariance and 2 * 1/(2 n O) for the rest.
    EXPECT_DOUBLE_EQ(std::stod(rows[0][2]), 2.0 / 8 + 1.0 / 16);
    EXPECT_DOUBLE_EQ(std::stod(rows[0][3]), (std::stod(rows[0][0]) - std::stod(rows[0][2])) / std::stod(rows[0][1]));
    EXPECT_NE(rows[1][2], "");
    EXPECT_EQ(rows[1][3], "");  // 4/8 is in the heavy tails
    const auto results = nlohmann::json::parse(read_bytes(folder.path("sweep/run.json"))).at("results").at("diagonal_variance");
    EXPECT_EQ(results.at(0).at("exact"), std::stod(rows[0][2]));
    EXPECT_EQ(results.at(0).at("heavy_tail"), false);
    EXPECT_EQ(results.at(1).at("heavy_tail"), true);
    EXPECT_TRUE(results.at(1).at("z").is_null());
    EXPECT_THAT(read_bytes(folder.path("sweep/figures/variance.gp")), HasSubstr("width -> infinity"));
}

TEST(CompareCommand, SaysWhereThereIsNoExactVariance) {
    const TemporaryFolder folder;
    const auto outcome = run_program(
        folder, "compare --data sphere:n=10,d=4,seed=1 --depths 2,3 --widths 8 --seeds 3 --activation erf --device cpu --out sweep");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    for (const auto& row : variance_columns(read_bytes(folder.path("sweep/compare.csv")))) {
        EXPECT_GT(std::stod(row[0]), 0);
        EXPECT_EQ(row[2], "");
        EXPECT_EQ(row[3], "");
    }
    const std::string script = read_bytes(folder.path("sweep/figures/variance.gp"));
    EXPECT_THAT(script, HasSubstr("no exact values"));
    EXPECT_THAT(script, Not(HasSubstr("dashtype")));
}

// A folder left by a version whose records had no diagonal: refused by name, and started over with --force.
TEST(CompareCommand, RefusesRecordsOfAnotherFormat) {
    const TemporaryFolder folder;
    const std::string command = "compare --data sphere:n=10,d=4,seed=1 --depths 2 --widths 8 --seeds 3 --device cpu --out sweep";
    ASSERT_EQ(run_program(folder, command).code, 0);
    std::string parameters = read_bytes(folder.path("sweep/state/parameters.txt"));
    parameters.resize(parameters.find("record format"));
    folder.file("sweep/state/parameters.txt", parameters);
    const auto refused = run_program(folder, command);
    EXPECT_EQ(refused.code, 2);
    EXPECT_THAT(refused.err, HasSubstr("it was '', it is 'record format = 2'"));
    EXPECT_EQ(run_program(folder, command + " --force").code, 0);
}

}  // namespace
}  // namespace ntk
