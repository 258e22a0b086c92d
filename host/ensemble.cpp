#include <ntkcuda/ensemble.hpp>

#include "ensemble_state.hpp"
#include "sweep_rounds.hpp"

#include <ntkcuda/backend.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <span>

namespace ntk {
namespace {

constexpr Index largest_chunk = 4096, numbers_in_chunk = Index{1} << 20;
/// Between two saves, at least; and so much that saving takes no more than this share of the time.
constexpr std::chrono::duration<double> between_saves{0.5};
constexpr double saving_share = 0.01;

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::invalid_argument, message); }

/// Where (row, column <= row) lies in a lower triangle, row by row.
Index packed(Index row, Index column) { return row * (row + 1) / 2 + column; }

/// The columns of the entries whose values are followed one by one: those that are binned, then both of each pair.
std::vector<Index> followed_columns(const EnsembleOptions& options, const Ensemble& shape) {
    std::vector<Index> columns;
    for (const KernelEntry& entry : options.histograms) columns.push_back(shape.column(entry));
    for (const auto& [a, b] : options.covariances) columns.insert(columns.end(), {shape.column(a), shape.column(b)});
    return columns;
}

/// What networks first .. first + count - 1 give.
struct Chunk {
    Index count = 0;
    std::vector<double> moments;                ///< 6 x columns (Backend::column_moments)
    std::vector<std::vector<double>> followed;  ///< the values of the followed columns
};
template <class Archive, class Value>
requires std::same_as<std::remove_const_t<Value>, Chunk>
void fields(Archive& archive, Value& chunk) { archive(chunk.count, chunk.moments, chunk.followed); }

/// Draws chunks on the device of a worker.
template <class Real>
class ChunkSampler {
public:
    ChunkSampler(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& x, const KernelSamplerOptions& options,
                 Index chunk, Index columns)
        : backend_(backend), sampler_(backend->kernel_sampler(options, upload(backend, x).view())), values_(backend, chunk, columns) {}

    /// Networks first .. first + count - 1; count at most that of a chunk.
    [[nodiscard]] Chunk draw(Index first, Index count, const std::vector<Index>& followed) {
        const MatrixView<Real> values = values_.view().row_range(0, count);
        sampler_->sample(static_cast<std::uint32_t>(first), values);
        const HostMatrix<double> moments = backend_->column_moments(values);
        Chunk chunk{count, {moments.data(), moments.data() + moments.size()}, {}};
        if (!std::all_of(chunk.moments.begin(), chunk.moments.end(), [](double m) { return std::isfinite(m); }))
            throw Error(ErrorCode::device_failure,
                        fmt::format("among networks {} to {} a kernel, or its fourth power, is not a finite number: the weight std lets "
                                    "it grow out of range",
                                    first, first + count - 1));
        for (const Index j : followed) chunk.followed.push_back(column(values, j));
        return chunk;
    }

private:
    std::vector<double> column(ConstMatrixView<Real> values, Index j) const {
        HostMatrix<Real> host(values.rows(), 1);
        backend_->download(values.col_range(j, 1), host.view());
        return {host.data(), host.data() + host.size()};
    }

    std::shared_ptr<Backend<Real>> backend_;
    std::unique_ptr<KernelSampler<Real>> sampler_;
    Matrix<Real> values_;
};

