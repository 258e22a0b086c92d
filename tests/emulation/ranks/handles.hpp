#pragma once

// The communicators of emulated NCCL, as emulated cuSOLVERMp sees them, and which handles of both exist.

#include "state.hpp"

#include <mpi.h>
#include <nccl.h>

struct ncclComm {
    MPI_Comm ranks;
    int device;
    int users = 0;  ///< grids of cuSOLVERMp on it
};

namespace emulated {

/// Handles that were made and not destroyed.
template <class Object>
std::set<Object*>& live() {
    static auto& objects = *new std::set<Object*>;
    return objects;
}

template <class Object>
Object* create(Object object) {
    auto* const made = new Object(object);
    live<Object>().insert(made);
    count_object(1);
    return made;
}

/// Ends the process for a handle that does not exist.
template <class Object>
Object& existing_handle(Object* handle) {
    if (!live<Object>().contains(handle)) fault("a handle of NCCL or cuSOLVERMp that does not exist", handle);
    return *handle;
}

/// Nothing else may still work with it.
template <class Object>
void destroy(Object* handle) {
    if (existing_handle(handle).users != 0) fault("a handle of NCCL or cuSOLVERMp is destroyed before what was made with it", handle);
    live<Object>().erase(handle);
    count_object(-1);
    delete handle;
}

}  // namespace emulated
