#pragma once

// Handles of NCCL and cuSOLVERMp with an owner.

#include "libraries.hpp"

#include <exception>
#include <memory>
#include <type_traits>

namespace ntk::nvidia {

/// Calls what destroys a handle. Where an exception ends the work that is `abandon`, and nothing without one: what ranks destroy together
/// would wait for those that never come to it.
template <class Handle, class Status>
struct Destroyer {
    Status (*destroy)(Handle) = nullptr;
    Status (*abandon)(Handle) = nullptr;

    void operator()(Handle handle) const noexcept {
        if (const auto end = std::uncaught_exceptions() > 0 ? abandon : destroy) (void)end(handle);
    }
};
template <class Handle, class Status = cusolverStatus_t>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroyer<Handle, Status>>;

using Communicator = Owned<ncclComm_t, ncclResult_t>;
using Solver = Owned<cusolverMpHandle_t>;
using Grid = Owned<cusolverMpGrid_t>;
using Description = Owned<cusolverMpMatrixDescriptor_t>;

}  // namespace ntk::nvidia
