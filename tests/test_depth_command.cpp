#include "host/cli/depth_list.hpp"
#include "support/program.hpp"

#include <ntkcuda/error.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace ntk {
namespace {

using namespace testing;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

const std::string study = "depth --data sphere:n=30,d=5,seed=1 --w-std 1 --b-std 0.5 --device cpu --out ";

// As after kill -9: of a study to depth 1e4 only the first records are there.
TEST(DepthCommand, GoesOnWhereItStopped) {
    const TemporaryFolder folder;
    ASSERT_EQ(run_program(folder, study + "whole --depths 2,3,100,500,1e4").code, 0);
    ASSERT_EQ(run_program(folder, study + "parts --depths 2,3,100,500,1e4").code, 0);
    for (const char* record : {"depth-100", "depth-10000"})
        ASSERT_TRUE(std::filesystem::remove(folder.path(std::string("parts/state/") + record + ".json")));
    const Outcome rest = run_program(folder, study + "parts --depths 2,3,100,500,1e4");
    ASSERT_EQ(rest.code, 0) << rest.err;
    EXPECT_THAT(rest.out, HasSubstr("resumed   3 of 5 depths"));
    for (const char* file : {"depth.csv", "u.npy", "spectrum_log10.npy"})
        EXPECT_EQ(read_bytes(folder.path(std::string("parts/") + file)), read_bytes(folder.path(std::string("whole/") + file))) << file;
    const Outcome finished = run_program(folder, study + "parts --depths 2,3,100,500,1e4");
    EXPECT_EQ(finished.code, 0);
    EXPECT_THAT(finished.out, HasSubstr("the study was finished"));
    EXPECT_EQ(read_bytes(folder.path("parts/depth.csv")), read_bytes(folder.path("whole/depth.csv")));
}

TEST(DepthCommand, ComputesOnlyTheNewDepths) {
    const TemporaryFolder folder;
    ASSERT_EQ(run_program(folder, study + "grown --depths 3,100").code, 0);
    const Outcome grown = run_program(folder, study + "grown --depths 2,3,50,100");
    ASSERT_EQ(grown.code, 0) << grown.err;
    EXPECT_THAT(grown.out, HasSubstr("resumed   2 of 4 depths"));
    ASSERT_EQ(run_program(folder, study + "whole --depths 2,3,50,100").code, 0);
    EXPECT_EQ(read_bytes(folder.path("grown/depth.csv")), read_bytes(folder.path("whole/depth.csv")));
}

TEST(DepthCommand, RefusesTheStateOfAnotherStudy) {
    const TemporaryFolder folder;
    ASSERT_EQ(run_program(folder, study + "out --depths 3").code, 0);
    const Outcome other = run_program(folder, study + "out --depths 3 --kernel nngp");
    EXPECT_EQ(other.code, 2);
    EXPECT_THAT(other.err, HasSubstr("'kernel = ntk', it is 'kernel = nngp'"));
    EXPECT_EQ(run_program(folder, study + "out --depths 3 --kernel nngp --force").code, 0);
    folder.file("out/state/depth-3.json", "{}");
    const Outcome damaged = run_program(folder, study + "out --depths 3 --kernel nngp");
    EXPECT_EQ(damaged.code, 2);
    EXPECT_THAT(damaged.err, HasSubstr("depth-3.json"));
}

TEST(DepthCommand, TakesSamplesOfUnequalNormsWithAnEstimate) {
    const TemporaryFolder folder;
    std::string csv = "a,b,y\n";
    for (int i = 1; i <= 12; ++i) csv += std::to_string(0.1 * i * i) + "," + std::to_string(1.5 - i % 5) + "," + std::to_string(i % 3) + ".5\n";
    folder.file("data.csv", csv);
    for (const char* normalize : {"none", "standardize"}) {
        const std::string out = std::string("study-") + normalize;
        const Outcome run = run_program(folder, "depth --data data.csv --w-std 1 --b-std 0.5 --depths 3,100,1e5 --device cpu --normalize " +
                                                    std::string(normalize) + " --out " + out);
        ASSERT_EQ(run.code, 0) << run.err;
        EXPECT_THAT(run.out, HasSubstr("estimate  "));
        EXPECT_THAT(run.out, ContainsRegex("pair-layers by brute force, about [0-9]+ (s|min)\n"));
        EXPECT_THAT(run.out, HasSubstr("still     from depth 100000 on"));
        EXPECT_THAT(read_bytes(folder.path(out + "/depth.csv")), HasSubstr("\n100000,1,1,1,0,-150"));
    }
}

TEST(DepthList, ReadsEveryForm) {
    using cli::parse_depths;
    EXPECT_EQ(parse_depths("1,2,5"), (std::vector<Index>{1, 2, 5}));
    EXPECT_EQ(parse_depths("1,2,5,..,200"), (std::vector<Index>{1, 2, 5, 10, 20, 50, 100, 200}));
    EXPECT_EQ(parse_depths("1:1e3:log:1"), (std::vector<Index>{1, 10, 100, 1000}));
    EXPECT_EQ(parse_depths("1:1e6:log").size(), 31u);
    for (const char* wrong : {"", "0", "1.5", "a", "..,5", "5,..", "1:10", "10:1:log", "1:10:lin"})
        EXPECT_THROW((void)parse_depths(wrong), Error) << wrong;
}

}  // namespace
}  // namespace ntk
