#pragma once

// A matrix of a backend inside a larger one, with marks around it: tests strides, unaligned starts and writes out of bounds.

#include "samples.hpp"

#include <ntkcuda/backend.hpp>

#include <gtest/gtest.h>

namespace ntk::testing {

template <class Real>
class Padded {
public:
    /// The values rounded to Real. With pad > 0 there are `pad` marked rows above and below and `pad` marked columns on both sides.
    Padded(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& values, Index pad) : pad_(pad), values_(values) {
        HostMatrix<double> host(values.rows() + 2 * pad, values.cols() + 2 * pad);
        std::fill_n(host.data(), host.size(), mark);
        for (Index i = 0; i < values.rows(); ++i)
            for (Index j = 0; j < values.cols(); ++j)
                host(i + pad, j + pad) = values_(i, j) = static_cast<double>(static_cast<Real>(values(i, j)));
        memory_ = upload(backend, host);
    }

    [[nodiscard]] MatrixView<Real> view() { return memory_.view().row_range(pad_, values_.rows()).col_range(pad_, values_.cols()); }
    [[nodiscard]] ConstMatrixView<Real> view() const {
        return memory_.view().row_range(pad_, values_.rows()).col_range(pad_, values_.cols());
    }

    /// What was uploaded, as rounded.
    [[nodiscard]] const HostMatrix<double>& given() const { return values_; }
    double given(Index i, Index j) const { return values_(i, j); }

    /// What the matrix holds now; the marks must be as they were.
    [[nodiscard]] HostMatrix<Real> get() const {
        const HostMatrix<Real> host = download(memory_);
        HostMatrix<Real> inner(values_.rows(), values_.cols());
        Index broken = 0;
        for (Index i = 0; i < host.rows(); ++i)
            for (Index j = 0; j < host.cols(); ++j)
                if (i >= pad_ && i < pad_ + inner.rows() && j >= pad_ && j < pad_ + inner.cols())
                    inner(i - pad_, j - pad_) = host(i, j);
                else if (host(i, j) != static_cast<Real>(mark))
                    ++broken;
        EXPECT_EQ(broken, 0) << "elements outside the view were written";
        return inner;
    }

private:
    static constexpr double mark = -777;
    Index pad_;
    HostMatrix<double> values_;
    Matrix<Real> memory_;
};

}  // namespace ntk::testing
