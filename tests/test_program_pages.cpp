// The manual page and the completions that the program prints: all of its commands and options, in a form that man and the shells take.

#include "support/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <sstream>

namespace ntk {
namespace {

using namespace testing;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

bool has_program(const std::string& name) { return std::system(("command -v " + name + " >/dev/null 2>&1").c_str()) == 0; }

std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
    const std::regex expression(pattern, std::regex::multiline);
    std::vector<std::string> found;
    for (auto match = std::sregex_iterator(text.begin(), text.end(), expression); match != std::sregex_iterator(); ++match)
        found.push_back((*match)[1]);
    return found;
}

/// What a shell command prints, with the folder as the working directory.
std::string output_of(const TemporaryFolder& folder, const std::string& command) {
    const std::string output = folder.path("output");
    EXPECT_EQ(std::system(("cd '" + folder.path("") + "' && { " + command + "; } >'" + output + "' 2>&1").c_str()), 0)
        << read_bytes(output);
    return read_bytes(output);
}

class ProgramPages : public ::testing::Test {
protected:
    [[nodiscard]] std::string printed(const std::string& arguments) const {
        const Outcome outcome = run_program(folder_, arguments);
        EXPECT_EQ(outcome.code, 0) << outcome.err;
        return outcome.out;
    }
    [[nodiscard]] std::vector<std::string> commands() const {
        const std::string help = printed("--help");
        return matches(help.substr(help.find("Subcommands:")), "^  ([a-z]+) ");
    }
    /// "--name" of every option in the help of a command.
    [[nodiscard]] std::vector<std::string> options(const std::string& command) const {
        return matches(printed(command + " --help"), "^  (?:-h,)?(--[a-z-]+)");
    }
    /// What bash offers for the last of these words.
    [[nodiscard]] std::vector<std::string> bash_offers(const std::string& words, int count) const {
        (void)folder_.file("completion", printed("--completion bash"));
        const std::string script = ". ./completion; COMP_WORDS=(" + words + "); COMP_CWORD=" + std::to_string(count - 1) +
                                   "; _ntkcuda; printf \"%s\\n\" \"${COMPREPLY[@]}\"";
        std::istringstream lines(output_of(folder_, "bash -euc '" + script + "'"));
        std::vector<std::string> offers;
        for (std::string line; std::getline(lines, line);)
            if (!line.empty()) offers.push_back(line);
        return offers;
    }

