// What befalls a run from outside: kills at any moment, a second run in the same folder, full disks, folders that cannot be written,
// damaged state. No corrupt final file, no leftovers, and a run that goes on ends with the same bytes.

#include "support/paths.hpp"
#include "support/process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <random>
#include <thread>

namespace ntk {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

struct Study {
    std::string name, arguments;
    int kills;
};
void PrintTo(const Study& study, std::ostream* out) { *out << study.name; }

const Study studies[] = {
    {"compare", "compare --data sphere:n=12,d=3,seed=1 --depths 2,3 --widths 8,16 --seeds 6 --device cpu --threads 2 --quiet --out ", 17},
    {"depth", "depth --data sphere:n=12,d=3,seed=1 --depths 1:1e3:log --b-std 0.1 --device cpu --threads 2 --quiet --out ", 17},
    {"ensemble", "ensemble --data sphere:n=2,d=2,seed=1 --depth 3 --widths 8,64 --networks 20000 --device cpu --threads 2 --quiet --out ",
     16},
};

/// What stands under a final name while runs are killed is whole.
void expect_whole_files(const TemporaryFolder& folder, const std::string& out, const std::string& reference) {
    const auto found = files_below(folder.path(out)), expected = files_below(folder.path(reference));
    for (const auto& [name, bytes] : found) {
        if (name.ends_with(".part") || name.ends_with(".ntkcuda.lock")) continue;
        ASSERT_TRUE(expected.contains(name)) << name;
        if (name.ends_with("run.json"))
            EXPECT_TRUE(nlohmann::json::accept(bytes)) << name;
        else if (name.ends_with("report.html"))
            EXPECT_TRUE(bytes.ends_with("</html>\n")) << name;
        else  // the state of an ensemble grows
            EXPECT_TRUE(name.ends_with("ensemble.npy") || bytes == expected.at(name)) << name;
    }
}

class KilledStudy : public ::testing::TestWithParam<Study> {};

TEST_P(KilledStudy, GoesOnToTheSameFiles) {
    const TemporaryFolder folder;
    const Study& study = GetParam();
    const auto begin = std::chrono::steady_clock::now();
    const Outcome whole = run_program(folder, study.arguments + "whole");
    ASSERT_EQ(whole.code, 0) << whole.err;
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    std::mt19937 random(1);
    std::uniform_real_distribution<double> moment(0, taken.count());
    for (int kills = 0; kills < study.kills; ++kills) {
        RunningProgram program(folder, study.arguments + "killed");
        std::this_thread::sleep_for(std::chrono::duration<double>(moment(random)));
        program.kill();
        expect_whole_files(folder, "killed", "whole");
        if (fs::exists(folder.path("killed/run.json"))) fs::remove_all(folder.path("killed"));  // it was done: from the start again
    }
    const Outcome end = run_program(folder, study.arguments + "killed");
    ASSERT_EQ(end.code, 0) << end.err;
    expect_same_files(folder.path("killed"), folder.path("whole"));
}

// A record that was damaged is refused by name, and --force starts over.
TEST_P(KilledStudy, RefusesDamagedState) {
    const TemporaryFolder folder;
    const std::string command = GetParam().arguments + "out";
    ASSERT_EQ(run_program(folder, command).code, 0);
    const auto state = files_below(folder.path("out"));
    std::mt19937 random(2);
    int damaged = 0;
    for (const auto& [name, bytes] : state) {
        if (name.find("state/") == std::string::npos || damaged == 4) continue;
        ++damaged;
        std::string noise = bytes;
        for (int i = 0; i < 3; ++i) noise[random() % noise.size()] = static_cast<char>(random());
        for (const std::string& content : {std::string(), bytes.substr(0, bytes.size() / 2), noise}) {
            folder.file("out/" + name, content);
            const Outcome again = run_program(folder, command);
            EXPECT_TRUE(again.code == 0 || again.code == 2) << name << ", code " << again.code << ": " << again.err;
            EXPECT_TRUE(content == noise || again.code == 2) << name;  // three bytes of a number may pass for another
            EXPECT_TRUE(again.code == 0 || again.err.find("out") != std::string::npos) << name << ": " << again.err;
        }
        folder.file("out/" + name, bytes);
    }
    EXPECT_GT(damaged, 1);
    EXPECT_EQ(run_program(folder, command + " --force").code, 0);
}

INSTANTIATE_TEST_SUITE_P(Faults, KilledStudy, ::testing::ValuesIn(studies), [](const auto& instance) { return instance.param.name; });

TEST(Faults, TwoRunsOnOneFolderAreToldApart) {
    const TemporaryFolder folder;
    RunningProgram first(folder, "ensemble --data sphere:n=2,d=2,seed=1 --width 50 --networks 100000000 --device cpu --quiet --out law");
    while (!fs::exists(folder.path("law/state/ensemble.npy"))) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    for (const std::string command : {"ensemble --data sphere:n=2,d=2,seed=1 --width 50 --networks 10 --device cpu",
                                      "predict --samples 20 --device cpu", "compare --device cpu --force"}) {
        const Outcome second = run_program(folder, command + " --out law");
        EXPECT_EQ(second.code, 2);
        EXPECT_THAT(second.err, HasSubstr("process " + std::to_string(first.pid()) + " on "));
        EXPECT_THAT(second.err, HasSubstr("--out 'law'"));
    }
    first.kill();
    // Death gives the folder back, and what was half-written is removed.
    folder.file("law/.ntkcuda-1-0.part", "half");
    const Outcome after = run_program(folder, "predict --data sphere:n=9,d=2,seed=1 --device cpu --out law");
    EXPECT_THAT(after.err, HasSubstr("predict needs targets"));
    EXPECT_FALSE(fs::exists(folder.path("law/.ntkcuda-1-0.part")));
    EXPECT_FALSE(fs::exists(folder.path("law/.ntkcuda.lock")));
}

TEST(Faults, AKernelRemovesWhatAKilledOneLeft) {
    const TemporaryFolder folder;
    folder.file(".ntkcuda-1-0.part", "half");
    folder.file("mine.part", "kept");
    ASSERT_EQ(run_program(folder, "kernel --samples 5 --width 4 --device cpu --out K.npy").code, 0);
    EXPECT_FALSE(fs::exists(folder.path(".ntkcuda-1-0.part")));
    EXPECT_TRUE(fs::exists(folder.path("mine.part")));
}

struct Fault {
    std::string name, limit, mount, out;  // shell words before the program and inside of its namespace; the folder that --out goes to
    std::vector<std::string> reasons;
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

class CannotWrite : public ::testing::TestWithParam<Fault> {};

// Every command says which file, exits with 2, and leaves no half-written one.
TEST_P(CannotWrite, IsRefusedAndLeavesNothing) {
    const Fault& fault = GetParam();
    const TemporaryFolder folder;
    const std::string end = " --device cpu --quiet --out " + fault.out + "/", small = " --data sphere:n=12,d=3,seed=1" + end;
    const std::string commands[] = {"kernel --width 40 --block full --outputs 6" + small + "K.npy",
                                    "jacobian --width 40" + small + "J.npy",
                                    "compare --depths 2 --widths 60 --seeds 40" + small + "c",
                                    "depth --depths 1:1e3:log" + small + "d",
                                    "ensemble --width 8 --networks 9000" + small + "e",
                                    "predict --samples 90" + end + "p"};
    for (const std::string& command : commands) {
        // What is left is listed inside, where the file system of the fault is.
        const std::string line = "cd '" + folder.path("") + "' && mkdir -p out && " + fault.limit + " sh -c '" + fault.mount +
                                 " \"$0\" \"$@\" >.out 2>.err; code=$?; find out -type f >.left; exit $code' '" + paths::program + "' " +
                                 command + " 2>.shell";
        const int status = std::system(line.c_str());
        const std::string shell = read_bytes(folder.path(".shell")), message = read_bytes(folder.path(".err"));
        if (!fault.mount.empty() && !shell.empty()) GTEST_SKIP() << "no file system may be mounted here: " << shell;
        ASSERT_TRUE(WIFEXITED(status)) << command;
        EXPECT_EQ(WEXITSTATUS(status), 2) << command << ": " << message;
        EXPECT_THAT(message, HasSubstr(fault.out + "/")) << command;
        EXPECT_TRUE(std::any_of(fault.reasons.begin(), fault.reasons.end(),
                                [&](const std::string& reason) { return message.find(reason) != std::string::npos; }))
            << command << ": " << message;
        for (const char* left : {".part", "K.npy", "J.npy", "run.json", ".lock"})
            EXPECT_THAT(read_bytes(folder.path(".left")), Not(HasSubstr(left))) << command;
        fs::remove_all(folder.path("out"));
    }
}

INSTANTIATE_TEST_SUITE_P(Faults, CannotWrite,
                         ::testing::Values(Fault{"LimitedFileSize", "trap '' XFSZ && ulimit -f 2 &&", "", "out", {"File too large"}},
                                           Fault{"FullDisk",
                                                 "unshare --mount --map-root-user",
                                                 "mount -t tmpfs -o size=12k none out || exit 1;",
                                                 "out",
                                                 {"No space left on device", "and the disk has"}},
                                           Fault{"FolderOfTheSystem", "", "", "/proc/self", {"No such file", "not permitted", "denied"}}),
                         [](const auto& instance) { return instance.param.name; });

TEST(Faults, StandardOutputThatCannotBeWrittenIsRefused) {
    const TemporaryFolder folder;
    for (const char* command : {"info", "--help", "kernel --samples 5 --width 4 --json --out K.npy"}) {
        const std::string line = "cd '" + folder.path("") + "' && '" + paths::program + "' " + command + " >/dev/full 2>err";
        EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 2) << command;
        EXPECT_THAT(read_bytes(folder.path("err")), HasSubstr("standard output: cannot be written")) << command;
    }
}

// Messages have nowhere to go, or a file opened later has the number of a closed stderr: neither changes what is written.
TEST(Faults, StandardErrorIsNotNeeded) {
    const TemporaryFolder folder;
    const std::string kernel = "kernel --samples 5 --width 4 --device cpu --json --out ";
    ASSERT_EQ(run_program(folder, kernel + "K.npy").code, 0);
    for (const char* nowhere : {"2>/dev/full", "2>&-"}) {
        const std::string begin = "cd '" + folder.path("") + "' && '" + paths::program + "' ", end = std::string(" >/dev/null ") + nowhere;
        EXPECT_EQ(WEXITSTATUS(std::system((begin + kernel + "again.npy" + end).c_str())), 0) << nowhere;
        EXPECT_EQ(read_bytes(folder.path("again.npy")), read_bytes(folder.path("K.npy"))) << nowhere;
        EXPECT_EQ(WEXITSTATUS(std::system((begin + "no-such-command" + end).c_str())), 2) << nowhere;
    }
}

}  // namespace
}  // namespace ntk
