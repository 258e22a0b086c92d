#include <ntkcuda/compare.hpp>

#include "compare_statistics.hpp"
#include "state_folder.hpp"
#include "sweep_rounds.hpp"

#include <ntkcuda/gram.hpp>
#include <ntkcuda/metrics.hpp>
#include <ntkcuda/version.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ntk {

Architecture architecture_of_cell(const CompareOptions& options, Index inputs, Index depth, Index width) {
    Architecture architecture = options.base;
    architecture.inputs = inputs;
    architecture.hidden.assign(static_cast<std::size_t>(depth - 1), width);
    return architecture;
}

namespace {

/// Every how many-th row is kept of a rows x cols kernel.
Index sample_step(Index rows, Index cols) {
    const Index kept = std::clamp<Index>(sampled_entries / cols, 1, rows);
    return (rows + kept - 1) / kept;
}

/// Rows 0, step, 2 step, .. on the host, in float64.
template <class Real>
HostMatrix<double> sample_rows(const Matrix<Real>& kernel) {
    const Index step = sample_step(kernel.rows(), kernel.cols()), rows = (kernel.rows() + step - 1) / step;
    HostMatrix<Real> sample(rows, kernel.cols());
    kernel.backend()->download({kernel.view().data(), rows, kernel.cols(), step * kernel.view().stride()}, sample.view());
    return sample.template cast<double>();
}

template <class Real>
HostMatrix<double> diagonal_of(const Matrix<Real>& kernel) {
    Matrix<Real> diagonal(kernel.backend(), kernel.rows(), 1);
    kernel.backend()->diagonal(kernel.view(), diagonal.view());
    return download(diagonal).template cast<double>();
}

double frobenius(const HostMatrix<double>& x) { return std::sqrt(std::inner_product(x.data(), x.data() + x.size(), x.data(), 0.0)); }

/// One block of the limit, and how far a finite kernel is from it.
template <class Real>
class LimitBlock {
public:
    LimitBlock(const char* name, Matrix<Real> kernel) : name_(name), kernel_(std::move(kernel)) {
        norms_ = kernel_.backend()->norms(kernel_.view());
        sample_ = sample_rows(kernel_);
        sample_norm_ = frobenius(sample_);
        if (!norms_.finite || !(sample_norm_ > 0))
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("compare: the infinite-width {} kernel is zero or not finite, so nothing is relative to it", name_));
    }

    [[nodiscard]] const Matrix<Real>& kernel() const { return kernel_; }

    void measure(const Matrix<Real>& finite, double& relative, double& largest, std::vector<float>& sample) const {
        const Norms difference = finite.backend()->difference_norms(finite.view(), kernel_.view());
        if (!difference.finite)
            throw Error(ErrorCode::device_failure, fmt::format("compare: the {} kernel of a finite network is not finite", name_));
        relative = difference.frobenius / norms_.frobenius;
        largest = difference.max_abs / norms_.max_abs;
        const HostMatrix<double> rows = sample_rows(finite);
        sample.resize(static_cast<std::size_t>(rows.size()));
        for (Index e = 0; e < rows.size(); ++e)
            sample[static_cast<std::size_t>(e)] = static_cast<float>((rows.data()[e] - sample_.data()[e]) / sample_norm_);
    }

private:
    const char* name_;
    Matrix<Real> kernel_;
    Norms norms_;
    HostMatrix<double> sample_;
    double sample_norm_ = 0;
};

/// What a worker measures networks with, on its device.
template <class Real>
class Meter {
public:
    Meter(const std::shared_ptr<Backend<Real>>& backend, const Dataset& train, const Dataset& test, const CompareOptions& options)
        : backend_(backend), test_(test), options_(options), x_(upload(backend, train.x)), x_test_(upload(backend, test.x)) {
        if (train.has_targets()) y_ = upload(backend, train.y);
    }

