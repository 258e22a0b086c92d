#include "normal_blocks.hpp"

#include <ntkcuda/formulas/normals.hpp>

#include <algorithm>

namespace ntk {
namespace {

// In passes over small arrays, since compilers vectorise these loops but not the whole chain from counter to normals.
inline __attribute__((always_inline)) void fill(NormalStream stream, std::uint64_t first, Index count, float* out) {
    constexpr Index batch = 128;
    for (Index start = 0; start < count; start += batch) {
        std::uint32_t radius[2 * batch], angle[2 * batch];
        float sine[2 * batch], cosine[2 * batch];
        for (Index b = 0; b < batch; ++b) {
            const auto word =
                formulas::philox_block(stream.seed, stream.network, stream.stream, first + static_cast<std::uint64_t>(start + b));
            radius[b] = word.v[0];
            angle[b] = word.v[1];
            radius[b + batch] = word.v[2];
            angle[b + batch] = word.v[3];
        }
        for (Index b = 0; b < 2 * batch; ++b) {
            const formulas::NormalPair pair = formulas::portable_box_muller(radius[b], angle[b]);
            sine[b] = pair.first;
            cosine[b] = pair.second;
        }
        const Index used = std::min(batch, count - start);
        for (Index b = 0; b < used; ++b) {
            float* normals = out + 4 * (start + b);
            normals[0] = sine[b];
            normals[1] = cosine[b];
            normals[2] = sine[b + batch];
            normals[3] = cosine[b + batch];
        }
    }
}

void fill_baseline(NormalStream stream, std::uint64_t first, Index count, float* out) { fill(stream, first, count, out); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) void fill_avx2(NormalStream stream, std::uint64_t first, Index count, float* out) {
    fill(stream, first, count, out);
}
__attribute__((target("avx512f,avx512dq,avx512vl"))) void fill_avx512(NormalStream stream, std::uint64_t first, Index count, float* out) {
    fill(stream, first, count, out);
}
#endif

}  // namespace

const std::vector<FillNormalBlocks>& normal_block_variants() {
    static const std::vector<FillNormalBlocks> variants = [] {
        std::vector<FillNormalBlocks> list{fill_baseline};
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx2")) list.push_back(fill_avx2);
        if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) list.push_back(fill_avx512);
#endif
        return list;
    }();
    return variants;
}

}  // namespace ntk
