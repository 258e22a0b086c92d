#pragma once

// What a call of libzip that failed becomes.

#include <ntkcuda/error.hpp>

#include <zip.h>

#include <new>
#include <string>

namespace ntk {

/// Memory that libzip did not get is no fault of a file.
inline void require_zip_memory(int code) {
    if (code == ZIP_ER_MEMORY) throw std::bad_alloc();
}

/// Throws Error(io) that says what failed and the reason, or std::bad_alloc.
[[noreturn]] inline void throw_zip_failure(const std::string& what, zip_error_t* error) {
    require_zip_memory(zip_error_code_zip(error));
    throw Error(ErrorCode::io, what + ": " + zip_error_strerror(error));
}

}  // namespace ntk