    [[nodiscard]] NetworkRecord measure(Index depth, Index width, Index network, const std::stop_token& stop) {
        prepare_limit(depth, width);
        return measure_prepared(depth, width, network, stop);
    }

private:
    /// Makes the limit of this depth the one that networks are measured against.
    void prepare_limit(Index depth, Index width) {
        // Only the standard parametrization has a kernel that grows with the width.
        const Index limit_width = options_.base.parametrization == Parametrization::standard ? width : 0;
        if (depth == limit_depth_ && limit_width == limit_width_) return;
        train_limit_.reset();  // before the next ones are allocated
        test_limit_.reset();
        const Architecture architecture = architecture_of_cell(options_, x_.cols(), depth, width);
        test_limit_.emplace("test x train", infinite_width_kernel(architecture, InfiniteKernel::ntk, x_test_, x_));
        train_limit_.emplace("train x train", infinite_width_kernel(architecture, InfiniteKernel::ntk, x_));
        limit_diagonal_ = diagonal_of(train_limit_->kernel());
        limit_depth_ = depth;
        limit_width_ = limit_width;
        if (y_.empty()) return;
        Matrix<Real> kernel(backend_, x_.rows(), x_.rows());
        backend_->copy(train_limit_->kernel().view(), kernel.view());
        try {
            limit_prediction_ = predict(std::move(kernel), test_limit_->kernel());
        } catch (const Error& error) {
            throw Error(error.code(), fmt::format("compare: the infinite-width kernel of depth {}: {}", depth, error.what()));
        }
        limit_norm_ = frobenius(limit_prediction_);
        if (!(limit_norm_ > 0))
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("compare: the limit of depth {} predicts zero everywhere, so no distance is relative to it", depth));
    }

    [[nodiscard]] NetworkRecord measure_prepared(Index depth, Index width, Index network, const std::stop_token& stop) const {
        NetworkRecord record;
        NetworkErrors& errors = record.errors;
        errors.depth = depth;
        errors.width = width;
        errors.network = network;
        const Network<Real> drawn = draw_network(backend_, architecture_of_cell(options_, x_.cols(), depth, width), options_.seed,
                                                 static_cast<std::uint32_t>(network));
        // The cross kernel first: its passes are the larger ones, and the n x n kernel is not there yet.
        const Matrix<Real> cross = empirical_ntk(drawn, x_test_.view(), x_.view(), {}, stop);
        test_limit_->measure(cross, errors.test_relative, errors.test_largest, record.test_sample);
        Matrix<Real> kernel = empirical_ntk(drawn, x_.view(), {}, stop);
        train_limit_->measure(kernel, errors.train_relative, errors.train_largest, record.train_sample);
        measure_diagonal(kernel, record);
        if (y_.empty()) return record;
        errors.limit_score = score(limit_prediction_);
        try {
            HostMatrix<double> prediction = predict(std::move(kernel), cross);
            errors.score = score(prediction);
            for (Index e = 0; e < prediction.size(); ++e) prediction.data()[e] -= limit_prediction_.data()[e];
            errors.predictor_distance = frobenius(prediction) / limit_norm_;
        } catch (const Error& error) {
            if (error.code() != ErrorCode::not_positive_definite) throw;
            errors.failure = error.what();
        }
        return record;
    }

    void measure_diagonal(const Matrix<Real>& kernel, NetworkRecord& record) const {
        const HostMatrix<double> diagonal = diagonal_of(kernel);
        const Index step = sample_step(diagonal.rows(), 1);
        double deviations = 0, squares = 0;
        Index counted = 0;
        for (Index i = 0; i < diagonal.rows(); ++i) {
            if (limit_diagonal_(i, 0) == 0) continue;  // x = 0: the kernel is 0 there in every network
            const double deviation = (diagonal(i, 0) - limit_diagonal_(i, 0)) / limit_diagonal_(i, 0);
            deviations += deviation;
            squares += deviation * deviation;
            if (counted++ % step == 0) record.diagonal.push_back(static_cast<float>(deviation));
        }
        record.errors.diagonal_mean = 1 + deviations / static_cast<double>(counted);
        record.errors.diagonal_square = squares / static_cast<double>(counted);
    }

    [[nodiscard]] HostMatrix<double> predict(Matrix<Real> kernel, const Matrix<Real>& cross) const {
        return download(KernelSystem<Real>(std::move(kernel), options_.ridge).predict(cross, y_)).template cast<double>();
    }

    [[nodiscard]] std::optional<double> score(const HostMatrix<double>& prediction) const {
        if (test_.classification()) return accuracy(prediction, test_);
        if (test_.has_targets()) return rmse(prediction, test_.y);
        return std::nullopt;
    }

    std::shared_ptr<Backend<Real>> backend_;
    const Dataset& test_;
    const CompareOptions& options_;
    Matrix<Real> x_, x_test_, y_;
    Index limit_depth_ = 0, limit_width_ = 0;
    std::optional<LimitBlock<Real>> train_limit_, test_limit_;
    HostMatrix<double> limit_prediction_, limit_diagonal_;
    double limit_norm_ = 0;
};

}  // namespace

