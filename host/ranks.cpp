#include <ntkcuda/ranks.hpp>

namespace ntk {
namespace {

class OneRank final : public Ranks {
public:
    [[nodiscard]] int rank() const override { return 0; }
    [[nodiscard]] int size() const override { return 1; }
    [[nodiscard]] std::vector<std::vector<std::byte>> all_gather(std::span<const std::byte> mine) override {
        return {{mine.begin(), mine.end()}};
    }
    void all_gather_rows(std::span<std::byte>, std::size_t, std::span<const std::int64_t>) override {}
    void gather(std::span<const std::byte> mine, int, const std::function<void(int, std::span<const std::byte>)>& receive) override {
        receive(0, mine);
    }
    [[nodiscard]] std::vector<std::byte> broadcast(std::span<const std::byte> of_root) override { return {of_root.begin(), of_root.end()}; }
    void sum(std::span<double>) override {}
    void sum(std::span<float>) override {}
};

}  // namespace

Ranks& one_rank() {
    static OneRank alone;
    return alone;
}

}  // namespace ntk
