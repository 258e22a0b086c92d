# NCCL and cuSOLVERMp, by which the GPUs of several ranks exchange and factorise. Neither is linked: ntkcuda-mpi loads them when it needs them
# (host/mpi/nvidia/libraries.hpp), from where they are found here or else from where the loader looks. Without them the hosts factorise.
#
# Looked for below NTKCUDA_NVIDIA_ROOT (scripts/nvidia-libraries makes such a folder; site-packages of Python is one), CMAKE_PREFIX_PATH and
# the system's folders, in the layout of NVIDIA's wheels as well.

set(NTKCUDA_HAS_CUSOLVERMP OFF)
if(NOT NTKCUDA_HAS_CUDA)
    return()
endif()
set(NTKCUDA_NVIDIA_ROOT "" CACHE PATH "Folder with NCCL and cuSOLVERMp")
set(hints ${NTKCUDA_NVIDIA_ROOT} ${CMAKE_PREFIX_PATH} ${CUDAToolkit_ROOT})
set(wheel nvidia/cu${CUDAToolkit_VERSION_MAJOR})
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${hints} PATH_SUFFIXES nvidia/nccl/include include)
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 NAMES_PER_DIR HINTS ${hints} PATH_SUFFIXES nvidia/nccl/lib lib lib64)
find_path(CUSOLVERMP_INCLUDE_DIR cusolverMp.h HINTS ${hints} PATH_SUFFIXES ${wheel}/include include)
find_library(CUSOLVERMP_LIBRARY NAMES cusolverMp libcusolverMp.so.0 NAMES_PER_DIR HINTS ${hints} PATH_SUFFIXES ${wheel}/lib lib lib64)
if(NOT (NCCL_INCLUDE_DIR AND NCCL_LIBRARY AND CUSOLVERMP_INCLUDE_DIR AND CUSOLVERMP_LIBRARY))
    message(STATUS "No NCCL or no cuSOLVERMp: several GPUs will factorise by ScaLAPACK on their hosts (scripts/nvidia-libraries gets both)")
    return()
endif()
file(STRINGS ${CUSOLVERMP_INCLUDE_DIR}/cusolverMp.h version REGEX "define CUSOLVERMP_VER_(MAJOR|MINOR|PATCH)")
string(REGEX REPLACE "[^0-9;]" "" version "${version}")
list(JOIN version . version)
if(version VERSION_LESS 0.7)
    message(STATUS "cuSOLVERMp ${version} is too old (0.7 takes communicators of NCCL): several GPUs will factorise by ScaLAPACK on their hosts")
    return()
endif()
message(STATUS "Several GPUs factorise by cuSOLVERMp ${version}: ${CUSOLVERMP_LIBRARY}, ${NCCL_LIBRARY}")
set(NTKCUDA_HAS_CUSOLVERMP ON)

add_library(ntkcuda_nvidia_headers INTERFACE)
target_include_directories(ntkcuda_nvidia_headers SYSTEM INTERFACE ${NCCL_INCLUDE_DIR} ${CUSOLVERMP_INCLUDE_DIR} ${CUDAToolkit_INCLUDE_DIRS})
