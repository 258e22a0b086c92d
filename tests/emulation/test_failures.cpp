// Every API call of every operation fails once: an ntk::Error comes out, nothing leaks, and the same backend works afterwards.

#include "cuda/cuda_backend.hpp"

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/gram.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/kernel_blocks.hpp>
#include <ntkcuda/kernel_sampler.hpp>
#include <ntkcuda/network.hpp>
#include <ntkcuda/repeated_kernel.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <ostream>
#include <string>

namespace ntk {
namespace {

using Device = std::shared_ptr<Backend<double>>;
using Result = std::vector<double>;

/// Makes the k-th API call from here on fail, until it goes out of scope.
class Failing {
public:
    explicit Failing(long k) {
        emulated::calls = 0;
        emulated::settings.fail_at = k;
    }
    ~Failing() { emulated::settings.fail_at = -1; }
    Failing(const Failing&) = delete;
    Failing& operator=(const Failing&) = delete;
    static bool reached() { return emulated::calls >= emulated::settings.fail_at; }
};

/// What destroys or frees has nobody to tell at once; the result it follows is there already.
bool may_fail_silently(const std::string& call) {
    return call.find("Free") != std::string::npos || call.find("Destroy") != std::string::npos || call == "cudaDeviceGraphMemTrim" ||
           call == "cudaGetDeviceCount";
}

HostMatrix<double> numbers(Index rows, Index cols, std::uint32_t stream) {
    return host_normals({.seed = 7, .network = 0, .stream = stream}, rows, cols);
}

HostMatrix<double> positive_definite(Index n) {
    const HostMatrix<double> x = numbers(n, n, 3);
    HostMatrix<double> k(n, n);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) {
            k(i, j) = i == j ? 1 : 0;
            for (Index l = 0; l < n; ++l) k(i, j) += x(i, l) * x(j, l);
        }
    return k;
}

Result values(const Matrix<double>& x) {
    const HostMatrix<double> host = download(x);
    return {host.data(), host.data() + host.size()};
}
Result values(const Norms& n) { return {n.frobenius, n.max_abs, n.one, n.finite ? 1. : 0.}; }

/// An operation on an n x n matrix x, in place or with a result of its own.
struct Operation {
    std::string name;
    std::function<Result(const Device&)> run;
};

void PrintTo(const Operation& operation, std::ostream* out) { *out << operation.name; }

template <class F>
Operation in_place(const std::string& name, F apply) {
    return {name, [apply](const Device& device) {
                Matrix<double> x = upload(device, positive_definite(9));
                const Matrix<double> y = upload(device, numbers(9, 9, 5));
                apply(*device, x.view(), y.view());
                return values(x);
            }};
}

std::vector<Operation> arithmetic_operations() {
    using View = MatrixView<double>;
    using Const = ConstMatrixView<double>;
    const auto column = [](auto view) { return decltype(view)(view.data(), view.rows(), 1, view.stride()); };
    return {
        {"allocate", [](const Device& d) { return Result{static_cast<double>(Matrix<double>(d, 3, 4).rows())}; }},
        {"limit_memory",
         [](const Device& d) {
             d->limit_memory(1 << 20);
             return Result{};
         }},
        {"host_staging",
         [](const Device& d) {
             Result shown;
             const auto staging = d->host_staging();
             for (const std::uint32_t stream : {5, 6})
                 staging->put(upload(d, numbers(9, 3, stream)), [&](Index, ConstMatrixView<double> part) {
                     shown.insert(shown.end(), part.data(), part.data() + part.size());
                 });
             staging->finish();
             return shown;
         }},
        {"info", [](const Device& d) { return Result{static_cast<double>(d->info().memory_total)}; }},
        in_place("copy", [](auto& d, View x, Const y) { d.copy(y, x); }),
        in_place("copy of a part", [](auto& d, View x, Const y) { d.copy(Const(y.data(), 9, 4, 9), View(x.data(), 9, 4, 9)); }),
        in_place("fill", [](auto& d, View x, Const) { d.fill(x, 3); }),
        in_place("gemm", [](auto& d, View x, Const y) { d.gemm(Transpose::no, Transpose::yes, 1, y, y, 1, x); }),
        in_place("accumulate_gram", [](auto& d, View x, Const y) { d.accumulate_gram(x, y, y, 1, Triangle::lower); }),
        in_place("axpy", [](auto& d, View x, Const y) { d.axpy(2, y, x); }),
        in_place("add_power", [](auto& d, View x, Const y) { d.add_power(2, Power::one, y, x); }),
        in_place("add_power of roots",
                 [=](auto& d, View x, Const) { d.add_power(2, Power::half, View(x.data(), 1, 1, 9), column(x).row_range(1, 1)); }),
        in_place("scale", [](auto& d, View x, Const) { d.scale(2, x); }),
        in_place("add_row", [](auto& d, View x, Const y) { d.add_row(y.row_range(2, 1), x); }),
        in_place("add_to_diagonal", [](auto& d, View x, Const) { d.add_to_diagonal(2, x); }),
        in_place("diagonal", [=](auto& d, View x, Const y) { d.diagonal(y, column(x)); }),
        in_place("mirror_lower", [](auto& d, View x, Const) { d.mirror_lower(x); }),
        in_place("row_dots", [=](auto& d, View x, Const y) { d.row_dots(y, y, column(x)); }),
        {"normalize",
         [](const Device& d) {
             Matrix<double> x = upload(d, positive_definite(9)), diagonal(d, 9, 1);
             d->diagonal(x.view(), diagonal.view());
             d->normalize(diagonal.view(), diagonal.view(), x.view());
             return values(x);
         }},
        {"norms", [](const Device& d) { return values(d->norms(upload(d, numbers(9, 9, 5)).view())); }},
        {"summarize",
         [](const Device& d) {
             const EntrySummary summary = d->summarize(upload(d, numbers(9, 9, 5)).view(), Entries::off_diagonal, 0.5);
             return Result{summary.min, summary.max, summary.sum, summary.sum_of_squares};
         }},
        {"column_moments",
         [](const Device& d) {
             const HostMatrix<double> moments = d->column_moments(upload(d, numbers(40, 3, 5)).view());
             return Result(moments.data(), moments.data() + moments.size());
         }},
        {"difference_norms",
         [](const Device& d) {
             return values(d->difference_norms(upload(d, numbers(9, 9, 5)).view(), upload(d, positive_definite(9)).view()));
         }},
    };
}

std::vector<Operation> network_operations() {
    using View = MatrixView<double>;
    using Const = ConstMatrixView<double>;
    const Activation erf{Activation::Kind::erf, 0};
    return {
        in_place("draw_normals", [](auto& d, View x, Const) { d.draw_normals({.seed = 1, .network = 2, .stream = 3}, 2, x); }),
        in_place("activate", [=](auto& d, View x, Const y) { d.activate(erf, y, x); }),
        in_place("multiply_by_slope", [=](auto& d, View x, Const y) { d.multiply_by_slope(erf, y.row_range(0, 3), x); }),
        in_place("output_delta", [=](auto& d, View x, Const y) { d.output_delta(erf, y.row_range(0, 3), y.row_range(3, 3), x); }),
        in_place("accumulate_layer_gram",
                 [](auto& d, View x, Const y) {
                     d.accumulate_layer_gram(x, y.row_range(0, 3), y.row_range(0, 3), y, y, 2, 1, Triangle::lower);
                 }),
        in_place("accumulate_layer_gram of the output layer",
                 [](auto& d, View x, Const y) {
                     d.accumulate_layer_gram(x, y.row_range(0, 3), y.row_range(0, 3), {}, {}, 2, 1, Triangle::full);
                 }),
        in_place("half_gram_sum",
                 [](auto& d, View x, Const y) {
                     const auto sum = d.half_gram_sum(x, Triangle::lower);
                     sum->add(y.row_range(0, 3), y.row_range(0, 3), y, y, 2, 1);
                     sum->add(y.row_range(0, 3), y.row_range(0, 3), {}, {}, 2, 1);
                     sum->finish();
                 }),
        in_place("half_gram_sum of one output",
                 [](auto& d, View x, Const y) {
                     const auto sum = d.half_gram_sum(x, Triangle::full);
                     sum->add(y, x, y, x, 2, 1);
                     sum->add(y, x, {}, {}, 2, 1);
                     sum->finish();
                 }),
        in_place("accumulate_layer_diagonal",
                 [](auto& d, View x, Const y) { d.accumulate_layer_diagonal(View(x.data(), 3, 3, 9), y.row_range(0, 3), y, 2, 1); }),
        in_place("jacobian_block", [](auto& d, View x, Const y) { d.jacobian_block(y, Const(y.data(), 3, 3, 9), 2, 3, 2, x); }),
    };
}

std::vector<Operation> limit_operations() {
    Architecture deep;
    deep.inputs = 9;
    deep.hidden = {4, 4};
    return {
        in_place("infinite_width_kernel",
                 [=](auto& d, auto x, auto y) { d.infinite_width_kernel(deep, InfiniteKernel::ntk, y, y, Triangle::full, x); }),
        in_place("infinite_width_diagonal",
                 [=](auto& d, auto x, auto y) {
                     d.infinite_width_diagonal(deep, InfiniteKernel::ntk, y, MatrixView<double>(x.data(), 9, 1, 9));
                 }),
        in_place("pair_recursion",
                 [](auto& d, auto x, auto y) {
                     const auto pairs =
                         d.pair_recursion({Activation{Activation::Kind::erf, 0}, 1.3, 0.4, true}, y, y.row_range(0, 4), Triangle::full);
                     pairs->advance(6);
                     pairs->tangent_below_one(MatrixView<double>(x.data(), 9, 4, 9));
                 }),
        in_place("pair_recursion of a triangle",
                 [](auto& d, auto x, auto y) {
                     const auto pairs = d.pair_recursion({Activation{}, 1.3, 0, true}, y, y, Triangle::lower);
                     pairs->advance(3);
                     pairs->correlation(x);
                 }),
        in_place("half_angle_tangents", [](auto& d, auto x, auto y) { d.half_angle_tangents(y, y, Triangle::lower, x); }),
        in_place("evaluate_series",
                 [](auto& d, auto x, auto y) {
                     const std::vector<double> coefficients(80 * 3, 0.5);
                     d.half_angle_tangents(y, y, Triangle::full, x);
                     d.evaluate_series({-40, 80, 3, coefficients.data(), 1, 2}, x, Triangle::full, x);
                 }),
    };
}

/// The devices of these tests have a block of threads for networks on up to 2 samples.
Operation sampling(const std::string& name, Sampler sampler, Index samples) {
    return {name, [=](const Device& device) {
                KernelSamplerOptions options;
                options.architecture.inputs = 3;
                options.architecture.hidden = {2, 5, 4};
                options.architecture.biases = Biases::trained;
                options.architecture.bias_std = 0.5;
                options.sampler = sampler;
                const auto drawn = device->kernel_sampler(options, upload(device, numbers(samples, 3, 5)).view());
                Matrix<double> out(device, 2, drawn->layout().columns());
                drawn->sample(4, out.view());
                return values(out);
            }};
}

std::vector<Operation> samplers() {
    return {sampling("batched weights", Sampler::weights, 3), sampling("fused weights", Sampler::weights, 2),
            sampling("conditional", Sampler::conditional, 2)};
}

/// Whole runs over the public interface.
std::vector<Operation> runs() {
    Architecture architecture;
    architecture.inputs = 4;
    architecture.hidden = {6, 5};
    architecture.outputs = 2;
    const auto kernel = [=](const Device& d) {
        const Matrix<double> x = upload(d, numbers(7, 4, 5));
        return empirical_ntk(draw_network(d, architecture, 3), x.view());
    };
    return {
        {"empirical NTK", [=](const Device& d) { return values(kernel(d)); }},
        {"Jacobian",
         [=](const Device& d) {
             const Matrix<double> x = upload(d, numbers(3, 4, 5));
             return values(jacobian(draw_network(d, architecture, 3), x.view()));
         }},
        {"repeated kernel",
         [=](const Device& d) {
             Matrix<double> x = upload(d, numbers(7, 4, 5));
             const Network<double> network = draw_network(d, architecture, 3);
             RepeatedKernel<double> repeated(network, x.view());
             Result all = values(repeated.run());
             d->fill(x.view(), 0.5);
             const Result second = values(repeated.run());
             all.insert(all.end(), second.begin(), second.end());
             return all;
         }},
        {"kernel by blocks",
         [=](const Device& d) {
             const HostMatrix<double> x = numbers(7, 4, 5);
             Result shown(7 * 7);
             for_each_kernel_block<double>(
                 *d, {7, 7, 3, true},
                 [&](const SampleBlock& b) {
                     const Matrix<double> left = upload(d, x.view().row_range(b.row, b.rows)),
                                          right = upload(d, x.view().row_range(b.col, b.cols));
                     Matrix<double> products(d, b.rows, b.cols);
                     d->gemm(Transpose::no, Transpose::yes, 1, left.view(), right.view(), 0, products.view());
                     return products;
                 },
                 [&](Index row, Index col, ConstMatrixView<double> part) {
                     for (Index i = 0; i < part.rows(); ++i)
                         std::copy_n(part.data() + i * part.stride(), part.cols(), shown.data() + (row + i) * 7 + col);
                 });
             return shown;
         }},
        {"closed form",
         [=](const Device& d) {
             const KernelSystem<double> system(kernel(d), 0.5);
             const Matrix<double> targets = upload(d, numbers(7, 2, 6)), cross = upload(d, numbers(3, 7, 7));
             return values(system.predict(cross, targets));
         }},
    };
}

std::vector<Operation> solver_operations() {
    const auto factorised = [](const Device& d) {
        Matrix<double> k = upload(d, positive_definite(9));
        EXPECT_EQ(d->cholesky(k.view()).failed_minor, 0);
        return k;
    };
    const auto eigen = [](bool vectors) {
        return [=](const Device& d) {
            Matrix<double> k = upload(d, positive_definite(9)), spectrum(d, 9, 1);
            d->eigen(k.view(), spectrum.view(), vectors);
            return values(spectrum);
        };
    };
    return {
        {"cholesky", [=](const Device& d) { return values(factorised(d)); }},
        {"cholesky_solve",
         [=](const Device& d) {
             Matrix<double> b = upload(d, numbers(9, 2, 5));
             d->cholesky_solve(factorised(d).view(), b.view());
             return values(b);
         }},
        {"triangular_solve_rows",
         [=](const Device& d) {
             Matrix<double> b = upload(d, numbers(2, 9, 5));
             d->triangular_solve_rows(factorised(d).view(), b.view());
             return values(b);
         }},
        {"lu",
         [](const Device& d) {
             Matrix<double> a = upload(d, numbers(9, 9, 5));
             EXPECT_EQ(d->lu(a.view()).zero_pivot, 0);
             return values(a);
         }},
        {"lu_solve_rows",
         [](const Device& d) {
             Matrix<double> a = upload(d, numbers(9, 9, 5)), b = upload(d, numbers(2, 9, 6));
             const LuFactor lu = d->lu(a.view());
             d->lu_solve_rows(a.view(), lu, b.view());
             return values(b);
         }},
        {"eigen", eigen(true)},
        {"eigen without vectors", eigen(false)},
    };
}

Device new_device() {
    return std::make_shared<cuda::CudaBackend<double>>(
        0, cuda::Tiling{.gram = 4, .limit = 8, .limit_layers = 2, .sampler_bytes = 4096, .fused_network_bytes = 1400, .fused_gram = true,
                        .staging_bytes = 50});
}

/// The result with the k-th call failing; nothing if an Error came out.
std::optional<Result> run_failing(const std::function<Result()>& work, long k, bool& reached) {
    const Failing failing(k);
    std::optional<Result> result;
    try {
        result = work();
    } catch (const Error& error) {
        EXPECT_TRUE(error.code() == ErrorCode::device_failure || error.code() == ErrorCode::out_of_memory ||
                    error.code() == ErrorCode::device_unavailable)
            << error.what();
        EXPECT_FALSE(std::string(error.what()).empty());
    }
    reached = Failing::reached();
    return result;
}

/// Fails each call of `work` in turn; `again` is what must work afterwards.
void sweep(const std::function<Result()>& work, const std::function<Result()>& again, const std::function<void()>& settle) {
    const Result expected = again();
    settle();
    const std::size_t objects = emulated::live_objects();
    bool reached = true;
    for (long k = 1; reached; ++k) {
        const std::optional<Result> result = run_failing(work, k, reached);
        if (!reached) {
            EXPECT_GT(k, 1) << "no call was made";
            break;
        }
        SCOPED_TRACE("call " + std::to_string(k) + ", " + emulated::failed_call);
        EXPECT_TRUE(!result || may_fail_silently(emulated::failed_call)) << "the failure was lost";
        EXPECT_EQ(result.value_or(expected), expected);
        settle();
        EXPECT_EQ(emulated::live_objects(), objects) << "something leaked";
        EXPECT_EQ(again(), expected);
        settle();
    }
}

class Failures : public ::testing::TestWithParam<Operation> {};

TEST_P(Failures, EachCall) {
    const Device device = new_device();
    const auto work = [&] { return GetParam().run(device); };
    // A failed release is told at the next synchronisation at the latest.
    const auto settle = [&] {
        try {
            device->synchronize();
        } catch (const Error&) {
        }
    };
    sweep(work, work, settle);
}

std::string name_of(const ::testing::TestParamInfo<Operation>& info) {
    std::string name = info.param.name;
    for (char& c : name)
        if (c == ' ') c = '_';
    return name;
}
INSTANTIATE_TEST_SUITE_P(Arithmetic, Failures, ::testing::ValuesIn(arithmetic_operations()), name_of);
INSTANTIATE_TEST_SUITE_P(Network, Failures, ::testing::ValuesIn(network_operations()), name_of);
INSTANTIATE_TEST_SUITE_P(Samplers, Failures, ::testing::ValuesIn(samplers()), name_of);
INSTANTIATE_TEST_SUITE_P(Runs, Failures, ::testing::ValuesIn(runs()), name_of);
INSTANTIATE_TEST_SUITE_P(Limit, Failures, ::testing::ValuesIn(limit_operations()), name_of);
INSTANTIATE_TEST_SUITE_P(Solver, Failures, ::testing::ValuesIn(solver_operations()), name_of);

TEST(Failure, OfMakingABackend) {
    Device made;  // it ends outside of the sweep
    const auto work = [&made] {
        made = make_backend<double>("cuda:0");
        return Result{static_cast<double>(made->info().index)};
    };
    sweep(work, work, [&made] { made = nullptr; });
}

TEST(Failure, OfMakingABackendWithTheFusedGram) {
    setenv("NTKCUDA_FUSED_GRAM", "1", 1);
    Device made;
    const auto work = [&made] {
        made = make_backend<double>("cuda:0");
        return Result{static_cast<double>(made->info().index)};
    };
    sweep(work, work, [&made] { made = nullptr; });
    unsetenv("NTKCUDA_FUSED_GRAM");
}

TEST(Failure, OfFindingDevicesMeansNone) {
    const Failing failing(1);
    EXPECT_EQ(devices().size(), 1U);
}

TEST(Failure, NoRoom) {
    const Device device = new_device();
    const std::size_t bytes = emulated::settings.memory;
    try {
        (void)device->allocate(static_cast<Index>(bytes));
        FAIL() << "more memory than there is";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
        EXPECT_NE(std::string(error.what()).find(std::to_string(bytes * sizeof(double)) + " bytes"), std::string::npos) << error.what();
    }
    EXPECT_EQ(values(upload(device, numbers(2, 2, 1))).size(), 4U);
}

TEST(Failure, NotPositiveDefinite) {
    const Device device = new_device();
    HostMatrix<double> k = positive_definite(9);
    k(4, 4) = -1;
    EXPECT_EQ(device->cholesky(upload(device, k).view()).failed_minor, 5);
}

}  // namespace
}  // namespace ntk