void require_compare_domains(const Dataset& train, const Dataset& test, const CompareOptions& options) {
    const auto refuse = [](const std::string& message) { throw Error(ErrorCode::invalid_argument, "compare: " + message); };
    const auto require_list = [&](const char* name, const std::vector<Index>& values, Index least) {
        if (values.empty()) refuse(fmt::format("{}: the list is empty", name));
        for (auto value = values.begin(); value != values.end(); ++value) {
            if (*value < least) refuse(fmt::format("{}: {} is less than {}", name, *value, least));
            if (std::find(values.begin(), value, *value) != value) refuse(fmt::format("{}: {} is there twice", name, *value));
        }
    };
    require_list("depths", options.depths, 2);
    require_list("widths", options.widths, 1);
    if (options.seeds < 3)
        refuse(fmt::format("seeds: {} networks are too few to tell bias from fluctuation, 3 are the least", options.seeds));
    if (options.seeds > std::numeric_limits<std::uint32_t>::max()) refuse("seeds: more than 2^32 - 1 networks");
    if (train.samples() == 0 || test.samples() == 0) refuse("there are no training samples or no test samples");
    if (train.features() != test.features())
        refuse(fmt::format("training samples have {} features, test samples {}", train.features(), test.features()));
    if (train.has_targets() && test.has_targets() && train.y.cols() != test.y.cols())
        refuse(fmt::format("training samples have {} targets, test samples {}", train.y.cols(), test.y.cols()));
    architecture_of_cell(options, train.features(), 2, options.widths.front()).validate();
}

namespace {

KernelError block_error(const std::vector<NetworkRecord>& records, double NetworkErrors::*relative, double NetworkErrors::*largest,
                        std::vector<float> NetworkRecord::*sample) {
    std::vector<double> relatives, largests;
    std::vector<std::vector<float>> samples;
    for (const NetworkRecord& record : records) {
        relatives.push_back(record.errors.*relative);
        largests.push_back(record.errors.*largest);
        samples.push_back(record.*sample);
    }
    return summarize(relatives, largests, samples);
}

CompareCell cell_of(const std::vector<NetworkRecord>& records, const Architecture& architecture) {
    CompareCell cell;
    cell.depth = records.front().errors.depth;
    cell.width = records.front().errors.width;
    cell.limit_score = records.front().errors.limit_score;
    cell.train = block_error(records, &NetworkErrors::train_relative, &NetworkErrors::train_largest, &NetworkRecord::train_sample);
    cell.test = block_error(records, &NetworkErrors::test_relative, &NetworkErrors::test_largest, &NetworkRecord::test_sample);
    const bool exact = has_exact_moments(architecture);
    const SquaredEstimate variance = diagonal_variance(records, exact);
    cell.diagonal_variance = variance.value;
    cell.diagonal_variance_error = variance.standard_error;
    if (exact) cell.diagonal_variance_exact = diagonal_moments(architecture).variance(architecture.outputs);
    std::vector<double> distances, scores;
    for (const NetworkRecord& record : records) {
        const NetworkErrors& errors = record.errors;
        if (errors.predictor_distance) distances.push_back(*errors.predictor_distance);
        if (errors.score) scores.push_back(*errors.score);
        if (errors.failure.empty()) continue;
        if (cell.failures++ == 0) cell.failure = fmt::format("network {}: {}", errors.network, errors.failure);
    }
    if (distances.size() >= 2) cell.predictor_distance = spread(distances);
    if (scores.size() >= 2) cell.score = spread(scores);
    return cell;
}

DepthSlopes slopes_of(Index depth, const std::vector<CompareCell>& cells) {
    const auto fit = [&](KernelError CompareCell::*block, bool bias) {
        std::vector<SlopePoint> points;
        for (const CompareCell& cell : cells) {
            const KernelError& error = cell.*block;
            const auto width = static_cast<double>(cell.width);
            if (cell.depth != depth) continue;
            if (!bias) points.push_back({width, error.fluctuation, error.fluctuation_error});
            if (bias && error.bias_resolved) points.push_back({width, error.bias, error.bias_error});
        }
        // The order of the widths is the caller's; that of the sums is not.
        std::sort(points.begin(), points.end(), [](const SlopePoint& a, const SlopePoint& b) { return a.width < b.width; });
        return fit_slope(points);
    };
    return {depth, fit(&CompareCell::train, false), fit(&CompareCell::train, true), fit(&CompareCell::test, false),
            fit(&CompareCell::test, true)};
}

/// The networks of a sweep by one number, depth-major.
struct NetworkOf {
    NetworkOf(const CompareOptions& options, Index item)
        : network(item % options.seeds),
          depth(options.depths[static_cast<std::size_t>(item / options.seeds) / options.widths.size()]),
          width(options.widths[static_cast<std::size_t>(item / options.seeds) % options.widths.size()]) {}
    Index network, depth, width;
};

Index networks_of(const CompareOptions& options) {
    return static_cast<Index>(options.depths.size() * options.widths.size()) * options.seeds;
}

/// The result as records come in.
class Collected {
public:
    Collected(const CompareOptions& options, const Dataset& train, const Dataset& test) : options_(options), inputs_(train.features()) {
        result.classification = test.classification();
    }

