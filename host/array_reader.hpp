#pragma once

// Array values of a file (NumPy's or IDX) to float64.

#include "byte_source.hpp"

#include <ntkcuda/array_file.hpp>

#include <string>
#include <vector>

namespace ntk {

struct ElementFormat {
    char kind;    ///< f: IEEE float, i: signed, u: unsigned, b: bool
    Index bytes;  ///< f: 2, 4, 8; i, u: 1, 2, 4, 8; b: 1
    bool big_endian;
    std::string name;  ///< as the file has it, for messages
};

/// "(3, 4)", as NumPy prints a shape.
[[nodiscard]] std::string shape_text(const std::vector<Index>& shape);

/// "[2, 0]": where element number `element` (row-major) of an array is, counted from 0.
[[nodiscard]] std::string index_text(const std::vector<Index>& shape, Index element);

/// The elements of an array of this shape that follows in the source. Throws Error(io) when it promises more (or fewer) bytes than the
/// source holds.
[[nodiscard]] Index promised_elements(const ByteSource& source, const ElementFormat& format, const std::vector<Index>& shape);

/// Reads the values, and checks that the source ends after them. Before anything is allocated: Error(io) when the shape promises more
/// (or fewer) bytes than the source holds, Error(out_of_memory) when it does not fit into this machine.
/// Also Error(io): integers beyond 2^53, which float64 does not hold, and bools that are neither 0 nor 1.
[[nodiscard]] Array read_array(ByteSource& source, const ElementFormat& format, std::vector<Index> shape, bool fortran_order);

/// A .npy from its first byte.
[[nodiscard]] Array read_npy(ByteSource& source);

/// The shape of a .npy, of which only the header is read. Throws Error(io) as read_npy does for it.
[[nodiscard]] std::vector<Index> npy_shape(const std::string& path);

/// Samples and features of an array of this shape. Throws Error(io) with `name` for fewer than two axes, for no samples or no features.
[[nodiscard]] std::pair<Index, Index> samples_shape(const std::vector<Index>& shape, const std::string& name);

/// An array of samples: its first axis by the product of the others, moved out of it. Throws Error(io) with `name` for fewer than two axes,
/// for no samples or no features, and for NaN or Inf with the index.
[[nodiscard]] HostMatrix<double> take_samples(Array&& array, const std::string& name);

/// Throws Error(io) naming `name` and the index when a value is NaN or Inf.
void require_finite(const Array& array, const std::string& name);

}  // namespace ntk
