// ntkcuda-mpi: the same program on several ranks of MPI.

#include "together.hpp"

#include "host/cli/program.hpp"

#include <ntkcuda/error.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>

namespace {

using namespace ntk::cli;

/// Cores of this machine that the ranks on it may use, shared among them, unless OMP_NUM_THREADS says otherwise.
void share_cores(ntk::MpiRanks& ranks) {
    if (ranks.size() == 1 || std::getenv("OMP_NUM_THREADS")) return;
    MPI_Comm here = MPI_COMM_NULL;
    MPI_Comm_split_type(ranks.communicator(), MPI_COMM_TYPE_SHARED, ranks.rank(), MPI_INFO_NULL, &here);
    cpu_set_t mine{};
    sched_getaffinity(0, sizeof mine, &mine);
    cpu_set_t all = mine;
    MPI_Allreduce(&mine, &all, static_cast<int>(sizeof mine), MPI_BYTE, MPI_BOR, here);
    MPI_Comm_free(&here);
    omp_set_num_threads(std::max(1, CPU_COUNT(&all) / ranks.local_size()));
}

/// What all say alike is said once.
void leave_stdout_to_the_root(const ntk::MpiRanks& ranks) {
    if (ranks.root()) return;
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0) dup2(nowhere, STDOUT_FILENO);
}

/// A rank that fails ends all of them. The root speaks at once; others wait, so that of a failure that all share the root's message is the
/// only one, and of one that several share the first of them.
[[noreturn]] int end_all(const ntk::MpiRanks& ranks, const char* message, int code) {
    if (ranks.root()) {
        tell_failure(message, code);
    } else {
        std::this_thread::sleep_for(std::chrono::duration<double>(1 + 4.0 * ranks.rank() / ranks.size()));
        for (const char* part : {"ntkcuda: rank ", fmt::format_int(ranks.rank()).c_str(), ": ", message, "\n"}) std::fputs(part, stderr);
    }
    std::fflush(nullptr);
    MPI_Abort(MPI_COMM_WORLD, code);
    std::_Exit(code);
}

}  // namespace

int main(int count, char** values) {
    prepare_process(values);
    int level = 0;
    if (MPI_Init_thread(&count, &values, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS) return tell_failure("MPI cannot be initialised", 1);
    std::optional<ntk::MpiRanks> ranks;
    const int code = guarded(
        [&] {
            ranks.emplace();
            share_cores(*ranks);
            leave_stdout_to_the_root(*ranks);
            Together together(*ranks);
            distribute(together);
            return run_program("ntkcuda-mpi", {values + 1, values + count});
        },
        [&](const char* message, int failure) -> int {
            if (!ranks) return tell_failure(message, failure);
            end_all(*ranks, message, failure);
        });
    ranks.reset();
    MPI_Finalize();
    return code;
}