/// Adds a chunk, whose networks follow those of the state. Moments of products are made on `backend`.
template <class Real>
void merge(const Chunk& chunk, const std::vector<Index>& followed, const std::shared_ptr<Backend<Real>>& backend, EnsembleState& state) {
    const Index columns = state.moments.columns(), pairs = state.products.columns() / 2;
    state.moments.merge(chunk.count, HostMatrix<double>(6, columns, chunk.moments));
    const std::size_t binned = state.histograms.size();
    for (std::size_t h = 0; h < binned; ++h) state.histograms[h].add(chunk.followed[h]);
    if (pairs == 0) return;
    const std::span of_pairs = std::span(chunk.followed).subspan(binned);
    if (state.centres.empty())  // the first row of the moments is the means
        for (const Index j : std::span(followed).subspan(binned)) state.centres.push_back(chunk.moments[static_cast<std::size_t>(j)]);
    HostMatrix<double> products(chunk.count, 2 * pairs);
    for (Index p = 0; p < pairs; ++p) {
        const auto at = static_cast<std::size_t>(2 * p);
        for (Index r = 0; r < chunk.count; ++r) {
            const double x = of_pairs[at][static_cast<std::size_t>(r)], y = of_pairs[at + 1][static_cast<std::size_t>(r)];
            products(r, 2 * p) = (x - state.centres[at]) * (y - state.centres[at + 1]);
            products(r, 2 * p + 1) = x * y;
        }
    }
    state.products.merge(chunk.count, backend->column_moments(upload(backend, products).view()));
}

void check_fits(const EnsembleState& stored, const EnsembleState& empty, Index chunk, Index networks) {
    if (stored.moments.columns() != empty.moments.columns() || stored.products.columns() != empty.products.columns() ||
        stored.histograms.size() != empty.histograms.size() || stored.moments.count() % chunk != 0)
        throw Error(ErrorCode::io, "the stored ensemble is not of these kernels: remove it or start over");
    if (stored.moments.count() > networks)
        refuse(fmt::format("{} networks were asked for, and the stored ensemble holds {} already: ask for at least as many, or start over",
                           networks, stored.moments.count()));
}

/// What the root's store holds, on every rank.
std::optional<EnsembleState> stored_state(EnsembleStore* store, Ranks& ranks) {
    const auto load = [&] { return store != nullptr ? store->load() : std::nullopt; };
    if (ranks.size() == 1) return load();
    using Numbers = std::vector<double>;
    const auto numbers = from_root<std::optional<Numbers>>(ranks, [&]() -> std::optional<Numbers> {
        const auto state = load();
        return state ? std::optional(to_numbers(*state)) : std::nullopt;
    });
    return numbers ? std::optional(from_numbers(*numbers, "the ensemble of the root")) : std::nullopt;
}

/// Saves whole chunks, if there is a store.
class Saver {
public:
    Saver(EnsembleStore* store, Index chunk, Index saved) : store_(store), chunk_(chunk), saved_(saved) {}

    void save(const EnsembleState& state) {
        const Index networks = state.moments.count();
        if (store_ == nullptr || networks == saved_ || networks % chunk_ != 0) return;
        const auto begin = Clock::now();
        store_->save(state);
        saved_ = networks;
        const std::chrono::duration<double> taken = Clock::now() - begin;
        next_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::max(between_saves, taken / saving_share));
    }
    void save_now_and_then(const EnsembleState& state) {
        if (Clock::now() >= next_) save(state);
    }

private:
    using Clock = std::chrono::steady_clock;
    EnsembleStore* store_;
    Index chunk_, saved_;
    Clock::time_point next_ = Clock::now();
};

Index parse_index(const std::string& text, std::size_t& at) {
    Index value = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
    if (error != std::errc() || value < 0) return -1;
    at = static_cast<std::size_t>(end - text.data());
    return value;
}

}  // namespace

std::string to_string(const KernelEntry& entry) {
    return fmt::format("{}[{},{}]{}", entry.kernel == KernelEntry::Kernel::tangent ? "theta" : "nngp", entry.row, entry.column,
                       entry.layer > 0 ? fmt::format(".layer{}", entry.layer) : "");
}

KernelEntry parse_kernel_entry(const std::string& name) {
    const bool tangent = name.starts_with("theta["), nngp = name.starts_with("nngp[");
    std::size_t at = tangent ? 6 : 5;
    const auto expect = [&](const char* text) {
        const bool found = name.compare(at, std::char_traits<char>::length(text), text) == 0;
        if (found) at += std::char_traits<char>::length(text);
        return found;
    };
    KernelEntry entry;
    entry.kernel = tangent ? KernelEntry::Kernel::tangent : KernelEntry::Kernel::nngp;
    bool valid = (tangent || nngp) && (entry.row = parse_index(name, at)) >= 0 && expect(",") &&
                 (entry.column = parse_index(name, at)) >= 0 && expect("]");
    if (valid && tangent && expect(".layer")) valid = (entry.layer = parse_index(name, at)) >= 1;
    if (!valid || at != name.size())
        refuse(
            fmt::format("'{}' is not an entry of a kernel: expected theta[row,column], theta[row,column].layerL or nngp[row,column], "
                        "rows and columns from 0",
                        name));
    return entry;
}

