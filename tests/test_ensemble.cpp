#include "support/devices.hpp"
#include "support/files.hpp"
#include "support/thread_ranks.hpp"

#include <ntkcuda/backend.hpp>
#include <ntkcuda/ensemble.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/random.hpp>

#include <gtest/gtest.h>

#include <cmath>

namespace ntk {
namespace {

using Kernel = KernelEntry::Kernel;
using testing::on_ranks;
using testing::TemporaryFolder;

EnsembleOptions ensemble_options(Index inputs, std::vector<Index> hidden, Index outputs, Sampler sampler, Index networks) {
    EnsembleOptions options;
    options.sampler.architecture.inputs = inputs;
    options.sampler.architecture.hidden = std::move(hidden);
    options.sampler.architecture.outputs = outputs;
    options.sampler.sampler = sampler;
    options.networks = networks;
    return options;
}

EnsembleLimit limit_of(const Architecture& architecture, const HostMatrix<double>& x) {
    const auto backend = make_backend<double>("cpu");
    const Matrix<double> uploaded = upload(backend, x);
    return {download(infinite_width_kernel(architecture, InfiniteKernel::ntk, uploaded)),
            download(infinite_width_kernel(architecture, InfiniteKernel::nngp, uploaded))};
}

/// Pairs Theta_oo, Theta_o'o' of the first sample, full block.
std::vector<std::pair<KernelEntry, KernelEntry>> output_pairs(Index outputs) {
    std::vector<std::pair<KernelEntry, KernelEntry>> pairs;
    for (Index o = 1; o < outputs; ++o) pairs.push_back({{Kernel::tangent, 0, 0, 0}, {Kernel::tangent, o, o, 0}});
    return pairs;
}

std::vector<Comparison> compare_on(const std::string& device, EnsembleOptions options, const HostMatrix<double>& x) {
    options.covariances = output_pairs(options.sampler.architecture.outputs);
    const Ensemble result = ensemble<double>(make_backend<double>(device), x, options);
    return compare_with_theory(result, x, limit_of(options.sampler.architecture, x), options.covariances);
}

struct Setting {
    Index inputs;
    std::vector<Index> hidden;
    Index outputs;
};
/// (L-1)/n <= 0.3, uneven widths and several outputs among them.
const Setting settings[] = {{2, {20}, 1},         {3, {16, 40}, 1}, {4, {30, 12, 25}, 1},    {2, {24, 24}, 3},
                            {5, {40, 20, 60}, 2}, {3, {10}, 4},     {2, {50, 33, 41, 60}, 1}};

class EnsembleMoments : public ::testing::TestWithParam<Sampler> {};

TEST_P(EnsembleMoments, AgreeWithExactTheory) {
    for (const Setting& s : settings) {
        const HostMatrix<double> x = host_normals({3, 0, 1}, 2, s.inputs);
        const auto comparisons = compare_on("cpu", ensemble_options(s.inputs, s.hidden, s.outputs, GetParam(), 200000), x);
        bool second_moment = false;
        for (const Comparison& c : comparisons) {
            if (!c.conclusive) continue;
            second_moment |= c.what == "E theta[0,0]^2";
            EXPECT_LT(std::fabs(c.z()), 4) << c.what << ": " << c.measured << " +- " << c.error << ", exact " << c.exact;
        }
        EXPECT_TRUE(second_moment) << "the second moment must be among what is concluded";
        EXPECT_TRUE(judge(comparisons).consistent()) << judge(comparisons).worst;
    }
}

// A recursion with 4 in place of 5 (what a wrong derivation would give) is caught by the same comparisons.
TEST_P(EnsembleMoments, AWrongConstantIsCaught) {
    const HostMatrix<double> x = host_normals({3, 0, 1}, 1, 2);
    const auto options = ensemble_options(2, {20, 20}, 1, GetParam(), 200000);
    auto comparisons = compare_on("cpu", options, x);
    ASSERT_TRUE(judge(comparisons).consistent());
    double a = 1, b = 1, c = 0, e = 1, f = 0;  // exact_moments.hpp
    for (const Index width : options.sampler.architecture.hidden) {
        const double n = static_cast<double>(width), a1 = a * (1 + 4 / n), b1 = b * (1 + 1 / n) + 4 * c / n;
        const double e1 = a1 + 2 * b1 + e * (1 + 1 / n) + 4 * f / n;
        f = 2 * e / n + f * (1 + 3 / n);
        e = e1;
        c = 2 * b / n + c * (1 + 3 / n);
        b = a1 + b1;
        a = a1;
    }
    bool replaced = false;
    for (Comparison& comparison : comparisons) {
        if (comparison.what != "E theta[0,0]^2") continue;
        comparison.exact *= (e + 2 * f) / (9 * (1 + diagonal_moments(options.sampler.architecture).variance()));
        EXPECT_TRUE(comparison.conclusive);
        replaced = true;
    }
    ASSERT_TRUE(replaced);
    EXPECT_FALSE(judge(comparisons).consistent());
    EXPECT_EQ(judge(comparisons).worst, "E theta[0,0]^2");
}

INSTANTIATE_TEST_SUITE_P(Samplers, EnsembleMoments, ::testing::Values(Sampler::weights, Sampler::conditional),
                         [](const auto& sampler) { return sampler.param == Sampler::weights ? "weights" : "conditional"; });

TEST(Ensemble, BlocksAndLayersAreOneLaw) {
    const HostMatrix<double> x = host_normals({3, 0, 1}, 2, 3);
    const auto backend = make_backend<double>("cpu");
    auto options = ensemble_options(3, {8, 6}, 2, Sampler::weights, 300);
    options.sampler.per_layer = true;
    const Ensemble full = ensemble<double>(backend, x, options);
    options.sampler.block = Block::trace;
    const Ensemble trace = ensemble<double>(backend, x, options);
    options.sampler.block = Block::diag;
    const Ensemble diag = ensemble<double>(backend, x, options);
    for (Index i = 0; i < 2; ++i) {
        for (Index o = 0; o < 2; ++o)
            EXPECT_NEAR(diag.at({Kernel::tangent, i, o, 0}).variance, full.at({Kernel::tangent, 2 * i + o, 2 * i + o, 0}).variance, 1e-12);
        for (Index j = 0; j < 2; ++j)
            EXPECT_NEAR(trace.at({Kernel::tangent, i, j, 0}).mean,
                        (full.at({Kernel::tangent, 2 * i, 2 * j, 0}).mean + full.at({Kernel::tangent, 2 * i + 1, 2 * j + 1, 0}).mean) / 2,
                        1e-12);
        EXPECT_EQ(trace.at({Kernel::nngp, i, 0, 0}).mean, full.at({Kernel::nngp, i, 0, 0}).mean);
    }
    double sum = 0;
    for (Index layer = 1; layer <= 3; ++layer) sum += full.at({Kernel::tangent, 3, 1, layer}).mean;
    EXPECT_NEAR(sum, full.at({Kernel::tangent, 3, 1, 0}).mean, 1e-12);
    const HostMatrix<double> mean = full.matrix(Kernel::tangent, &Statistics::mean);
    EXPECT_EQ(mean.rows(), 4);
    EXPECT_EQ(mean(1, 3), full.at({Kernel::tangent, 3, 1, 0}).mean);
    EXPECT_EQ(mean(3, 1), mean(1, 3));
    EXPECT_EQ(diag.matrix(Kernel::tangent, &Statistics::mean).cols(), 2);
}

void expect_same_state(const EnsembleState& a, const EnsembleState& b) {
    ASSERT_EQ(a.moments.count(), b.moments.count());
    const auto equal = [](const HostMatrix<double>& x, const HostMatrix<double>& y) {
        return x.size() == y.size() && std::equal(x.data(), x.data() + x.size(), y.data());
    };
    EXPECT_TRUE(equal(a.moments.values(), b.moments.values()));
    EXPECT_TRUE(equal(a.products.values(), b.products.values()));
    EXPECT_EQ(a.centres, b.centres);
    ASSERT_EQ(a.histograms.size(), b.histograms.size());
    for (std::size_t h = 0; h < a.histograms.size(); ++h) EXPECT_EQ(a.histograms[h].bins(), b.histograms[h].bins());
}

EnsembleOptions followed() {
    auto options = ensemble_options(2, {9, 7}, 1, Sampler::weights, 10000);
    options.histograms = {{Kernel::tangent, 1, 0, 0}, {Kernel::nngp, 0, 0, 0}};
    options.covariances = {{{Kernel::tangent, 0, 0, 0}, {Kernel::tangent, 1, 0, 0}}};
    return options;
}

TEST(Ensemble, ThreadsAndInterruptionsChangeNoBit) {
    const HostMatrix<double> x = host_normals({3, 0, 1}, 2, 2);
    const TemporaryFolder folder;
    const auto options = followed();
    const Ensemble straight = ensemble<double>(make_backend<double>("cpu", 2), x, options);
    expect_same_state(ensemble<double>(make_backend<double>("cpu", 1), x, options).state(), straight.state());
    // In three runs over one store: two whole chunks are kept, what is beyond is drawn again.
    const auto backend = make_backend<double>("cpu");
    const std::string parameters = ensemble_parameters(*backend, x, options);
    for (const Index networks : {5000, 9000, 10000}) {
        auto part = options;
        part.networks = networks;
        const auto store = open_ensemble_store(folder.path("state"), parameters);
        Index found = -1;
        const Ensemble result = ensemble<double>(
            backend, x, part,
            [&](Index done, Index) {
                if (found < 0) found = done;
            },
            store.get());
        EXPECT_EQ(found, networks == 5000 ? 0 : networks == 9000 ? 4096 : 8192);
        if (networks == 10000) expect_same_state(result.state(), straight.state());
    }
    auto fewer = options;
    fewer.networks = 100;
    const auto store = open_ensemble_store(folder.path("state"), parameters);
    EXPECT_THROW((void)ensemble<double>(backend, x, fewer, {}, store.get()), Error);
    EXPECT_THROW((void)open_ensemble_store(folder.path("state"), parameters + "more = 1\n"), Error);
}

TEST(Ensemble, SeveralWorkersAndRanksChangeNoBit) {
    const HostMatrix<double> x = host_normals({3, 0, 1}, 2, 2);
    auto options = followed();
    options.networks = 30000;  // seven chunks and a rest
    const auto one = make_backend<double>("cpu", 1);
    const Ensemble straight = ensemble<double>(one, x, options);
    const auto workers = [](int count, Ranks& ranks) {
        std::vector<std::shared_ptr<Backend<double>>> backends;
        for (int i = 0; i < count; ++i) backends.push_back(make_backend<double>("cpu", 1));
        return Workers<double>(backends, ranks);
    };
    for (const int ranks : {1, 3})
        for (const int each : {1, 2}) {
            SCOPED_TRACE(::testing::Message() << ranks << " ranks of " << each << " workers");
            on_ranks(ranks,
                     [&](Ranks& rank) { expect_same_state(ensemble(workers(each, rank), x, options).state(), straight.state()); });
        }
    // Over one store of the root: three ranks, stopped in the middle; one; two.
    const TemporaryFolder folder;
    const std::string parameters = ensemble_parameters(*one, x, options);
    const auto run = [&](int ranks, Index networks, Index stop_at) {
        auto part = options;
        part.networks = networks;
        std::optional<EnsembleState> state;
        on_ranks(ranks, [&](Ranks& rank) {
            const auto store = rank.root() ? open_ensemble_store(folder.path("state"), parameters) : nullptr;
            std::stop_source stop;
            const auto progress = [&](Index done, Index) {
                if (done >= stop_at) stop.request_stop();
            };
            const Ensemble result = ensemble(workers(1, rank), x, part, {progress, stop.get_token()}, store.get());
            if (rank.root()) state = result.state();
        });
        return state;
    };
    EXPECT_THROW(run(3, 30000, 8192), Error);
    EXPECT_GE(open_ensemble_store(folder.path("state"), parameters)->load()->moments.count(), 8192);
    (void)run(1, 29000, 40000);
    expect_same_state(*run(2, 30000, 40000), straight.state());
}

TEST(Ensemble, CovariancesAreThoseOfTheValues) {
    const HostMatrix<double> x = host_normals({3, 0, 1}, 2, 2);
    const auto options = followed();
    const auto backend = make_backend<double>("cpu");
    const Ensemble result = ensemble<double>(backend, x, options);
    const auto sampler = backend->kernel_sampler(options.sampler, upload(backend, x).view());
    Matrix<double> values(backend, options.networks, sampler->layout().columns());
    sampler->sample(0, values.view());
    const HostMatrix<double> v = download(values);
    long double a = 0, b = 0, ab = 0, centred = 0;
    const auto n = static_cast<long double>(v.rows());
    for (Index i = 0; i < v.rows(); ++i) {
        a += v(i, 0) / n;
        b += v(i, 1) / n;
        ab += static_cast<long double>(v(i, 0)) * v(i, 1) / n;
    }
    for (Index i = 0; i < v.rows(); ++i) centred += (v(i, 0) - a) * (v(i, 1) - b) / (n - 1);
    const Covariance found = result.covariance(0, options.covariances[0]);
    EXPECT_NEAR(found.value, static_cast<double>(centred), 1e-12 * std::fabs(static_cast<double>(centred)));
    EXPECT_NEAR(found.product, static_cast<double>(ab), 1e-12 * std::fabs(static_cast<double>(ab)));
    EXPECT_EQ(result.state().histograms[0].count(), 10000u);
}

TEST(Ensemble, EntriesHaveNames) {
    for (const char* name : {"theta[4,0]", "theta[4,0].layer2", "nngp[1,0]"}) EXPECT_EQ(to_string(parse_kernel_entry(name)), name);
    for (const char* wrong : {"", "theta", "theta[1]", "theta[1,-1]", "theta[1,0]x", "nngp[1,0].layer1", "theta[1,0].layer0", "Theta[0,0]"})
        EXPECT_THROW((void)parse_kernel_entry(wrong), Error) << wrong;
    const Ensemble one(ensemble_options(2, {3}, 1, Sampler::weights, 2).sampler, 2, {});
    EXPECT_EQ(one.column({Kernel::tangent, 0, 1, 0}), one.column({Kernel::tangent, 1, 0, 0}));
    EXPECT_THROW((void)one.column({Kernel::tangent, 2, 0, 0}), Error);
    EXPECT_THROW((void)one.column({Kernel::tangent, 1, 0, 1}), Error);
}

TEST(Ensemble, RefusesWhatItCannotDo) {
    const auto backend = make_backend<double>("cpu");
    const HostMatrix<double> x = host_normals({3, 0, 1}, 2, 2);
    EXPECT_THROW((void)ensemble<double>(backend, x, ensemble_options(2, {3}, 1, Sampler::weights, 1)), Error);
    auto huge = ensemble_options(2, {3, 3, 3}, 1, Sampler::weights, 10);
    huge.sampler.architecture.weight_std = 1e70;
    try {
        (void)ensemble<double>(backend, x, huge);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), ErrorCode::device_failure);
    }
}

