#pragma once

// One function compiled for several instruction sets: the body is an NTK_INLINE function, and a thin function for each set calls it.

#include <vector>

#define NTK_INLINE inline __attribute__((always_inline))

#if defined(__x86_64__)
#define NTK_AVX2 __attribute__((target("avx2,fma")))
#define NTK_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,fma,prefer-vector-width=512")))
#else
#define NTK_AVX2
#define NTK_AVX512
#endif

namespace ntk {

/// Those of three variants that run on this machine, the fastest last.
template <class Function>
[[nodiscard]] std::vector<Function> runnable_variants(Function baseline, [[maybe_unused]] Function avx2, [[maybe_unused]] Function avx512) {
    std::vector<Function> variants{baseline};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) variants.push_back(avx2);
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) variants.push_back(avx512);
#endif
    return variants;
}

}  // namespace ntk
