#pragma once

// Golden files: small JSON files in tests/golden, each with the script that made it.

#include "paths.hpp"

#include <ntkcuda/matrix.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <string>

namespace ntk::testing {

/// A matrix stored as a list of rows.
inline HostMatrix<double> matrix_of(const nlohmann::json& rows) {
    HostMatrix<double> matrix(static_cast<Index>(rows.size()), static_cast<Index>(rows.at(0).size()));
    for (Index i = 0; i < matrix.rows(); ++i)
        for (Index j = 0; j < matrix.cols(); ++j)
            matrix(i, j) = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)].get<double>();
    return matrix;
}

inline nlohmann::json golden(const std::string& file) {
    std::ifstream stream(std::string(paths::golden) + "/" + file);
    return nlohmann::json::parse(stream);
}

}  // namespace ntk::testing