TEST(Ensemble, ChunksDependOnTheEntriesAlone) {
    EXPECT_EQ(ensemble_chunk(6), 4096);
    EXPECT_EQ(ensemble_chunk(1000), 1024);
    EXPECT_EQ(ensemble_chunk(5000000), 1);
}

// A linear model is not random, and means with one hidden layer are those of the limit for any activation.
TEST(EnsembleTheory, KnowsWhatDoesNotFluctuate) {
    const HostMatrix<double> x = host_normals({3, 0, 1}, 3, 2);
    EXPECT_TRUE(compare_on("cpu", ensemble_options(2, {}, 1, Sampler::weights, 100), x).empty());
    auto erf = ensemble_options(2, {5}, 1, Sampler::weights, 20000);
    erf.sampler.architecture.activation.kind = Activation::Kind::erf;
    erf.sampler.architecture.biases = Biases::trained;
    erf.sampler.architecture.bias_std = 0.3;
    const auto comparisons = compare_on("cpu", erf, x);
    EXPECT_EQ(comparisons.size(), 12u);
    EXPECT_TRUE(judge(comparisons).consistent()) << judge(comparisons).largest_z;
    erf.sampler.architecture.hidden = {5, 5};
    EXPECT_TRUE(compare_on("cpu", erf, x).empty());
}