Ensemble::Ensemble(KernelSamplerOptions options, Index samples, EnsembleState state)
    : options_(std::move(options)), samples_(samples), layout_(kernel_layout(options_, samples)), state_(std::move(state)) {}

Index Ensemble::column(const KernelEntry& entry) const {
    const bool nngp = entry.kernel == KernelEntry::Kernel::nngp, diag = !nngp && options_.block == Block::diag;
    const Index outputs = options_.architecture.outputs;
    const Index rows = nngp || options_.block != Block::full ? samples_ : samples_ * outputs, columns = diag ? outputs : rows;
    if (entry.row < 0 || entry.row >= rows || entry.column < 0 || entry.column >= columns)
        refuse(fmt::format("{} is not in this kernel, which is {} x {}, counted from 0", to_string(entry), rows, columns));
    if (entry.layer < 0 || entry.layer > layout_.layers)
        refuse(fmt::format("{} is not there: {}", to_string(entry),
                           layout_.layers == 0 ? "terms of layers are kept only when asked for (per_layer)"
                                               : fmt::format("the network has {} layers", layout_.layers)));
    const Index place =
        diag ? entry.row * outputs + entry.column : packed(std::max(entry.row, entry.column), std::min(entry.row, entry.column));
    if (nngp) return layout_.tangent + place;
    return entry.layer == 0 ? place : layout_.tangent + layout_.nngp + (entry.layer - 1) * layout_.tangent + place;
}

Covariance Ensemble::covariance(std::size_t index, const std::pair<KernelEntry, KernelEntry>& pair) const {
    const double mean_a = at(pair.first).mean, mean_b = at(pair.second).mean;
    const double a = state_.centres.at(2 * index), b = state_.centres.at(2 * index + 1);
    const auto column = static_cast<Index>(2 * index);
    const Statistics centred = state_.products.at(column), product = state_.products.at(column + 1);
    const auto n = static_cast<double>(networks());
    return {(centred.mean - (mean_a - a) * (mean_b - b)) * n / std::max(1.0, n - 1), centred.mean_error, product.mean, product.mean_error};
}

HostMatrix<double> Ensemble::matrix(KernelEntry::Kernel kernel, double Statistics::*number, Index layer) const {
    const bool nngp = kernel == KernelEntry::Kernel::nngp, diag = !nngp && options_.block == Block::diag;
    const Index outputs = options_.architecture.outputs;
    const Index rows = nngp || options_.block != Block::full ? samples_ : samples_ * outputs;
    HostMatrix<double> result(rows, diag ? outputs : rows);
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < (diag ? outputs : i + 1); ++j) {
            result(i, j) = at({kernel, i, j, layer}).*number;
            if (!diag) result(j, i) = result(i, j);
        }
    return result;
}

std::vector<KernelEntry> Ensemble::entries() const {
    std::vector<KernelEntry> result;
    const Index outputs = options_.architecture.outputs;
    const bool diag = options_.block == Block::diag;
    const Index rows = options_.block == Block::full ? samples_ * outputs : samples_;
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < (diag ? outputs : i + 1); ++j) result.push_back({KernelEntry::Kernel::tangent, i, j, 0});
    for (Index i = 0; i < samples_; ++i)
        for (Index j = 0; j <= i; ++j) result.push_back({KernelEntry::Kernel::nngp, i, j, 0});
    return result;
}

