// Rates of a device, measured by the operations themselves.

#include "rank_numbers.hpp"

#include <ntkcuda/rates.hpp>

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/backend.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/network.hpp>
#include <ntkcuda/random.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>

namespace ntk {
namespace {

/// Sizes that take some hundredths of a second each on a few cores, or on a GPU.
struct Sizes {
    Index samples, small, large, order, spectrum, pairs;
};
constexpr Sizes on_cpu{1024, 64, 512, 2048, 512, 512}, on_gpu{8192, 64, 1024, 8192, 2048, 4096};
/// Of the limit: features and layers that are few and many.
constexpr Index few = 3, many_features = 512, many_layers = 24;
/// Right-hand sides, one behind the other.
constexpr int solves = 4;
/// A row of a file, rows written at a time, and rows at most: 1 GiB of float64.
constexpr Index file_cols = 1 << 15, rows_at_a_time = 256, most_file_rows = 4096;
/// Samples of one batch.
constexpr Index tall = 4096;

/// Bytes that each of several ranks receives a second while all gather 64 MiB, the shortest of three times.
double link_rate(Ranks& ranks) {
    constexpr std::size_t row_bytes = 4096, rows = 16384;
    const auto size = static_cast<std::size_t>(ranks.size());
    const std::vector<std::int64_t> counts(size, static_cast<std::int64_t>(rows / size));
    std::vector<std::byte> all(rows / size * size * row_bytes);
    double shortest = std::numeric_limits<double>::infinity();
    for (int run = 0; run < 3; ++run) {
        (void)ranks.all_gather({});  // all begin together
        const auto start = std::chrono::steady_clock::now();
        ranks.all_gather_rows(all, row_bytes, counts);
        shortest = std::min(shortest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return static_cast<double>(all.size()) * static_cast<double>(size - 1) / static_cast<double>(size) / shortest;
}

template <class Real>
class RateMeasurement {
public:
    RateMeasurement(const std::shared_ptr<Backend<Real>>& backend, std::string folder, double file_bytes, Ranks& ranks, Rates& rates)
        : backend_(backend),
          folder_(std::move(folder)),
          file_bytes_(file_bytes / ranks.size()),
          ranks_(ranks),
          sizes_(backend->info().kind == DeviceKind::cpu ? on_cpu : on_gpu),
          rates_(sizeof(Real) == sizeof(float) ? rates.fp32 : rates.fp64) {}

    void measure(Operation operation) {
        if (rates_.contains(operation)) return;
        const std::vector<Rate> rates = of_every_rank(ranks_, rate_of(operation));  // they wait for each other here
        rates_[operation] =
            *std::min_element(rates.begin(), rates.end(), [](const Rate& a, const Rate& b) { return a.per_second < b.per_second; });
    }

private:
    Rate rate_of(Operation operation) {
        switch (operation) {
            case Operation::gemm:
                return by_columns([](double columns) { return 4.0 * tall * columns * columns; },
                                  [&](Index columns) { return gemm(columns); });
            case Operation::gram:
                return by_columns(square_flops(), [&](Index inner) { return gram(inner); });
            case Operation::half_gram:
                return by_columns(square_flops(), [&](Index inner) { return half_gram(inner); });
            case Operation::pair_features:
                return features();
            case Operation::arccos_ntk:
            case Operation::arccos_nngp:
            case Operation::erf_ntk:
            case Operation::erf_nngp:
                return layers(operation);
            case Operation::cholesky:
                return by_order(sizes_.order, 1.0 / 3, [&](Index n) { return cholesky(n); });
            case Operation::solve:
                return by_order(sizes_.order, 0, [&](Index n) { return solve(n); });
            case Operation::lu:
                return by_order(sizes_.order, 2.0 / 3, [&](Index n) { return lu(n); });
            case Operation::eigenvalues:
                return by_order(sizes_.spectrum, 4.0 / 3, [&](Index n) { return eigen(n, false); });
            case Operation::eigenvectors:
                return by_order(sizes_.spectrum, 9, [&](Index n) { return eigen(n, true); });
            case Operation::normals:
                return {normals(), 0};
            case Operation::host_normals:
                return {host_normals_rate(), 0};
            case Operation::memory:
                return {memory(), 0};
            case Operation::write:
                return {write(), 0};
            case Operation::link:
                if (ranks_.size() > 1) return {link_rate(ranks_), 0};
                measure(Operation::memory);
                return {rates_.at(Operation::memory).per_second / 2, 0};
        }
        throw Error(ErrorCode::invalid_argument, "no such rate");
    }

    /// Seconds of `work` until the device has done it, the shortest of three (of fewer where they take long: others that use the machine
    /// only make it longer); `prepare` before each is not counted.
    template <class Prepare, class Timed>
    double seconds(const Prepare& prepare, const Timed& work) {
        constexpr double long_enough = 0.3;
        double shortest = std::numeric_limits<double>::infinity(), all = 0;
        for (int run = 0; run < 4 && (run < 2 || all < long_enough); ++run) {  // what a first use prepares is in the first
            prepare();
            backend_->synchronize();
            const auto start = std::chrono::steady_clock::now();
            work();
            backend_->synchronize();
            const double taken = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            all += taken;
            shortest = std::min(shortest, taken);
        }
        return std::max(shortest, 1e-9);
    }
    template <class Timed>
    double seconds(const Timed& work) {
        return seconds([] {}, work);
    }

    Matrix<Real> drawn(Index rows, Index cols) {
        Matrix<Real> x(backend_, rows, cols);
        backend_->draw_normals({1, 0, 0}, 1, x.view());
        return x;
    }
    /// Well conditioned: n on the diagonal of a Gram matrix.
    Matrix<Real> definite(Index n) {
        const Matrix<Real> x = drawn(n, 16);
        Matrix<Real> k(backend_, n, n);
        backend_->gemm(Transpose::no, Transpose::yes, 1, x.view(), x.view(), 0, k.view());
        backend_->add_to_diagonal(static_cast<double>(n), k.view());
        return k;
    }

    template <class Flops, class Seconds>
    Rate by_columns(const Flops& flops, const Seconds& measured) {
        const double size[2] = {static_cast<double>(sizes_.small), static_cast<double>(sizes_.large)};
        const double work[2] = {flops(size[0]), flops(size[1])};
        const double time[2] = {measured(sizes_.small), measured(sizes_.large)};
        return fit_rate(work, size, time);
    }
    /// Of every pair of samples.
    [[nodiscard]] auto square_flops() const {
        return [n = static_cast<double>(sizes_.samples)](double columns) { return 2 * n * n * columns; };
    }
    /// Of factor n^3 flops, or of right-hand sides where the factor is 0.
    template <class Seconds>
    Rate by_order(Index order, double factor, const Seconds& measured) {
        const double size[2] = {static_cast<double>(order / 4), static_cast<double>(order)};
        double work[2];
        for (int i = 0; i < 2; ++i) work[i] = factor > 0 ? factor * size[i] * size[i] * size[i] : solves * 2 * size[i] * size[i];
        const double time[2] = {measured(order / 4), measured(order)};
        return fit_rate(work, size, time);
    }

    /// As passes, gradients and tangents have it: tall matrices of `inner` columns, one product with each other and one with a square.
    double gemm(Index inner) {
        const Matrix<Real> a = drawn(tall, inner), b = drawn(tall, inner);
        Matrix<Real> square(backend_, inner, inner), c(backend_, tall, inner);
        return seconds([&] {
            backend_->gemm(Transpose::yes, Transpose::no, 1, a.view(), b.view(), 0, square.view());
            backend_->gemm(Transpose::no, Transpose::yes, 1, a.view(), std::as_const(square).view(), 0, c.view());
        });
    }
    /// A layer whose two inner dimensions are `inner`: the lower triangles of two products.
    double gram(Index inner) {
        const Matrix<Real> a = drawn(sizes_.samples, inner), d = drawn(sizes_.samples, inner);
        Matrix<Real> theta(backend_, sizes_.samples, sizes_.samples);
        backend_->fill(theta.view(), 0);
        return seconds(
            [&] { backend_->accumulate_layer_gram(theta.view(), a.view(), a.view(), d.view(), d.view(), 1, 0, Triangle::lower); });
    }
    double half_gram(Index inner) {
        const Matrix<Real> a = drawn(sizes_.samples, inner), d = drawn(sizes_.samples, inner);
        Matrix<Real> theta(backend_, sizes_.samples, sizes_.samples);
        backend_->fill(theta.view(), 0);
        return seconds([&] {
            const auto sum = backend_->half_gram_sum(theta.view(), Triangle::lower);
            sum->add(a.view(), a.view(), d.view(), d.view(), 1, 0);
            sum->finish();
        });
    }

    double limit(Operation operation, Index inputs, Index depth) {
        Architecture architecture;
        architecture.inputs = inputs;
        architecture.hidden.assign(static_cast<std::size_t>(depth - 1), 1);
        if (operation == Operation::erf_ntk || operation == Operation::erf_nngp) architecture.activation = parse_activation("erf");
        const auto kernel =
            operation == Operation::arccos_nngp || operation == Operation::erf_nngp ? InfiniteKernel::nngp : InfiniteKernel::ntk;
        const Matrix<Real> x = drawn(sizes_.pairs, inputs);
        Matrix<Real> out(backend_, sizes_.pairs, sizes_.pairs);
        return seconds([&] { backend_->infinite_width_kernel(architecture, kernel, x.view(), x.view(), Triangle::lower, out.view()); });
    }
    double limit_pairs() const { return static_cast<double>(sizes_.pairs) * static_cast<double>(sizes_.pairs + 1) / 2; }
    Rate layers(Operation operation) {
        const double size[2] = {few, many_layers}, work[2] = {limit_pairs() * few, limit_pairs() * many_layers};
        const double time[2] = {limit(operation, few, few), limit(operation, few, many_layers)};
        return fit_rate(work, size, time);
    }
    /// What more features cost.
    Rate features() {
        const double less = limit(Operation::arccos_nngp, few, few), more = limit(Operation::arccos_nngp, many_features, few);
        return {2 * limit_pairs() * (many_features - few) / std::max(more - less, 0.01 * more), 0};
    }

    double cholesky(Index n) {
        const Matrix<Real> k = definite(n);
        Matrix<Real> factor(backend_, n, n);
        return seconds([&] { backend_->copy(k.view(), factor.view()); }, [&] { (void)backend_->cholesky(factor.view()); });
    }
    double solve(Index n) {
        Matrix<Real> factor = definite(n), b = drawn(n, 1);
        (void)backend_->cholesky(factor.view());
        return seconds([&] {
            for (int i = 0; i < solves; ++i) backend_->cholesky_solve(factor.view(), b.view());
        });
    }
    double lu(Index n) {
        const Matrix<Real> k = definite(n);
        Matrix<Real> factor(backend_, n, n);
        return seconds([&] { backend_->copy(k.view(), factor.view()); }, [&] { (void)backend_->lu(factor.view()); });
    }
    double eigen(Index n, bool vectors) {
        const Matrix<Real> x = drawn(n, n);
        Matrix<Real> gram(backend_, n, n), k(backend_, n, n), values(backend_, n, 1);
        backend_->gemm(Transpose::no, Transpose::yes, 1, x.view(), x.view(), 0, gram.view());
        return seconds([&] { backend_->copy(gram.view(), k.view()); }, [&] { backend_->eigen(k.view(), values.view(), vectors); });
    }

    double normals() {
        const Index n = sizes_.samples;
        Matrix<Real> x(backend_, n, n);
        return static_cast<double>(n * n) / seconds([&] { backend_->draw_normals({1, 0, 0}, 1, x.view()); });
    }
    double host_normals_rate() {
        const Index n = on_cpu.samples;
        return static_cast<double>(n * n) / seconds([&] { (void)host_normals({1, 0, 0}, n, n); });
    }
    /// A copy into memory that was not there before, as results are made: read and written.
    double memory() {
        const Index n = 2 * sizes_.samples;
        const Matrix<Real> from = drawn(n, n);
        return 2.0 * static_cast<double>(n * n) * sizeof(Real) / seconds([&] {
                   Matrix<Real> to(backend_, n, n);
                   backend_->copy(from.view(), to.view());
               });
    }
    /// Of a file that is given up before it has its name, written once: as a run finds it, memory of the system that was not in use.
    double write() {
        constexpr double row_bytes = file_cols * sizeof(Real);
        const Index rows = std::clamp<Index>(static_cast<Index>(std::ceil(std::min(file_bytes_, 0x1p40) / row_bytes)), 1, most_file_rows);
        const HostMatrix<Real> part(std::min(rows, rows_at_a_time), file_cols);
        const auto start = std::chrono::steady_clock::now();
        NpyFile<Real> file(std::filesystem::path(folder_) / "ntkcuda-rates.npy", {rows, file_cols});
        for (Index row = 0; row < rows; row += part.rows()) file.write(row, 0, part.view().row_range(0, std::min(part.rows(), rows - row)));
        const double taken = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return static_cast<double>(rows) * row_bytes / std::max(taken, 1e-9);
    }

    std::shared_ptr<Backend<Real>> backend_;
    std::string folder_;
    double file_bytes_;
    Ranks& ranks_;
    Sizes sizes_;
    std::map<Operation, Rate>& rates_;
};

}  // namespace

template <class Real>
void measure_rates(const std::shared_ptr<Backend<Real>>& backend, const std::set<Operation>& operations, const std::string& folder,
                   Rates& rates, Ranks& ranks, double file_bytes) {
    const DeviceInfo info = backend->info();
    rates.kind = info.kind;
    rates.device = info.name;
    rates.memory = static_cast<double>(info.memory_free);
    RateMeasurement<Real> measurement(backend, folder, file_bytes, ranks, rates);
    for (const Operation operation : operations) measurement.measure(operation);
}

template void measure_rates(const std::shared_ptr<Backend<float>>&, const std::set<Operation>&, const std::string&, Rates&, Ranks&, double);
template void measure_rates(const std::shared_ptr<Backend<double>>&, const std::set<Operation>&, const std::string&, Rates&, Ranks&,
                            double);

}  // namespace ntk
