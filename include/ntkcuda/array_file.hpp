#pragma once

/// \file array_file.hpp
/// NumPy files: .npy and .npz in and out. Matrices are row-major; every final file appears whole or not at all.

#include <ntkcuda/matrix.hpp>
#include <ntkcuda/network.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ntk {

class FileAside;

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

/// A .npy file written piece by piece in any order, of which the final name holds nothing before finish(). The array is read as a matrix:
/// its last axis by the product of the others. All functions throw Error(io); the file is gone unless finish() returned.
template <class Real>
class NpyFile {
public:
    /// Makes sure that it can be written and that the disk has room for all of it. Throws Error(invalid_argument) for a shape without axes.
    NpyFile(const std::string& path, const std::vector<Index>& shape);
    ~NpyFile();
    NpyFile(NpyFile&&) noexcept;
    NpyFile& operator=(NpyFile&&) noexcept;
    /// The entries from (row, col) on; `entries` is in memory of the host. What is written nowhere is 0.
    /// Throws Error(shape_mismatch) for what leaves the array.
    void write(Index row, Index col, ConstMatrixView<Real> entries);
    /// Gives the file its name.
    void finish();

private:
    std::unique_ptr<FileAside> file_;
    Index rows_ = 1, cols_ = 1, start_ = 0;  ///< start_: bytes of the header
};

/// An array of an .npz to be written: a matrix as float64, or text as its bytes (uint8). It must outlive the writing.
struct NpzMember {
    std::string name;  ///< without ".npy"
    std::variant<ConstMatrixView<double>, std::string_view> content;
};

/// Writes an .npz of stored (not deflated) members, aside and then renamed; the same members give the same bytes. Needs memory for the
/// whole file beside the members. Throws Error(shape_mismatch) for a view with gaps between its rows, Error(io).
void write_npz(const std::string& path, const std::vector<NpzMember>& members);

/// Writes text aside, then renames: the final name never holds half a file. Throws Error(io).
void write_text(const std::string& path, const std::string& text);

/// Reads W1..WL (out x in) and, if present, b1..bL from an .npz. Throws Error(io) for missing or surplus names and
/// Error(shape_mismatch) for shapes that do not chain, naming both arrays.
[[nodiscard]] Weights read_weights(const std::string& path);

}  // namespace ntk
