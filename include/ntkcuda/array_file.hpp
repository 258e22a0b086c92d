#pragma once

/// \file array_file.hpp
/// NumPy files: .npy and .npz in and out. Matrices are row-major; every final file appears whole or not at all.

#include <ntkcuda/matrix.hpp>
#include <ntkcuda/network.hpp>

#include <string>
#include <vector>

namespace ntk {

/// An array of a file as read: its shape and its values, row-major, as float64 (integers beyond 2^53 are refused).
struct Array {
    std::vector<Index> shape;
    std::vector<double> values;
    bool integral = false;  ///< stored as integers or bool

    /// The first axis by the product of the others. Throws Error(shape_mismatch) for fewer than two axes.
    [[nodiscard]] HostMatrix<double> as_matrix() const&;
    [[nodiscard]] HostMatrix<double> as_matrix() &&;  ///< moves the values
};

/// Float, integer and bool arrays of either byte order, C or Fortran layout, versions 1 to 3. Complex, text, object and structured types,
/// and files shorter than their header promises, throw Error(io) naming the file and what was found.
[[nodiscard]] Array read_npy(const std::string& path);

/// The arrays of an .npz by name (without ".npy"), in the order stored.
[[nodiscard]] std::vector<std::pair<std::string, Array>> read_npz(const std::string& path);

/// Writes float64 or float32 as .npy (version 1.0), aside and then renamed. Throws Error(io).
template <class Real>
void write_npy(const std::string& path, const HostMatrix<Real>& values);
/// An array of any shape whose values are row-major.
template <class Real>
void write_npy(const std::string& path, const std::vector<Index>& shape, const Real* values);

/// Writes text aside, then renames: the final name never holds half a file. Throws Error(io).
void write_text(const std::string& path, const std::string& text);

/// Reads W1..WL (out x in) and, if present, b1..bL from an .npz. Throws Error(io) for missing or surplus names and
/// Error(shape_mismatch) for shapes that do not chain, naming both arrays.
[[nodiscard]] Weights read_weights(const std::string& path);

}  // namespace ntk
