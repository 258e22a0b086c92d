#include <ntkcuda/random.hpp>

#include "backend/normal_blocks.hpp"

#include <algorithm>

namespace ntk {

HostMatrix<double> host_normals(NormalStream stream, Index rows, Index cols) {
    constexpr Index chunk = 4096;
    HostMatrix<double> result(rows, cols);
    for (Index start = 0; start < result.size(); start += chunk) {
        float normals[chunk];
        const Index count = std::min(chunk, result.size() - start);
        fill_normal_blocks(stream, static_cast<std::uint64_t>(start / 4), (count + 3) / 4, normals);
        std::copy_n(normals, count, result.data() + start);
    }
    return result;
}

}  // namespace ntk
