// ntkcuda::mpi on any number of ranks: what they tell each other, parts of kernels, files, and the closed form.

#include "mpi/systems.hpp"
#include "support/files.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/gram.hpp>
#include <ntkcuda/mpi.hpp>

#include <cmath>

namespace ntk {
namespace {

using namespace testing;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string text_of(const std::vector<std::byte>& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

TEST(MpiRanks, TellEachOther) {
    MpiRanks ranks;
    const std::string mine(static_cast<std::size_t>(3 * ranks.rank()), static_cast<char>('a' + ranks.rank()));
    const auto all = ranks.all_gather(bytes_of(mine));
    ASSERT_EQ(std::ssize(all), ranks.size());
    for (int rank = 0; rank < ranks.size(); ++rank)
        EXPECT_EQ(text_of(all[static_cast<std::size_t>(rank)]),
                  std::string(static_cast<std::size_t>(3 * rank), static_cast<char>('a' + rank)));
    for (int to = 0; to < ranks.size(); ++to) {
        int next = 0;
        ranks.gather(bytes_of(mine), to, [&](int from, std::span<const std::byte> bytes) {
            EXPECT_EQ(from, next++);
            EXPECT_EQ(text_of({bytes.begin(), bytes.end()}), text_of(all[static_cast<std::size_t>(from)]));
        });
        EXPECT_EQ(next, ranks.rank() == to ? ranks.size() : 0);
    }
    EXPECT_EQ(text_of(ranks.broadcast(bytes_of(ranks.root() ? "the root's" : "longer than the root's"))), "the root's");
    EXPECT_TRUE(ranks.broadcast({}).empty());
    EXPECT_EQ(ranks.local_size(), ranks.size());
    EXPECT_EQ(ranks.local_rank(), ranks.rank());
}

TEST(MpiRanks, GatherRowsWhereTheyBelong) {
    MpiRanks ranks;
    const auto size = static_cast<std::size_t>(ranks.size());
    for (const std::int64_t most : {0, 1, 5}) {
        // Rank r has r mod (most + 1) rows of r.
        constexpr std::size_t row = 3;
        std::vector<std::int64_t> counts(size);
        std::string expected, mine;
        for (std::size_t rank = 0; rank < size; ++rank) {
            counts[rank] = static_cast<std::int64_t>(rank) % (most + 1);
            const std::string rows(static_cast<std::size_t>(counts[rank]) * row, static_cast<char>('a' + rank));
            expected += rows;
            mine += static_cast<int>(rank) == ranks.rank() ? rows : std::string(rows.size(), '-');
        }
        ranks.all_gather_rows(std::as_writable_bytes(std::span(mine)), row, counts);
        EXPECT_EQ(mine, expected);
    }
}

/// More than goes through one call, so that rows come in slices.
TEST(MpiRanks, GatherRowsOfMoreThanOneCallTakes) {
    MpiRanks ranks;
    constexpr std::size_t row = std::size_t{48} << 20;  // of 2^28 bytes for all ranks
    std::vector<std::int64_t> counts(static_cast<std::size_t>(ranks.size()));
    counts.front() = 2;
    std::vector<char> all(2 * row);
    if (ranks.root()) {
        all[row - 1] = 'a';
        all[2 * row - 1] = 'b';
    }
    ranks.all_gather_rows(std::as_writable_bytes(std::span(all)), row, counts);
    EXPECT_EQ(all[row - 1], 'a');
    EXPECT_EQ(all[2 * row - 1], 'b');
}

TEST(MpiRanks, SplitIntoGroupsInTheirOrder) {
    MpiRanks ranks;
    const int group = ranks.rank() % 2;
    const auto part = ranks.split(group);
    EXPECT_EQ(part->rank(), ranks.rank() / 2);
    EXPECT_EQ(part->size(), (ranks.size() + 1 - group) / 2);
    std::vector<double> sum{static_cast<double>(ranks.rank())};
    part->sum(std::span(sum));
    double expected = 0;
    for (int rank = group; rank < ranks.size(); rank += 2) expected += rank;
    EXPECT_EQ(sum.front(), expected);
}

template <class Real>
void check_sum(Index count) {
    MpiRanks ranks;
    const HostMatrix<double> terms = random_matrix(ranks.size(), std::max<Index>(1, count));
    std::vector<Real> values, expected;
    for (Index i = 0; i < count; ++i) {
        values.push_back(static_cast<Real>(terms(ranks.rank(), i)));
        Real sum = static_cast<Real>(terms(0, i));
        for (int rank = 1; rank < ranks.size(); ++rank) sum += static_cast<Real>(terms(rank, i));
        expected.push_back(sum);
    }
    ranks.sum(std::span(values));
    EXPECT_EQ(values, expected) << count;
}

TEST(MpiRanks, SumInTheOrderOfTheRanks) {
    for (const Index count : {0, 1, 5, 1000}) {
        check_sum<double>(count);
        check_sum<float>(count);
    }
}

/// The rows of x that a part of the axis has.
HostMatrix<double> rows_of(const HostMatrix<double>& x, const CyclicAxis& axis, int part) {
    HostMatrix<double> rows(axis.count(part), x.cols());
    for (Index i = 0; i < rows.rows(); ++i) std::copy_n(x.data() + axis.global(part, i) * x.cols(), x.cols(), rows.data() + i * x.cols());
    return rows;
}

TEST(PassGroups, OfAGridHaveTheKernel) {
    MpiRanks ranks;
    const RankGrid grid = rank_grid(ranks.size());
    const int row = grid.row_of(ranks.rank()), col = grid.col_of(ranks.rank());
    const auto same_rows = ranks.split(row), same_cols = ranks.split(col);
    const auto backend = make_backend<double>("cpu", 1);
    const Architecture shape{.inputs = 5, .hidden = {8, 6}, .outputs = 2, .bias_std = 0.5, .biases = Biases::trained};
    const Network<double> network = draw_network(backend, shape, 3);
    for (const Index n : {2, 41, 230}) {
        const HostMatrix<double> x = random_matrix(n, 5);
        const HostMatrix<double> whole = download(empirical_ntk(network, upload(backend, x).view(), {.block = Block::full}));
        const DistributedLayout samples = kernel_layout(ranks.size(), n, n, 2), layout = samples.repeated(2, 2);
        Matrix<double> part(backend, layout.local_rows(ranks.rank()), layout.local_cols(ranks.rank()));
        const auto x1 = upload(backend, rows_of(x, samples.rows, row)), x2 = upload(backend, rows_of(x, samples.cols, col));
        empirical_ntk_into(part.view(), network, x1.view(), x2.view(), kernel_pieces(samples, ranks.rank()), {.block = Block::full}, {},
                           {*same_rows, *same_cols});
        double largest = 0;
        for (Index i = 0; i < whole.size(); ++i) largest = std::max(largest, std::fabs(whole.data()[i]));
        expect_near(download(part), part_of(whole, layout, ranks.rank()), 1e-14 * largest);
    }
}

TEST(MirrorLower, MakesASymmetricMatrixWhole) {
    MpiRanks ranks;
    for (const Index n : {1, 2, 5, 37, 130})
        for (const Index each : {1, 3}) {
            const DistributedLayout layout = kernel_layout(ranks.size(), n, 0, each).repeated(each, each);
            const HostMatrix<double> whole = gram(n * each, 2), expected = part_of(whole, layout, ranks.rank());
            HostMatrix<double> part = expected;
            forget_upper(layout, ranks.rank(), part);
            mirror_lower(ranks, layout, part.view());
            for (Index i = 0; i < part.size(); ++i) ASSERT_EQ(part.data()[i], expected.data()[i]) << n << " " << each << ": " << i;
        }
}

template <class Real>
void check_file(const std::string& folder, MpiRanks& ranks, Index rows, Index cols) {
    const HostMatrix<Real> whole = random_matrix(rows, cols).template cast<Real>();
    const std::string path = folder + "shared.npy";
    MpiNpyFile<Real> file(ranks, path, {2, rows, cols});
    const DistributedLayout layout = kernel_layout(ranks.size(), rows, cols, 1);
    const HostMatrix<Real> part = part_of(whole, layout, ranks.rank());
    file.write(0, layout, part.view());
    file.write(rows, layout, part.view());
    if (ranks.root()) {
        EXPECT_FALSE(std::filesystem::exists(path));
    }
    file.finish();
    if (ranks.root()) {
        std::vector<Real> twice(whole.data(), whole.data() + whole.size());
        twice.insert(twice.end(), whole.data(), whole.data() + whole.size());
        write_npy(folder + "one.npy", {2, rows, cols}, twice.data());
        EXPECT_TRUE(read_bytes(path) == read_bytes(folder + "one.npy")) << rows << " x " << cols;
        std::filesystem::remove(path);
    }
    (void)ranks.all_gather({});
}

TEST(MpiNpyFile, HasTheBytesOfOneRanksFile) {
    MpiRanks ranks;
    const TemporaryFolder own;  // the root's is that of all
    const std::string folder = text_of(ranks.broadcast(bytes_of(own.path(""))));
    for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 1}, {3, 50}, {37, 41}, {200, 7}}) {
        check_file<double>(folder, ranks, rows, cols);
        check_file<float>(folder, ranks, rows, cols);
    }
}

const auto on_the_host = [](HostMatrix<double> part) { return part; };

auto systems_on(MpiRanks& ranks) {
    return [&ranks](const DistributedLayout& layout, HostMatrix<double> part, double ridge) {
        return DistributedKernelSystem<double>(ranks, layout, std::move(part), ridge);
    };
}

TEST(DistributedKernelSystem, SolvesAsOneRank) {
    MpiRanks ranks;
    expect_solves_as_one_rank(ranks, on_the_host, systems_on(ranks));
}

TEST(DistributedKernelSystem, RefusesInTheWordsOfOneRank) {
    MpiRanks ranks;
    expect_refuses_in_the_words_of_one_rank(ranks, on_the_host, systems_on(ranks));
}

}  // namespace
}  // namespace ntk
