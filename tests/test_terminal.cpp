// What a terminal shows that a file or a pipe does not: a bar while long work goes on, colours; and that NO_COLOR and --quiet are heard.

#include "support/paths.hpp"
#include "support/program.hpp"

#include "host/cli/progress_bar.hpp"
#include "host/cli/units.hpp"

#include <gmock/gmock.h>

#include <poll.h>
#include <pty.h>
#include <unistd.h>

namespace ntk {
namespace {

using namespace testing;
using cli::ProgressBar;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

/// Both ends of a terminal.
class Terminal {
public:
    Terminal() {
        if (openpty(&user_, &program_, nullptr, nullptr, nullptr) != 0) throw std::runtime_error("no pseudo-terminal");
        file_ = fdopen(program_, "w");
    }
    ~Terminal() {
        if (file_ != nullptr) std::fclose(file_);
        close(user_);
    }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    [[nodiscard]] std::FILE* file() const { return file_; }
    /// What comes until `words` are among it; a minute is for ever.
    std::string read_until(const std::string& words) {
        std::string text;
        while (text.find(words) == std::string::npos) {
            pollfd ready{user_, POLLIN, 0};
            char buffer[1024];
            const auto count = poll(&ready, 1, 60000) == 1 ? read(user_, buffer, sizeof buffer) : 0;
            if (count <= 0) throw std::runtime_error("'" + words + "' never came, only '" + text + "'");
            text.append(buffer, static_cast<std::size_t>(count));
        }
        return text;
    }

private:
    int user_ = -1, program_ = -1;
    std::FILE* file_ = nullptr;
};

constexpr ProgressBar::Timing at_once{.after = 0, .bar_every = 0.001, .line_every = 0.001};

TEST(ProgressBar, OnATerminalIsABarWithRateAndTimeLeftAndIsErasedAtTheEnd) {
    Terminal terminal;
    {
        ProgressBar bar("things", false, terminal.file(), at_once);
        EXPECT_THAT(terminal.read_until("so far"), HasSubstr("\rthings, "));
        bar(1, 4);
        (void)terminal.read_until("things 1/4");
        bar(2, 4);
        (void)terminal.read_until("[###############               ] things 2/4, ");
        const std::string rest = terminal.read_until("left");
        EXPECT_TRUE(rest.find("/s, about ") != std::string::npos || rest.find(" each, about ") != std::string::npos) << rest;
        bar(3, 4, 7200);
        (void)terminal.read_until("about 2.0 h left");
        bar.erase();
        bar(4, 4);
    }
    std::fputs("the next line", terminal.file());
    std::fflush(terminal.file());
    const std::string last = terminal.read_until("the next line");
    EXPECT_THAT(last, EndsWith(" \rthe next line"));
    EXPECT_THAT(last, Not(HasSubstr("\033")));
}

TEST(ProgressBar, InAFileIsALineNowAndThen) {
    const TemporaryFolder folder;
    std::FILE* file = std::fopen(folder.path("lines").c_str(), "w");
    {
        ProgressBar bar("things", false, file, at_once);
        bar(2, 4);
        while (read_bytes(folder.path("lines")).find("left\n") == std::string::npos) std::fflush(file);
        bar(4, 4);
    }
    std::fclose(file);
    const std::string text = read_bytes(folder.path("lines"));
    EXPECT_THAT(text, HasSubstr("things 2/4, "));
    EXPECT_THAT(text, ::testing::ContainsRegex("things 4/4 in [0-9]+ s\n$"));
    EXPECT_THAT(text, Not(HasSubstr("\r")));
}

TEST(ProgressBar, IsNotThereForShortWorkOrWhenQuiet) {
    const TemporaryFolder folder;
    std::FILE* file = std::fopen(folder.path("lines").c_str(), "w");
    {
        ProgressBar quick("things", false, file), quiet("things", true, file, at_once);
        quick(1, 1);
        quiet(1, 1);
    }
    std::fclose(file);
    EXPECT_EQ(read_bytes(folder.path("lines")), "");
}

TEST(Units, AreReadable) {
    EXPECT_EQ(cli::readable_rate(1234), "1234/s");
    EXPECT_EQ(cli::readable_rate(2.25), "2.2/s");
    EXPECT_EQ(cli::readable_rate(0.4), "2.5 s each");
    EXPECT_EQ(cli::readable_rate(0.001), "17 min each");
    EXPECT_EQ(cli::readable_time(7200), "2.0 h");
    EXPECT_EQ(cli::readable_bytes(1.5 * 1024 * 1024), "1.5 MiB");
}

/// What the program shows on a terminal.
std::string shown(const TemporaryFolder& folder, const std::string& environment, const std::string& arguments) {
    int user = -1;
    const pid_t child = forkpty(&user, nullptr, nullptr, nullptr);
    if (child == 0) {
        const std::string command =
            "cd '" + folder.path("") + "' && TERM=xterm && export TERM && " + environment + " exec '" + paths::program + "' " + arguments;
        execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
        _exit(127);
    }
    std::string text;
    char buffer[1024];
    for (ssize_t count = 0; (count = read(user, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(count));
    close(user);
    waitpid(child, nullptr, 0);
    return text;
}

/// Narrow networks, whose tails are too heavy: a run with a warning.
const std::string warned = "ensemble --data sphere:n=1,d=2,seed=1 --depth 2 --width 2 --networks 200 --force --out warned";

TEST(Colours, AreForTerminals) {
    const TemporaryFolder folder;
    EXPECT_THAT(shown(folder, "", "kernel --out K.txt"), HasSubstr("\033[1;31mntkcuda: \033[0m--out"));
    EXPECT_THAT(shown(folder, "", warned), HasSubstr("\033[1;33mwarning:\033[0m hidden widths"));
    EXPECT_THAT(shown(folder, "NO_COLOR=", "kernel --out K.txt"), HasSubstr("\033[1;31m"));  // set to nothing is not set
}

TEST(Colours, AreRefusedByNoColorAndByTerminalsThatHaveNone) {
    const TemporaryFolder folder;
    for (const char* environment : {"NO_COLOR=1", "TERM=dumb"}) {
        for (const std::string& arguments : {std::string("kernel --out K.txt"), warned}) {
            const std::string text = shown(folder, environment, arguments);
            EXPECT_THAT(text, HasSubstr(arguments == warned ? "warning: hidden" : "ntkcuda: --out")) << environment;
            EXPECT_THAT(text, Not(HasSubstr("\033"))) << environment;
        }
    }
}

TEST(Colours, AreNotInPipesAndFiles) {
    const TemporaryFolder folder;
    for (const std::string& arguments : {std::string("kernel --out K.txt"), warned}) {
        const Outcome outcome = run_program(folder, arguments);
        for (const std::string& text : {outcome.out, outcome.err}) {
            EXPECT_THAT(text, Not(HasSubstr("\033")));
            EXPECT_THAT(text, Not(HasSubstr("\r")));
        }
    }
}

}  // namespace
}  // namespace ntk
