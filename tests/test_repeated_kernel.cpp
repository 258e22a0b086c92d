// Recorded work: a repeated kernel has the bits of empirical_ntk, whatever its network and inputs hold by then.

#include <ntkcuda/repeated_kernel.hpp>

#include "support/devices.hpp"
#include "support/samples.hpp"

#include <gtest/gtest.h>

#include <ostream>

namespace ntk {
namespace {

using testing::device_ids;
using testing::expect_error;
using testing::random_matrix;
using testing::same_bits;

Architecture with_biases() {
    Architecture architecture;
    architecture.inputs = 6;
    architecture.hidden = {9, 7, 8};
    architecture.outputs = 3;
    architecture.bias_std = 0.5;
    architecture.biases = Biases::trained;
    return architecture;
}

/// Takes the values of another network of the same shape, in the memory that is there.
template <class Real>
void assign(Network<Real>& network, const Network<Real>& values) {
    Backend<Real>& backend = *network.backend();
    for (std::size_t l = 0; l < network.weight.size(); ++l) backend.copy(values.weight[l].view(), network.weight[l].view());
    for (std::size_t l = 0; l < network.bias.size(); ++l) backend.copy(values.bias[l].view(), network.bias[l].view());
}

struct Form {
    const char* name;
    EmpiricalOptions options;
};
void PrintTo(const Form& form, std::ostream* out) { *out << form.name; }

std::vector<Form> forms() {
    return {{"full", {.block = Block::full}},
            {"trace", {.block = Block::trace}},
            {"diag", {.block = Block::diag}},
            {"half", {.block = Block::full, .gram = GramPrecision::half}},
            {"jacobian", {.block = Block::trace, .method = Method::jacobian, .jacobian_block_bytes = 4096}}};
}

class RepeatedKernels : public ::testing::TestWithParam<std::tuple<Form, std::string>> {
protected:
    template <class Real>
    static void expect_the_bits_of_fresh_kernels() {
        const auto& [form, device] = GetParam();
        const auto backend = make_backend<Real>(device);
        Network<Real> network = draw_network(backend, with_biases(), 1);
        Matrix<Real> x = upload(backend, random_matrix(5, 6));
        const ConstMatrixView<Real> samples = x.view();
        RepeatedKernel<Real> kernel(network, samples, form.options);
        const auto expect_fresh = [&, options = form.options] {
            EXPECT_TRUE(same_bits(download(kernel.run()), download(empirical_ntk<Real>(network, samples, options))));
        };
        expect_fresh();
        for (std::uint32_t i = 1; i < 5; ++i) {
            assign(network, draw_network(backend, network.architecture, 1 + i));
            expect_fresh();
            backend->copy(upload(backend, random_matrix(5, 6, i)).view(), x.view());
            expect_fresh();
        }
    }
};

TEST_P(RepeatedKernels, HaveTheBitsOfFreshOnesInFloat64) { expect_the_bits_of_fresh_kernels<double>(); }
TEST_P(RepeatedKernels, HaveTheBitsOfFreshOnesInFloat32) { expect_the_bits_of_fresh_kernels<float>(); }

std::string name_of(const ::testing::TestParamInfo<std::tuple<Form, std::string>>& tested) {
    return std::string(std::get<0>(tested.param).name) + (std::get<1>(tested.param) == "cpu" ? "_on_the_cpu" : "_on_cuda");
}
INSTANTIATE_TEST_SUITE_P(Forms, RepeatedKernels, ::testing::Combine(::testing::ValuesIn(forms()), ::testing::ValuesIn(device_ids())),
                         name_of);

class RecordedWork : public ::testing::TestWithParam<std::string> {
protected:
    std::shared_ptr<Backend<double>> backend = make_backend<double>(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Devices, RecordedWork, ::testing::ValuesIn(device_ids()));

/// Runs without waiting in between, and a larger problem on the same backend meanwhile.
TEST_P(RecordedWork, RunsInOrderWithOtherWork) {
    const Network<double> network = draw_network(backend, with_biases(), 1);
    Matrix<double> x = upload(backend, random_matrix(4, 6)), sum(backend, 4, 4);
    const Matrix<double> first = upload(backend, random_matrix(4, 6, 1)), second = upload(backend, random_matrix(4, 6, 2)),
                         many = upload(backend, random_matrix(90, 6, 3));
    RepeatedKernel<double> kernel(network, x.view());
    backend->fill(sum.view(), 0);
    for (const Matrix<double>* samples : {&first, &second}) {
        backend->copy(samples->view(), x.view());
        backend->axpy(1, kernel.run().view(), sum.view());
        (void)empirical_ntk<double>(network, many.view(), {.block = Block::full});
    }
    const HostMatrix<double> one = download(empirical_ntk<double>(network, first.view())),
                             two = download(empirical_ntk<double>(network, second.view())), both = download(sum);
    for (Index e = 0; e < both.size(); ++e) EXPECT_EQ(both.data()[e], one.data()[e] + two.data()[e]);
}

TEST_P(RecordedWork, MayOutliveWhatMadeIt) {
    Matrix<double> x = upload(backend, random_matrix(3, 3));
    const auto twice = backend->record([&device = *backend, view = x.view()] { device.scale(2, view); });
    const HostMatrix<double> before = download(x);
    backend = nullptr;
    twice->run();
    twice->run();
    const HostMatrix<double> after = download(x);
    for (Index e = 0; e < after.size(); ++e) EXPECT_EQ(after.data()[e], 4 * before.data()[e]);
}

TEST_P(RecordedWork, ThatFailsLeavesTheBackendAsItWas) {
    Matrix<double> x = upload(backend, random_matrix(3, 3));
    const HostMatrix<double> before = download(x);
    const auto broken = [&] {
        Matrix<double> scratch(backend, 3, 3);
        backend->copy(std::as_const(x).view(), scratch.view());
        backend->scale(2, x.view());
        throw Error(ErrorCode::io, "the work broke off");
    };
    if (GetParam() == "cpu") {
        EXPECT_NO_THROW((void)backend->record(broken)) << "the CPU only keeps the function";
    } else {
        expect_error(ErrorCode::io, "broke off", [&] { (void)backend->record(broken); });
    }
    backend->synchronize();
    EXPECT_TRUE(same_bits(download(x), before));
}

TEST_P(RecordedWork, MayNotWaitOnAGpu) {
    if (GetParam() == "cpu") GTEST_SKIP() << "nothing waits on the CPU";
    Matrix<double> x = upload(backend, random_matrix(3, 3));
    const HostMatrix<double> before = download(x);
    const std::function<void()> waiting[] = {[&] { (void)download(x); }, [&] { (void)backend->norms(x.view()); },
                                             [&] { backend->synchronize(); }, [&] { (void)upload(backend, random_matrix(3, 3)); }};
    for (const auto& wait : waiting) {
        const auto work = [&] {
            backend->scale(2, x.view());
            Matrix<double> scratch(backend, 3, 3);
            wait();
        };
        expect_error(ErrorCode::invalid_argument, "cannot be recorded", [&] { (void)backend->record(work); });
        backend->synchronize();
        EXPECT_TRUE(same_bits(download(x), before));
    }
    // Nor when the work takes no notice.
    EXPECT_THROW((void)backend->record([&] {
        try {
            backend->synchronize();
        } catch (const Error&) {
        }
    }),
                 Error);
    EXPECT_NO_THROW((void)backend->record([&] { backend->scale(2, x.view()); }));
}

TEST_P(RecordedWork, OfAKernelIsRefusedWhereTheHostTakesPart) {
    const Network<double> network = draw_network(backend, with_biases(), 1);
    const Matrix<double> x = upload(backend, random_matrix(5, 6)), other = upload(backend, random_matrix(5, 4));
    const auto make = [&](const Matrix<double>& samples, const EmpiricalOptions& options) {
        return [&, options] { RepeatedKernel<double>(network, samples.view(), options); };
    };
    EmpiricalOptions terms;
    terms.per_layer = [](Index, const HostMatrix<double>&) {};
    expect_error(ErrorCode::invalid_argument, "per_layer", make(x, terms));
    expect_error(ErrorCode::shape_mismatch, "4 features", make(other, {}));
    expect_error(ErrorCode::invalid_argument, "Jacobian", make(x, {.method = Method::jacobian, .gram = GramPrecision::half}));
}

}  // namespace
}  // namespace ntk
