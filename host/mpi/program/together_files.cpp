// Files that the ranks write together.

#include "together.hpp"

namespace ntk::cli {
namespace {

template <class Real>
class SharedNpy final : public SharedFile<Real> {
public:
    SharedNpy(MpiRanks& ranks, const std::string& path, const std::vector<Index>& shape) : file_(ranks, path, shape) {}
    void write(const DistributedLayout& layout, ConstMatrixView<Real> part) override { file_.write(0, layout, part); }
    void finish() override { file_.finish(); }

private:
    MpiNpyFile<Real> file_;
};

}  // namespace

void Together::open(const std::string& path, const std::vector<Index>& shape, std::unique_ptr<SharedFile<float>>& file) {
    file = std::make_unique<SharedNpy<float>>(ranks_, path, shape);
}
void Together::open(const std::string& path, const std::vector<Index>& shape, std::unique_ptr<SharedFile<double>>& file) {
    file = std::make_unique<SharedNpy<double>>(ranks_, path, shape);
}

}  // namespace ntk::cli