TEST(EnsembleTheory, SaysWhereTailsAreTooHeavy) {
    const HostMatrix<double> x = host_normals({3, 0, 1}, 1, 2);
    const auto comparisons = compare_on("cpu", ensemble_options(2, {3, 3, 3}, 1, Sampler::weights, 3000), x);
    for (const Comparison& c : comparisons) EXPECT_FALSE(c.conclusive && c.what.ends_with("^2")) << c.what;
    EXPECT_GT(judge(comparisons).inconclusive, 0);
}

TEST(EnsembleTheory, AVerdictCountsItsComparisons) {
    std::vector<Comparison> comparisons(1000);
    for (Comparison& c : comparisons) c = {"x", 1, 1, 0, 1000, true};
    comparisons[3].measured = 3.5;  // 4.7e-4 alone, likely among a thousand
    EXPECT_TRUE(judge(comparisons).consistent());
    EXPECT_NEAR(judge(comparisons).probability, 1 - std::pow(1 - std::erfc(3.5 / std::sqrt(2.0)), 1000), 1e-12);
    EXPECT_FALSE(judge({comparisons[3]}).consistent());
    comparisons[3].conclusive = false;
    EXPECT_EQ(judge({comparisons[3]}).comparisons, 0);
    comparisons[3] = {"x", NAN, 1, 0, 1000, true};
    EXPECT_FALSE(judge(comparisons).consistent());
}

