#pragma once

// Every status of MPI is looked at.

#include <ntkcuda/error.hpp>

#include <mpi.h>

#include <string>

namespace ntk {

/// MPI's own words for a status.
[[nodiscard]] inline std::string mpi_message(int status) {
    char text[MPI_MAX_ERROR_STRING] = {};
    int length = 0;
    MPI_Error_string(status, text, &length);
    return {text, static_cast<std::size_t>(length)};
}

inline void mpi_call(const char* what, int status) {
    if (status != MPI_SUCCESS) throw Error(ErrorCode::device_failure, std::string(what) + ": " + mpi_message(status));
}

template <class Real>
[[nodiscard]] MPI_Datatype mpi_type() {
    return sizeof(Real) == sizeof(double) ? MPI_DOUBLE : MPI_FLOAT;
}

}  // namespace ntk