Index ensemble_chunk(Index columns) {
    const Index wanted = std::max<Index>(1, numbers_in_chunk / std::max<Index>(1, columns));
    return std::min(largest_chunk, static_cast<Index>(std::bit_floor(static_cast<std::uint64_t>(wanted))));
}

double ensemble_bytes(const EnsembleOptions& options, Index samples, std::size_t real_bytes) {
    const Index columns = kernel_layout(options.sampler, samples).columns();
    return static_cast<double>(ensemble_chunk(columns)) * static_cast<double>(columns) * static_cast<double>(real_bytes);
}

void require_ensemble_domains(const EnsembleOptions& options, Index samples) {
    if (options.networks < 2 || options.networks > Index{std::numeric_limits<std::uint32_t>::max()})
        refuse(fmt::format("an ensemble has 2 to 4294967295 networks, not {}", options.networks));
    options.sampler.architecture.validate();
    const Ensemble shape(options.sampler, samples, {});
    for (const KernelEntry& entry : options.histograms) (void)shape.column(entry);
    for (const auto& [a, b] : options.covariances) (void)shape.column(a), (void)shape.column(b);
}

template <class Real>
Ensemble ensemble(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& x, const EnsembleOptions& options,
                  const Progress<Index, Index>& progress, EnsembleStore* store) {
    return ensemble(Workers<Real>(backend), x, options, progress, store);
}

template <class Real>
Ensemble ensemble(const Workers<Real>& workers, const HostMatrix<double>& x, const EnsembleOptions& options,
                  const Progress<Index, Index>& progress, EnsembleStore* store) {
    require_ensemble_domains(options, x.rows());
    const Ensemble shape(options.sampler, x.rows(), {});
    const std::vector<Index> followed = followed_columns(options, shape);
    const Index columns = shape.layout().columns(), size = ensemble_chunk(columns);
    const Team team(workers);
    const EnsembleState empty{
        Moments(columns), Moments(2 * std::ssize(options.covariances)), {}, std::vector<ValueHistogram>(options.histograms.size())};
    EnsembleState state = stored_state(store, workers.ranks()).value_or(empty);
    check_fits(state, empty, size, options.networks);
    progress(state.moments.count(), options.networks);

    const Index first = state.moments.count();
    Saver saver(workers.ranks().root() ? store : nullptr, size, first);
    std::vector<std::unique_ptr<ChunkSampler<Real>>> samplers(workers.backends().size());
    SweepWork<Chunk> work;
    work.items = (options.networks - first + size - 1) / size;
    work.compute = [&](std::size_t worker, Index item, const std::stop_token&) {
        auto& sampler = samplers[worker];
        if (!sampler) sampler = std::make_unique<ChunkSampler<Real>>(workers.backends()[worker], x, options.sampler, size, columns);
        const Index begin = first + item * size;
        return sampler->draw(begin, std::min(size, options.networks - begin), followed);
    };
    work.collect = [&](Index, const Chunk& chunk, bool) {
        // What does not fill a chunk is not kept: a longer run draws it again within a whole one.
        if (chunk.count < size) saver.save(state);
        merge(chunk, followed, workers.backends().front(), state);
        saver.save_now_and_then(state);
        progress(state.moments.count(), options.networks);
    };
    try {
        SweepRounds<Chunk>(team, work, progress.stop()).run();
    } catch (const Error& error) {
        if (error.code() == ErrorCode::cancelled) saver.save(state);
        throw;
    }
    saver.save(state);
    return {options.sampler, x.rows(), std::move(state)};
}

#define NTKCUDA_INSTANTIATE(Real)                                                                                                      \
    template Ensemble ensemble(const std::shared_ptr<Backend<Real>>&, const HostMatrix<double>&, const EnsembleOptions&,               \
                               const Progress<Index, Index>&, EnsembleStore*);                                                         \
    template Ensemble ensemble(const Workers<Real>&, const HostMatrix<double>&, const EnsembleOptions&, const Progress<Index, Index>&, \
                               EnsembleStore*)
NTKCUDA_INSTANTIATE(float);
NTKCUDA_INSTANTIATE(double);
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk
