// Long work reports and stops: every function with an argument `progress`.

#include <ntkcuda/compare.hpp>
#include <ntkcuda/depth_limit.hpp>
#include <ntkcuda/ensemble.hpp>
#include <ntkcuda/how_deep.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/verify.hpp>

#include <gtest/gtest.h>

#include <thread>

namespace ntk {
namespace {

template <class Work>
void expect_cancelled(const Work& work) {
    try {
        work();
        ADD_FAILURE() << "the work went on to its end";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::cancelled) << error.what();
    }
}

std::stop_token already_stopped() {
    std::stop_source source;
    source.request_stop();
    return source.get_token();
}

std::shared_ptr<Backend<double>> cpu() { return make_backend<double>("cpu"); }

Dataset sphere(const std::string& source) {
    Dataset data = load_data({.source = source});
    normalize(Normalization::sphere, data);
    return data;
}

CompareOptions small_sweep() {
    CompareOptions options;
    options.depths = {2, 3};
    options.widths = {4, 8};
    options.seeds = 3;
    return options;
}

TEST(Progress, CountsEveryLayerOfAKernel) {
    const auto backend = cpu();
    const auto network = draw_network(backend, {.inputs = 4, .hidden = {8, 8, 8}}, 1);
    const Matrix<double> x = upload(backend, sphere("sphere:n=3,d=4,seed=1").x);
    std::vector<Index> layers;
    (void)empirical_ntk(network, x, {}, [&](Index done, Index total) {
        EXPECT_EQ(total, 4);
        layers.push_back(done);
    });
    EXPECT_EQ(layers, (std::vector<Index>{1, 2, 3, 4}));
}

/// Parts do not show in the entries, each of which is that of a kernel of its two samples.
TEST(Progress, ALimitingKernelComesInPartsOfItsRows) {
    const auto backend = cpu();
    const Index n = 6000, m = 4000;
    const Architecture architecture{.inputs = 3, .hidden = {1}};
    const Matrix<double> x = upload(backend, sphere("sphere:n=6000,d=3,seed=1").x),
                         z = upload(backend, sphere("sphere:n=4000,d=3,seed=2").x);
    std::vector<Index> parts;
    const auto count = [&](Index done, Index total) {
        EXPECT_EQ(total, 2);
        parts.push_back(done);
    };
    const HostMatrix<double> square = download(infinite_width_kernel(architecture, InfiniteKernel::ntk, x, count));
    const HostMatrix<double> cross = download(infinite_width_kernel(architecture, InfiniteKernel::ntk, x, z, count));
    EXPECT_EQ(parts, (std::vector<Index>{1, 2, 1, 2}));
    const auto entry = [&](ConstMatrixView<double> a, ConstMatrixView<double> b) {
        HostMatrix<double> value(1, 1);
        infinite_width_kernel_into(value.view(), backend, architecture, InfiniteKernel::ntk, a, b);
        return value(0, 0);
    };
    for (const Index i : {Index{0}, Index{1}, Index{4241}, Index{4242}, Index{4300}, n - 1})
        for (const Index j : {Index{0}, Index{63}, Index{2000}, m - 1}) {
            EXPECT_DOUBLE_EQ(square(i, j), entry(x.view().row_range(i, 1), x.view().row_range(j, 1))) << i << ", " << j;
            EXPECT_EQ(square(i, j), square(j, i));
            EXPECT_DOUBLE_EQ(cross(i, j), entry(x.view().row_range(i, 1), z.view().row_range(j, 1))) << i << ", " << j;
        }
    std::stop_source stop;
    expect_cancelled([&] {
        (void)infinite_width_kernel(architecture, InfiniteKernel::ntk, x, {[&](Index, Index) { stop.request_stop(); }, stop.get_token()});
    });
}

TEST(Progress, EveryLongWorkStopsBeforeItBegins) {
    const auto backend = cpu();
    const Dataset data = sphere("sphere:n=4,d=3,seed=1");
    const KernelFamily family;
    const std::vector<long double> angles{0.5L};
    DepthOptions depths;
    depths.depths = {10};
    EnsembleOptions networks;
    networks.sampler.architecture = {.inputs = 3, .hidden = {4}};
    networks.networks = 10;
    const auto network = draw_network(backend, {.inputs = 3, .hidden = {4}}, 1);
    expect_cancelled([&] { (void)empirical_ntk(network, data.x.view(), {}, already_stopped()); });
    expect_cancelled([&] { (void)compare(backend, data, data, small_sweep(), already_stopped()); });
    expect_cancelled([&] { (void)depth_limit(backend, data, nullptr, depths, already_stopped()); });
    expect_cancelled([&] { (void)ensemble(backend, data.x, networks, already_stopped()); });
    expect_cancelled([&] { (void)how_deep(std::span(&family, 1), 1, angles, 100, already_stopped()); });
    expect_cancelled([&] { (void)verify({.device = "cpu", .networks = 4000}, verify_constants(), already_stopped()); });
}

TEST(Progress, ACallbackMayEndTheWorkAtItsNextStep) {
    const Dataset data = sphere("sphere:n=4,d=3,seed=1");
    std::stop_source stop;
    Index last = 0;
    expect_cancelled([&] {
        (void)compare(cpu(), data, data, small_sweep(),
                      {[&](Index done, Index total) {
                           EXPECT_EQ(total, 12);
                           last = done;
                           if (done == 5) stop.request_stop();
                       },
                       stop.get_token()});
    });
    EXPECT_EQ(last, 5);
}

TEST(Progress, AStopDuringTheLayersOfADepthStudyDoesNotWaitForTheDepth) {
    const Dataset data = sphere("sphere:n=6,d=3,seed=1");
    DepthOptions options;
    options.depths = {100000000};
    std::stop_source stop;
    expect_cancelled([&] {
        const auto at_once = [&](const DepthProgress&) { stop.request_stop(); };
        (void)depth_limit(cpu(), data, nullptr, options, {at_once, stop.get_token()});
    });
}

/// A store in memory.
class Kept : public EnsembleStore {
public:
    std::optional<EnsembleState> load() override { return state; }
    void save(const EnsembleState& now) override { state = now; }
    std::optional<EnsembleState> state;
};

TEST(Progress, AStoppedEnsembleIsSavedAndGoesOnWithTheSameBits) {
    const HostMatrix<double> x(2, 3, {1, 0.5, -0.25, 1, 2, 0});
    EnsembleOptions options;
    options.sampler.architecture = {.inputs = 3, .hidden = {5}};
    options.networks = 20000;
    Kept kept;
    std::stop_source stop;
    const auto after_two = [&, calls = 0](Index, Index) mutable {
        if (++calls == 3) stop.request_stop();
    };
    expect_cancelled([&] { (void)ensemble(cpu(), x, options, {after_two, stop.get_token()}, &kept); });
    ASSERT_TRUE(kept.state);
    EXPECT_EQ(kept.state->moments.count(), 2 * ensemble_chunk(kernel_layout(options.sampler, 2).columns()));
    const auto values = [](const Ensemble& law) {
        const HostMatrix<double>& m = law.state().moments.values();
        return std::vector<double>(m.data(), m.data() + m.size());
    };
    EXPECT_EQ(values(ensemble(cpu(), x, options, {}, &kept)), values(ensemble(cpu(), x, options)));
}

TEST(Progress, AnyThreadMayStopTheWork) {
    EnsembleOptions options;
    options.sampler.architecture = {.inputs = 2, .hidden = {64, 64}};
    options.networks = 4000000000;
    std::stop_source stop;
    const std::jthread other([&] { stop.request_stop(); });
    expect_cancelled([&] { (void)ensemble(cpu(), HostMatrix<double>(1, 2, {1, 2}), options, stop.get_token()); });
}

}  // namespace
}  // namespace ntk
