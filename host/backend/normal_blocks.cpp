#include "normal_blocks.hpp"

#include "instruction_sets.hpp"

#include <ntkcuda/formulas/normals.hpp>

#include <algorithm>
#include <bit>

namespace ntk {
namespace {

constexpr Index batch = 256;  // of pairs (block, lane); four words each

struct Words {
    std::uint32_t radius[2 * batch], angle[2 * batch];
};

/// The words of blocks [first, first + pairs / lanes): those of the second pair of normals follow after `pairs`.
template <int lanes>
NTK_INLINE void draw_words(NormalStream stream, std::uint64_t first, Index pairs, Words& words) {
    for (Index e = 0; e < pairs; ++e) {
        const auto word = formulas::philox_block(stream.seed, stream.network + static_cast<std::uint32_t>(e % lanes), stream.stream,
                                                 first + static_cast<std::uint64_t>(e / lanes));
        words.radius[e] = word.v[0];
        words.angle[e] = word.v[1];
        words.radius[e + pairs] = word.v[2];
        words.angle[e + pairs] = word.v[3];
    }
}

/// The same with each word in 64 bits, as the products need them: twice as fast where 64-bit products are vector instructions.
template <int lanes>
NTK_INLINE void draw_words_wide(NormalStream stream, std::uint64_t first, Index pairs, Words& words) {
    constexpr std::uint64_t low = 0xffffffffU;
    for (Index e = 0; e < pairs; ++e) {
        const std::uint64_t block = first + static_cast<std::uint64_t>(e / lanes);
        std::uint64_t c0 = block & low, c1 = block >> 32, c2 = stream.stream,
                      c3 = (stream.network + static_cast<std::uint64_t>(e % lanes)) & low;
        auto k0 = static_cast<std::uint32_t>(stream.seed), k1 = static_cast<std::uint32_t>(stream.seed >> 32);
        for (int round = 0; round < 10; ++round) {
            const std::uint64_t p0 = c0 * PHILOX_M4x32_0, p1 = c2 * PHILOX_M4x32_1;
            c0 = (p1 >> 32) ^ c1 ^ k0;
            c1 = p1 & low;
            c2 = (p0 >> 32) ^ c3 ^ k1;
            c3 = p0 & low;
            k0 += PHILOX_W32_0;
            k1 += PHILOX_W32_1;
        }
        words.radius[e] = static_cast<std::uint32_t>(c0);
        words.angle[e] = static_cast<std::uint32_t>(c1);
        words.radius[e + pairs] = static_cast<std::uint32_t>(c2);
        words.angle[e + pairs] = static_cast<std::uint32_t>(c3);
    }
}

// In passes over small arrays, since compilers vectorise these loops but not the whole chain from counter to normals.
template <int lanes, bool wide>
NTK_INLINE void fill(NormalStream stream, std::uint64_t first, Index count, float* out) {
    for (Index start = 0; start < count; start += batch / lanes) {
        const Index pairs = std::min(batch / lanes, count - start) * lanes;
        Words words;
        float sine[2 * batch], cosine[2 * batch];
        if constexpr (wide)
            draw_words_wide<lanes>(stream, first + static_cast<std::uint64_t>(start), pairs, words);
        else
            draw_words<lanes>(stream, first + static_cast<std::uint64_t>(start), pairs, words);
        for (Index e = 0; e < 2 * pairs; ++e) {
            const formulas::NormalPair pair = formulas::portable_box_muller(words.radius[e], words.angle[e]);
            sine[e] = pair.first;
            cosine[e] = pair.second;
        }
        float* normals = out + 4 * lanes * start;
        for (Index e = 0; e < pairs; e += lanes, normals += 4 * lanes)
            for (Index lane = 0; lane < lanes; ++lane) {
                normals[lane] = sine[e + lane];
                normals[lanes + lane] = cosine[e + lane];
                normals[2 * lanes + lane] = sine[pairs + e + lane];
                normals[3 * lanes + lane] = cosine[pairs + e + lane];
            }
    }
}

template <int lanes>
void fill_baseline(NormalStream stream, std::uint64_t first, Index count, float* out) {
    fill<lanes, false>(stream, first, count, out);
}
template <int lanes>
NTK_AVX2 void fill_avx2(NormalStream stream, std::uint64_t first, Index count, float* out) {
    fill<lanes, false>(stream, first, count, out);
}
template <int lanes>
NTK_AVX512 void fill_avx512(NormalStream stream, std::uint64_t first, Index count, float* out) {
    fill<lanes, true>(stream, first, count, out);
}

template <int lanes>
std::vector<FillNormalBlocks> variants() {
    return runnable_variants<FillNormalBlocks>(fill_baseline<lanes>, fill_avx2<lanes>, fill_avx512<lanes>);
}

}  // namespace

const std::vector<FillNormalBlocks>& normal_block_variants(int lanes) {
    static const std::vector<FillNormalBlocks> of_lanes[] = {variants<1>(), variants<2>(), variants<4>(), variants<8>(), variants<16>()};
    return of_lanes[std::countr_zero(static_cast<unsigned>(lanes))];
}

}  // namespace ntk