    void add(NetworkRecord record) {
        const Index depth = record.errors.depth, width = record.errors.width;
        result.networks.push_back(record.errors);
        cell_.push_back(std::move(record));
        if (std::ssize(cell_) < options_.seeds) return;
        result.cells.push_back(cell_of(cell_, architecture_of_cell(options_, inputs_, depth, width)));
        cell_.clear();
        if (result.cells.size() % options_.widths.size() == 0) result.slopes.push_back(slopes_of(depth, result.cells));
    }

    CompareResult result;

private:
    const CompareOptions& options_;
    Index inputs_;
    std::vector<NetworkRecord> cell_;  ///< of the cell that is being filled
};

}  // namespace

template <class Archive, class Value>
requires std::same_as<std::remove_const_t<Value>, NetworkRecord>
void fields(Archive& archive, Value& record) {
    auto& e = record.errors;
    archive(e.depth, e.width, e.network, e.train_relative, e.test_relative, e.train_largest, e.test_largest, e.diagonal_mean,
            e.diagonal_square, e.predictor_distance, e.score, e.limit_score, e.failure);
    archive(record.train_sample, record.test_sample, record.diagonal);
}

template <class Real>
CompareResult compare(const std::shared_ptr<Backend<Real>>& backend, const Dataset& train, const Dataset& test,
                      const CompareOptions& options, const Progress<Index, Index>& progress, CompareStore* store) {
    return compare(Workers<Real>(backend), train, test, options, progress, store);
}

template <class Real>
CompareResult compare(const Workers<Real>& workers, const Dataset& train, const Dataset& test, const CompareOptions& options,
                      const Progress<Index, Index>& progress, CompareStore* store) {
    require_compare_domains(train, test, options);
    const Team team(workers);
    const bool saves = store != nullptr && workers.ranks().root();
    std::vector<std::unique_ptr<Meter<Real>>> meters(workers.backends().size());
    Collected collected(options, train, test);
    SweepWork<NetworkRecord> work;
    work.items = networks_of(options);
    if (store != nullptr)
        work.find = [&](Index item) {
            const NetworkOf which(options, item);
            return store->load(which.depth, which.width, which.network);
        };
    work.compute = [&](std::size_t worker, Index item, const std::stop_token& stop) {
        const NetworkOf which(options, item);
        auto& meter = meters[worker];
        if (!meter) meter = std::make_unique<Meter<Real>>(workers.backends()[worker], train, test, options);
        return meter->measure(which.depth, which.width, which.network, stop);
    };
    work.collect = [&](Index item, NetworkRecord record, bool found) {
        if (saves && !found) store->save(record);
        collected.add(std::move(record));
        progress(item + 1, work.items);
    };
    SweepRounds<NetworkRecord>(team, work, progress.stop()).run();
    return std::move(collected.result);
}

