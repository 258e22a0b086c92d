// Every operation that matters on the device against the CPU; on the CPU itself, one number of threads against another: the same bits.

#include "verify.hpp"

#include <ntkcuda/gram.hpp>
#include <ntkcuda/kernel_sampler.hpp>
#include <ntkcuda/propagate.hpp>

#include <fmt/format.h>

namespace ntk {
namespace {

template <class Real>
using Device = std::shared_ptr<Backend<Real>>;

template <class Real>
struct Operation {
    std::string name;
    double bound;    ///< on another device
    bool entrywise;  ///< relative to each entry, not to the largest
    std::function<HostMatrix<Real>(const Device<Real>&)> run;
};

template <class Real>
class Operations {
public:
    explicit Operations(std::uint64_t seed) : seed_(seed) {
        // In float32 an activation with a kink turns a preactivation whose sign is decided by rounding into an error of 1e-4.
        architecture_ = {.inputs = 6, .hidden = {50, 33, 17}, .outputs = 2, .bias_std = 0.3, .biases = Biases::trained};
        if (sizeof(Real) == 4) architecture_.activation = parse_activation("erf");
        add_finite();
        add_infinite();
        add_samplers();
    }

    [[nodiscard]] const std::vector<Operation<Real>>& list() const { return list_; }

private:
    void add(std::string name, double bound, bool entrywise, std::function<HostMatrix<Real>(const Device<Real>&)> run) {
        list_.push_back({std::move(name), bound, entrywise, std::move(run)});
    }
    [[nodiscard]] HostMatrix<double> normals(std::uint32_t matrix, Index rows, Index cols) const {
        return host_normals({seed_, matrix, data_stream}, rows, cols);
    }
    [[nodiscard]] HostMatrix<double> inputs() const { return normals(0, 40, architecture_.inputs); }

    /// work(network, x).
    template <class Work>
    void add_network(const char* name, Work work) {
        add_network(name, rounding<Real>(architecture_.parameters()), work);
    }
    template <class Work>
    void add_network(const char* name, double bound, Work work) {
        add(name, bound, false, [this, work](const Device<Real>& backend) {
            const Matrix<Real> x = upload(backend, inputs());
            return download(work(draw_network(backend, architecture_, seed_), x.view()));
        });
    }
    void add_finite() {
        add("matrix products", rounding<Real>(250), false, [this](const Device<Real>& backend) {
            const Matrix<Real> a = upload(backend, normals(1, 130, 250)), b = upload(backend, normals(2, 250, 77));
            Matrix<Real> c = upload(backend, normals(3, 77, 130));
            backend->gemm(Transpose::yes, Transpose::yes, 1.5, b.view(), a.view(), -0.5, c.view());
            return download(c);
        });
        using Net = Network<Real>;
        using View = ConstMatrixView<Real>;
        add_network("forward pass", [](const Net& net, View x) { return std::move(forward(net, InputView<Real>(x)).output); });
        add_network("Jacobian", [](const Net& net, View x) { return jacobian(net, x); });
        add_network("NTK of a network", [](const Net& net, View x) { return empirical_ntk(net, x, {.block = Block::full}); });
        add_network("NTK of a network, mean over outputs",
                    [](const Net& net, View x) { return empirical_ntk(net, x, {.block = Block::trace}); });
        // Passes that differ in their last bit may round an operand the other way: 2^-11 for each of four.
        add_network("NTK of a network, FP16 Grams", 4 * 0x1p-11,
                    [](const Net& net, View x) { return empirical_ntk(net, x, {.gram = GramPrecision::half}); });
        add_network("NTK of a network, diagonal", [](const Net& net, View x) { return empirical_ntk(net, x, {.block = Block::diag}); });
        add_network("NTK of a network, test by training samples", [](const Net& net, View x) {
            return empirical_ntk(net, InputView<Real>(x.row_range(0, 7)), InputView<Real>(x.row_range(7, x.rows() - 7)),
                                 {.block = Block::full});
        });
        add_network("NNGP of a network", [](const Net& net, View x) { return empirical_nngp(net, x); });
        add("norms and entry facts", rounding<Real>(1), true, [this](const Device<Real>& backend) {
            const Matrix<Real> x = upload(backend, normals(4, 60, 60));
            const Norms norms = backend->norms(x.view());
            const EntrySummary facts = backend->summarize(x.view(), Entries::off_diagonal, 0.25);
            HostMatrix<Real> out(1, 10);
            const double numbers[] = {norms.frobenius,
                                      norms.max_abs,
                                      norms.one,
                                      facts.min,
                                      facts.max,
                                      facts.sum_of_squares,
                                      facts.max_abs,
                                      static_cast<double>(facts.count),
                                      static_cast<double>(facts.min_row),
                                      static_cast<double>(facts.max_col)};
            std::copy(std::begin(numbers), std::end(numbers), out.data());
            return out;
        });
    }
    void add_infinite() {
        for (const auto kernel : {InfiniteKernel::ntk, InfiniteKernel::nngp})
            for (const char* activation : {"relu", "erf"})
                add(fmt::format("infinite-width {}, {}, depth 20", kernel == InfiniteKernel::ntk ? "NTK" : "NNGP", activation),
                    rounding<Real>(1000), false, [this, kernel, activation](const Device<Real>& backend) {
                        Architecture a = architecture_;
                        a.hidden.assign(19, 1);
                        a.activation = parse_activation(activation);
                        return download(infinite_width_kernel(a, kernel, upload(backend, inputs())));
                    });
        add("1 - K of every pair, depth 100", std::max(1e-13, rounding<Real>(1)), true, [this](const Device<Real>& backend) {
            const Matrix<Real> x = upload(backend, inputs());
            const auto recursion = backend->pair_recursion({Activation{}, 1.0, 0.5, true}, x.view(), x.view(), Triangle::lower);
            recursion->advance(100);
            Matrix<Real> out(backend, x.rows(), x.rows());
            backend->fill(out.view(), 0);
            recursion->tangent_below_one(out.view());
            return download(out);
        });
        add("half-angle tangents and their series", rounding<Real>(50), true, [this](const Device<Real>& backend) {
            const Matrix<Real> x = upload(backend, inputs());
            Matrix<Real> t(backend, x.rows(), x.rows());
            backend->half_angle_tangents(x.view(), x.view(), Triangle::full, t.view());
            constexpr int octaves = 24, terms = 3;
            std::vector<double> coefficients;
            for (int o = 0; o < octaves; ++o) coefficients.insert(coefficients.end(), {1.0 + o, 0.25, 0.0625});
            backend->evaluate_series({-12, octaves, terms, coefficients.data(), 0.5, 40}, t.view(), Triangle::full, t.view());
            return download(t);
        });
    }
    void add_samplers() {
        for (const Sampler sampler : {Sampler::weights, Sampler::conditional}) {
            // The conditional sampler divides by pivots of factorisations, in float64.
            const double bound = sampler == Sampler::weights ? rounding<Real>(architecture_.parameters())
                                                             : 1e5 * rounding<double>(architecture_.parameters()) + rounding<Real>(4);
            const auto sample = [this, sampler](const Device<Real>& backend) {
                const auto drawn =
                    backend->kernel_sampler({architecture_, sampler, seed_, Block::full, true}, upload(backend, normals(0, 3, 6)).view());
                Matrix<Real> out(backend, 200, drawn->layout().columns());
                drawn->sample(0, out.view());
                return out;
            };
            add(fmt::format("200 networks, {} sampler", sampler == Sampler::weights ? "weights" : "conditional"), bound, false,
                [sample](const Device<Real>& backend) { return download(sample(backend)); });
        }
        add("moments of columns", rounding<Real>(1), true, [this](const Device<Real>& backend) {
            HostMatrix<double> x = normals(5, 5000, 7);
            for (Index e = 0; e < x.size(); ++e) x.data()[e] = std::exp(x.data()[e]);  // no moment near 0
            return backend->column_moments(upload(backend, x).view()).template cast<Real>();
        });
    }

    std::uint64_t seed_;
    Architecture architecture_;
    std::vector<Operation<Real>> list_;
};

template <class Real>
double entrywise_difference(const HostMatrix<Real>& got, const HostMatrix<Real>& exact) {
    Largest worst;
    for (Index e = 0; e < exact.size(); ++e) worst.add(relative_difference(got.data()[e], exact.data()[e]));
    return got.size() == exact.size() ? worst.value() : std::numeric_limits<double>::quiet_NaN();
}

template <class Real>
double differing_values(const HostMatrix<Real>& a, const HostMatrix<Real>& b) {
    double count = std::fabs(static_cast<double>(a.size() - b.size()));
    for (Index e = 0; e < std::min(a.size(), b.size()); ++e) count += a.data()[e] == b.data()[e] ? 0 : 1;
    return count;
}

template <class Real>
void check_all(Verifier& verifier) {
    using enum VerifyCheck::Measure;
    const Operations<Real> operations(verifier.options().seed);
    const Device<Real> reference = verifier.reference<Real>();
    for (const Operation<Real>& operation : operations.list()) {
        const std::string what = fmt::format("{}, {}", operation.name, precision_name<Real>);
        if (verifier.on_cpu())
            verifier.check(what, values, 0, [&](std::string&) {
                return differing_values(operation.run(verifier.backend<Real>()), operation.run(reference));
            });
        else
            verifier.check(what, difference, operation.bound, [&](std::string&) {
                const HostMatrix<Real> got = operation.run(verifier.backend<Real>()), wanted = operation.run(reference);
                return operation.entrywise ? entrywise_difference(got, wanted) : relative_difference(got, wanted);
            });
    }
}

}  // namespace

void verify_operations(Verifier& verifier) {
    verifier.begin(verifier.on_cpu() ? fmt::format("CPU on {} thread{} against {}, bit by bit (no other device is checked)",
                                                   verifier.backend<double>()->info().threads,
                                                   verifier.backend<double>()->info().threads == 1 ? "" : "s", verifier.reference_threads())
                                     : fmt::format("{} against the CPU", verifier.backend<double>()->info().id()));
    check_all<double>(verifier);
    check_all<float>(verifier);
}

}  // namespace ntk
