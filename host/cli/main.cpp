// ntkcuda: one process.

#include "program.hpp"

int main(int count, char** values) {
    using namespace ntk::cli;
    return guarded(
        [&] {
            prepare_process(values);
            return run_program("ntkcuda", {values + 1, values + count});
        },
        tell_failure);
}
