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

/// So many entries, one behind the other.
[[nodiscard]] inline MPI_Datatype mpi_row(std::size_t entries, MPI_Datatype entry) {
    MPI_Datatype type = MPI_DATATYPE_NULL;
    mpi_call("MPI_Type_contiguous", MPI_Type_contiguous(static_cast<int>(entries), entry, &type));
    return type;
}

/// A type of MPI, committed while it lives.
class MpiType {
public:
    explicit MpiType(MPI_Datatype made) : made_(made) { mpi_call("MPI_Type_commit", MPI_Type_commit(&made_)); }
    ~MpiType() { MPI_Type_free(&made_); }
    MpiType(const MpiType&) = delete;
    MpiType& operator=(const MpiType&) = delete;
    [[nodiscard]] MPI_Datatype get() const { return made_; }

private:
    MPI_Datatype made_;
};

}  // namespace ntk
