#include <ntkcuda/ensemble.hpp>

#include <ntkcuda/backend.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>

namespace ntk {
namespace {

constexpr Index largest_chunk = 4096, numbers_in_chunk = Index{1} << 20;
/// Between two saves, at least; and so much that saving takes no more than this share of the time.
constexpr std::chrono::duration<double> between_saves{0.5};
constexpr double saving_share = 0.01;

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::invalid_argument, message); }

/// Where (row, column <= row) lies in a lower triangle, row by row.
Index packed(Index row, Index column) { return row * (row + 1) / 2 + column; }

/// What is added up while networks go by.
template <class Real>
class Gatherer {
public:
    Gatherer(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& x, const EnsembleOptions& options)
        : backend_(backend), sampler_(backend->kernel_sampler(options.sampler, upload(backend, x).view())) {
        const Ensemble shape(options.sampler, x.rows(), {});
        for (const KernelEntry& entry : options.histograms) histograms_.push_back(shape.column(entry));
        for (const auto& [a, b] : options.covariances) pairs_.emplace_back(shape.column(a), shape.column(b));
        chunk_ = ensemble_chunk(shape.layout().columns());
        values_ = Matrix<Real>(backend, chunk_, shape.layout().columns());
    }

    [[nodiscard]] Index chunk() const { return chunk_; }
    [[nodiscard]] EnsembleState empty_state() const {
        return {Moments(values_.cols()), Moments(2 * std::ssize(pairs_)), {}, std::vector<ValueHistogram>(histograms_.size())};
    }

    /// Adds networks first .. first + count - 1, count <= chunk().
    void add(Index first, Index count, EnsembleState& state) {
        const MatrixView<Real> values = values_.view().row_range(0, count);
        sampler_->sample(static_cast<std::uint32_t>(first), values);
        const HostMatrix<double> moments = backend_->column_moments(values);
        for (Index i = 0; i < moments.size(); ++i)
            if (!std::isfinite(moments.data()[i]))
                throw Error(
                    ErrorCode::device_failure,
                    fmt::format("among networks {} to {} a kernel, or its fourth power, is not a finite number: the weight std lets "
                                "it grow out of range",
                                first, first + count - 1));
        state.moments.merge(count, moments);
        for (std::size_t h = 0; h < histograms_.size(); ++h) state.histograms[h].add(column(values, histograms_[h]));
        add_products(values, moments, state);
    }

private:
    std::vector<double> column(ConstMatrixView<Real> values, Index j) const {
        HostMatrix<Real> host(values.rows(), 1);
        backend_->download(values.col_range(j, 1), host.view());
        return {host.data(), host.data() + host.size()};
    }

    void add_products(ConstMatrixView<Real> values, const HostMatrix<double>& moments, EnsembleState& state) const {
        if (pairs_.empty()) return;
        if (state.centres.empty())
            for (const auto& [a, b] : pairs_) state.centres.insert(state.centres.end(), {moments(0, a), moments(0, b)});
        HostMatrix<double> products(values.rows(), 2 * std::ssize(pairs_));
        for (std::size_t p = 0; p < pairs_.size(); ++p) {
            const std::vector<double> a = column(values, pairs_[p].first), b = column(values, pairs_[p].second);
            const auto at = static_cast<Index>(2 * p);
            for (Index r = 0; r < values.rows(); ++r) {
                const double x = a[static_cast<std::size_t>(r)], y = b[static_cast<std::size_t>(r)];
                products(r, at) = (x - state.centres[2 * p]) * (y - state.centres[2 * p + 1]);
                products(r, at + 1) = x * y;
            }
        }
        state.products.merge(values.rows(), backend_->column_moments(upload(backend_, products).view()));
    }

    std::shared_ptr<Backend<Real>> backend_;
    std::unique_ptr<KernelSampler<Real>> sampler_;
    std::vector<Index> histograms_;
    std::vector<std::pair<Index, Index>> pairs_;
    Index chunk_ = 0;
    Matrix<Real> values_;
};

void check_fits(const EnsembleState& stored, const EnsembleState& empty, Index chunk, Index networks) {
    if (stored.moments.columns() != empty.moments.columns() || stored.products.columns() != empty.products.columns() ||
        stored.histograms.size() != empty.histograms.size() || stored.moments.count() % chunk != 0)
        throw Error(ErrorCode::io, "the stored ensemble is not of these kernels: remove it or start over");
    if (stored.moments.count() > networks)
        refuse(fmt::format("{} networks were asked for, and the stored ensemble holds {} already: ask for at least as many, or start over",
                           networks, stored.moments.count()));
}

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
    using Clock = std::chrono::steady_clock;
    require_ensemble_domains(options, x.rows());
    Gatherer<Real> gatherer(backend, x, options);
    EnsembleState state = gatherer.empty_state();
    if (store != nullptr)
        if (auto stored = store->load()) {
            check_fits(*stored, state, gatherer.chunk(), options.networks);
            state = std::move(*stored);
        }
    progress(state.moments.count(), options.networks);
    Index saved = state.moments.count();
    auto next_save = Clock::now();
    const auto save = [&] {
        if (store == nullptr || state.moments.count() == saved) return;
        const auto begin = Clock::now();
        store->save(state);
        saved = state.moments.count();
        const std::chrono::duration<double> taken = Clock::now() - begin;
        next_save = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::max(between_saves, taken / saving_share));
    };
    while (state.moments.count() + gatherer.chunk() <= options.networks) {
        if (progress.stop().stop_requested()) save();
        progress.check();
        gatherer.add(state.moments.count(), gatherer.chunk(), state);
        if (Clock::now() >= next_save) save();
        progress(state.moments.count(), options.networks);
    }
    save();
    progress.check();
    // What does not fill a chunk is not kept: a longer run draws it again within a whole one.
    if (const Index rest = options.networks - state.moments.count(); rest > 0) gatherer.add(state.moments.count(), rest, state);
    progress(options.networks, options.networks);
    return {options.sampler, x.rows(), std::move(state)};
}

#define NTKCUDA_INSTANTIATE(Real)                                                                                        \
    template Ensemble ensemble(const std::shared_ptr<Backend<Real>>&, const HostMatrix<double>&, const EnsembleOptions&, \
                               const Progress<Index, Index>&, EnsembleStore*)
NTKCUDA_INSTANTIATE(float);
NTKCUDA_INSTANTIATE(double);
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk
