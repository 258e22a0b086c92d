#include "input_file.hpp"

#include "host/cli/fit_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace ntk;
    static const fuzz::InputFile file("input.npz");
    file.write(bytes, size);
    fuzz::may_refuse([&] {
        const cli::SavedFit fit = cli::read_fit(file.path());
        const Index rows = fit.inputs.rows() * cli::rows_per_sample(cli::parse_block(fit.kernel.block), fit.architecture);
        fuzz::require(rows > 0 && fit.coefficients.rows() == rows && fit.inputs.cols() == fit.architecture.inputs);
        fuzz::require(fit.weights.has_value() == cli::is_empirical(cli::parse_kernel(fit.kernel.kernel)));
        if (fit.weights) fuzz::require(std::ssize(fit.weights->weights) == fit.architecture.depth());
        if (fit.factor) fuzz::require(fit.factor->rows() == rows && fit.factor->cols() == rows);
    });
    return 0;
}