TEST(EnsembleTheory, FitsTheLeadingCoefficient) {
    const std::vector<Index> widths{10, 20, 40, 80};
    std::vector<Statistics> entry(4);
    for (std::size_t i = 0; i < 4; ++i) {
        const double u = 1 / static_cast<double>(widths[i]);
        entry[i].mean = 3 * (1 + 0.7 * u - 1.5 * u * u);
        entry[i].mean_error = 1e-3 * (1 + u);
    }
    const auto fit = fit_width(widths, entry, 3);
    ASSERT_TRUE(fit);
    EXPECT_NEAR(fit->coefficient, 0.7, 1e-10);
    EXPECT_NEAR(fit->chi_squared, 0, 1e-6);
    EXPECT_EQ(fit->freedom, 2);
    // Its error: the same fit of one mean moved by its error, added in squares.
    double squares = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        auto moved = entry;
        moved[i].mean += moved[i].mean_error;
        squares += std::pow(fit_width(widths, moved, 3)->coefficient - fit->coefficient, 2);
    }
    EXPECT_NEAR(fit->error / std::sqrt(squares), 1, 1e-8);
    EXPECT_FALSE(fit_width({10}, {entry[0]}, 3));
    EXPECT_FALSE(fit_width(widths, entry, 0));
    EXPECT_EQ(fit_width({10, 20}, {entry[0], entry[1]}, 3)->terms, 1);
}

// The device's ensemble of the same networks: the same moments but for rounding.
TEST(EnsembleConformance, EveryDeviceGathersTheSame) {
    NTKCUDA_NEEDS_CUDA();
    const HostMatrix<double> x = host_normals({3, 0, 1}, 2, 2);
    auto options = followed();
    options.networks = 60;
    const Ensemble cpu = ensemble<double>(make_backend<double>("cpu"), x, options);
    const Ensemble cuda = ensemble<double>(make_backend<double>("cuda:0"), x, options);
    for (const KernelEntry& entry : cpu.entries()) {
        const Statistics a = cpu.at(entry), b = cuda.at(entry);
        EXPECT_NEAR(b.mean, a.mean, 1e-13 * std::fabs(a.mean));
        EXPECT_NEAR(b.variance, a.variance, 1e-12 * a.variance);
        EXPECT_NEAR(b.kurtosis, a.kurtosis, 1e-11 * a.kurtosis);
    }
    EXPECT_NEAR(cuda.covariance(0, options.covariances[0]).value, cpu.covariance(0, options.covariances[0]).value, 1e-12);
}

}  // namespace
}  // namespace ntk
