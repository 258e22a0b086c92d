#pragma once

// OpenBLAS chooses its code when it is loaded. On a processor newer than itself it falls back to that of the oldest one (Debian's 0.3.21 on
// a Sapphire Rapids: "Prescott", a fifth of the speed), which only the environment of a new process can change.

#include <cblas.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace ntk {

/// Starts the program again, once, where OpenBLAS has taken the code of a processor without the vector instructions of this one. Returns
/// where there is nothing to gain, where OPENBLAS_CORETYPE is set, and where the program cannot be started again.
inline void restart_for_openblas(char** arguments) {
#if defined(__x86_64__)
    constexpr const char* variable = "OPENBLAS_CORETYPE";
    const std::string core = openblas_get_corename();
    if (std::getenv(variable) || (core != "Prescott" && core != "Core2" && core != "Generic")) return;
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (!avx2 || setenv(variable, avx512 ? "SkylakeX" : "Haswell", 0) != 0) return;
    execv("/proc/self/exe", arguments);
    unsetenv(variable);
#else
    (void)arguments;
#endif
}

}  // namespace ntk
