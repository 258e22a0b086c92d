#pragma once

// Random inputs for tests, and comparisons of host matrices.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/network.hpp>
#include <ntkcuda/random.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace ntk::testing {

/// Independent normals; another `which` gives others.
inline HostMatrix<double> random_matrix(Index rows, Index cols, std::uint32_t which = 0) {
    return host_normals({12345, which, data_stream}, rows, cols);
}

inline HostMatrix<double> to_double(const HostMatrix<float>& x) { return x.cast<double>(); }
inline const HostMatrix<double>& to_double(const HostMatrix<double>& x) { return x; }

template <class Real>
bool same_bits(const HostMatrix<Real>& a, const HostMatrix<Real>& b) {
    return a.rows() == b.rows() && a.cols() == b.cols() && std::equal(a.data(), a.data() + a.size(), b.data());
}

/// ||a - b||_F / ||b||_F.
inline double relative_distance(const HostMatrix<double>& a, const HostMatrix<double>& b) {
    EXPECT_EQ(a.rows(), b.rows());
    EXPECT_EQ(a.cols(), b.cols());
    if (a.rows() != b.rows() || a.cols() != b.cols()) return std::numeric_limits<double>::infinity();
    double difference = 0, norm = 0;
    for (Index e = 0; e < a.size(); ++e) {
        difference += (a.data()[e] - b.data()[e]) * (a.data()[e] - b.data()[e]);
        norm += b.data()[e] * b.data()[e];
    }
    return difference == 0 ? 0 : std::sqrt(difference / norm);
}

inline void expect_error(ErrorCode code, const std::string& part, const std::function<void()>& call) {
    try {
        call();
        ADD_FAILURE() << "no error; expected one that says '" << part << "'";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), code) << error.what();
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
}

}  // namespace ntk::testing