template <class Real>
std::string compare_parameters(const std::shared_ptr<Backend<Real>>& backend, const Dataset& train, const Dataset& test,
                               const CompareOptions& options) {
    const auto biases = [](Biases b) { return b == Biases::none ? "none" : b == Biases::fixed ? "fixed" : "trained"; };
    const Architecture& base = options.base;
    std::string text;
    const auto add = [&](const char* name, const auto& value) { text += fmt::format("{} = {}\n", name, value); };
    add("version", NTKCUDA_VERSION);
    add("device", backend->info().kind == DeviceKind::cpu ? "cpu" : "cuda");
    add("precision", sizeof(Real) == sizeof(double) ? "fp64" : "fp32");
    add("activation", to_string(base.activation));
    add("w-std", base.weight_std);
    add("b-std", base.bias_std);
    add("biases", biases(base.biases));
    add("param", base.parametrization == Parametrization::ntk ? "ntk" : "standard");
    add("outputs", base.outputs);
    add("seed", options.seed);
    add("ridge", options.ridge);
    add("training samples", data_checksum(train.x));
    add("training targets", data_checksum(train.y));
    add("test samples", data_checksum(test.x));
    add("test targets", data_checksum(test.y));
    add("task", test.classification() ? "classification" : "regression");
    add("record format", 2);  // 2: with the diagonal
    return text;
}

std::uint64_t compare_peak_bytes(const CompareOptions& options, Index train_samples, Index test_samples, Index features, Index targets,
                                 std::size_t real_bytes) {
    std::uint64_t peak = 0;
    const Index n = train_samples, t = test_samples, outputs = options.base.outputs;
    for (const Index depth : options.depths)
        for (const Index width : options.widths) {
            const Architecture a = architecture_of_cell(options, features, depth, width);
            std::uint64_t network = 0;
            for (Index l = 1; l <= depth; ++l) network += static_cast<std::uint64_t>(a.width(l) * (a.width(l - 1) + 1));
            // Of each sample: z and a of every hidden layer, the output, and two deltas while the backward pass steps.
            const auto pass = static_cast<std::uint64_t>(2 * (depth - 1) * width + outputs + 2 * outputs * width);
            const auto samples = static_cast<std::uint64_t>(n), tests = static_cast<std::uint64_t>(t);
            const std::uint64_t data =
                (samples + tests) * static_cast<std::uint64_t>(features) + 2 * (samples + tests) * static_cast<std::uint64_t>(targets);
            const std::uint64_t limit = samples * samples + tests * samples;
            const std::uint64_t cross = tests * samples + (samples + tests) * pass;
            const std::uint64_t square = tests * samples + samples * samples + samples * pass;
            peak = std::max(peak, data + limit + network + std::max(cross, square));
        }
    return peak * real_bytes;
}

template CompareResult compare(const std::shared_ptr<Backend<float>>&, const Dataset&, const Dataset&, const CompareOptions&,
                               const Progress<Index, Index>&, CompareStore*);
template CompareResult compare(const std::shared_ptr<Backend<double>>&, const Dataset&, const Dataset&, const CompareOptions&,
                               const Progress<Index, Index>&, CompareStore*);
template CompareResult compare(const Workers<float>&, const Dataset&, const Dataset&, const CompareOptions&, const Progress<Index, Index>&,
                               CompareStore*);
template CompareResult compare(const Workers<double>&, const Dataset&, const Dataset&, const CompareOptions&, const Progress<Index, Index>&,
                               CompareStore*);
template std::string compare_parameters(const std::shared_ptr<Backend<float>>&, const Dataset&, const Dataset&, const CompareOptions&);
template std::string compare_parameters(const std::shared_ptr<Backend<double>>&, const Dataset&, const Dataset&, const CompareOptions&);

}  // namespace ntk