    TemporaryFolder folder_;
};

TEST_F(ProgramPages, ManualNamesEveryCommandAndOption) {
    const std::string page = std::regex_replace(printed("--man"), std::regex(R"(\\-)"), "-");
    const auto all = commands();
    EXPECT_THAT(all, IsSupersetOf({"kernel", "predict", "compare", "depth", "info"}));
    for (const std::string& command : all) {
        const auto begin = page.find(".SS ntkcuda " + command + "\n");
        ASSERT_NE(begin, std::string::npos) << command;
        const std::string section = page.substr(begin, page.find("\n.S", begin) - begin);
        const auto named = options(command);
        EXPECT_THAT(named, Contains("--help"));
        for (const std::string& option : named) EXPECT_THAT(section, HasSubstr(option + "\\fR")) << command;
    }
}

TEST_F(ProgramPages, ManualIsSoundTroff) {
    (void)folder_.file("ntkcuda.1", printed("--man"));
    if (has_program("man")) {
        EXPECT_THAT(output_of(folder_, "man --warnings -E UTF-8 -l -P cat ntkcuda.1 2>&1 >/dev/null"), IsEmpty());
    }
    if (has_program("mandoc")) {
        EXPECT_THAT(output_of(folder_, "mandoc -Tlint -W error ntkcuda.1"), IsEmpty());
    }
}

TEST_F(ProgramPages, BashCompletesCommandsOptionsAndValues) {
    if (!has_program("bash")) GTEST_SKIP() << "no bash";
    EXPECT_THAT(bash_offers("ntkcuda ker", 2), ElementsAre("kernel"));
    EXPECT_THAT(bash_offers("ntkcuda \"\"", 2), IsSupersetOf(commands()));
    EXPECT_THAT(bash_offers("ntkcuda kernel --", 3), IsSupersetOf(options("kernel")));
    EXPECT_THAT(bash_offers("ntkcuda depth --grid-w", 3), ElementsAre("--grid-w-std"));
    EXPECT_THAT(bash_offers("ntkcuda info --grid-w", 3), IsEmpty());
    EXPECT_THAT(bash_offers("ntkcuda kernel --kernel \"\"", 4), ElementsAre("empirical-ntk", "empirical-nngp", "ntk", "nngp"));
    EXPECT_THAT(bash_offers("ntkcuda kernel --kernel nn", 4), ElementsAre("nngp"));
    EXPECT_THAT(bash_offers("ntkcuda kernel --kernel = nt", 5), ElementsAre("ntk"));
    EXPECT_THAT(bash_offers("ntkcuda kernel --precision \"\"", 4), UnorderedElementsAre("fp64", "fp32", "fast"));
    EXPECT_THAT(bash_offers("ntkcuda kernel --block \"\"", 4), ElementsAre("full", "trace", "diag"));
    EXPECT_THAT(bash_offers("ntkcuda kernel --normalize \"\"", 4), ElementsAre("sphere", "unit", "standardize", "none"));
    EXPECT_THAT(bash_offers("ntkcuda predict --quiet --da", 4), ElementsAre("--data"));  // a flag takes no value
    EXPECT_THAT(bash_offers("ntkcuda kernel --out \"\"", 4), IsEmpty());                 // file names, by bash itself
}

TEST_F(ProgramPages, ZshCompletionIsSoundAndNamesTheSame) {
    const std::string script = printed("--completion zsh");
    EXPECT_TRUE(script.starts_with("#compdef ntkcuda\n"));
    for (const std::string& command : commands()) EXPECT_THAT(script, HasSubstr("        " + command + ") _arguments"));
    EXPECT_THAT(script, HasSubstr(":value:(empirical-ntk empirical-nngp ntk nngp)"));
    (void)folder_.file("_ntkcuda", script);
    if (has_program("zsh")) {
        EXPECT_THAT(output_of(folder_, "zsh -n _ntkcuda"), IsEmpty());
    }
}

// An example whose --out cannot be is refused for that alone: all of its options have been understood by then, and nothing is computed.
TEST_F(ProgramPages, EveryCommandHasTwoExamplesThatItUnderstands) {
    for (const std::string& command : commands()) {
        const std::string help = printed(command + " --help");
        const auto examples = matches(  // a remark in brackets may follow
            help.substr(std::min(help.size(), help.find("Examples:"))), "^ +ntkcuda (.*?)(?: +[(].*)?$");
        EXPECT_GE(examples.size(), 2U) << command;
        for (const std::string& example : examples) {
            SCOPED_TRACE(example);
            EXPECT_TRUE(example.starts_with(command));
            if (help.find("--out ") == std::string::npos) {
                (void)printed(example);
                continue;
            }
            const auto named = matches(example, "--out ([^ ]+)");
            const std::string out = named.empty() ? "taken" : named.front();
            if (out.ends_with(".npy")) {
                std::filesystem::create_directory(folder_.path(out));
            } else {
                (void)folder_.file(out, "a file");
            }
            const Outcome outcome = run_program(folder_, example + (named.empty() ? " --out taken" : ""));
            EXPECT_EQ(outcome.code, 2) << outcome.out;
            EXPECT_THAT(outcome.err, HasSubstr("--out '" + out + "'"));
            std::filesystem::remove_all(folder_.path(out));
        }
    }
}

TEST_F(ProgramPages, AnUnknownShellIsRefused) {
    const Outcome outcome = run_program(folder_, "--completion fish");
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("fish"));
}

}  // namespace
}  // namespace ntk
