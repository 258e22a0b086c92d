#pragma once

/// \file error.hpp
/// The one exception type of the library.

#include <stdexcept>
#include <string>

namespace ntk {

/// What went wrong, for callers that act on it; the message says it to people.
enum class ErrorCode {
    invalid_argument,       ///< a value out of its domain, an unknown name, an option that contradicts another
    shape_mismatch,         ///< two matrices, or a matrix and a network, whose sizes do not fit
    io,                     ///< a file that cannot be read, is malformed, or cannot be written
    device_unavailable,     ///< the requested device does not exist here
    out_of_memory,          ///< the work does not fit; the message names the bytes needed
    device_failure,         ///< a CUDA, cuBLAS, cuSOLVER or LAPACK call failed for another reason
    not_positive_definite,  ///< a factorisation met a non-positive pivot, or the system is too ill-conditioned
    cancelled,              ///< the caller requested a stop (progress.hpp)
};

/// Every failure of the library is thrown as this type.
class Error : public std::runtime_error {
public:
    Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    [[nodiscard]] ErrorCode code() const noexcept { return code_; }

private:
    ErrorCode code_;
};

}  // namespace ntk
