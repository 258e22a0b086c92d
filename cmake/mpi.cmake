# Several ranks: the library ntkcuda::mpi and the program ntkcuda-mpi, where MPI and ScaLAPACK are found. Nothing else depends on them.

set(NTKCUDA_HAS_MPI OFF)
if(NTKCUDA_MPI)
    set(MPI_CXX_SKIP_MPICXX ON)  # the C interface alone
    find_package(MPI COMPONENTS CXX QUIET)
    find_library(SCALAPACK_LIBRARY NAMES scalapack-openmpi scalapack)
    if(MPI_CXX_FOUND AND SCALAPACK_LIBRARY)
        set(NTKCUDA_HAS_MPI ON)
    else()
        message(STATUS "No MPI or no ScaLAPACK: building without ntkcuda-mpi (Debian: libopenmpi-dev, libscalapack-openmpi-dev)")
    endif()
endif()
if(NOT NTKCUDA_HAS_MPI)
    return()
endif()

file(GLOB NTKCUDA_MPI_SOURCES CONFIGURE_DEPENDS host/mpi/*.cpp)
add_library(ntkcuda_mpi STATIC ${NTKCUDA_MPI_SOURCES})
add_library(ntkcuda::mpi ALIAS ntkcuda_mpi)
set_target_properties(ntkcuda_mpi PROPERTIES EXPORT_NAME mpi OUTPUT_NAME ntkcuda-mpi)
target_compile_features(ntkcuda_mpi PUBLIC cxx_std_20)
target_include_directories(ntkcuda_mpi PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(ntkcuda_mpi PRIVATE $<BUILD_INTERFACE:ntkcuda_parts>)
target_link_libraries(ntkcuda_mpi PUBLIC MPI::MPI_CXX $<BUILD_INTERFACE:ntkcuda> $<INSTALL_INTERFACE:ntkcuda::ntkcuda>)
# ScaLAPACK before OpenBLAS, whose BLAS and LAPACK it is to use.
get_filename_component(scalapack_name ${SCALAPACK_LIBRARY} NAME_WE)
string(REGEX REPLACE "^lib" "" scalapack_name ${scalapack_name})
target_link_libraries(ntkcuda_mpi PRIVATE $<BUILD_INTERFACE:${SCALAPACK_LIBRARY}> $<INSTALL_INTERFACE:${scalapack_name}>
    $<INSTALL_INTERFACE:lapacke> $<INSTALL_INTERFACE:openblas>)
target_link_libraries(ntkcuda_mpi PRIVATE fmt::fmt OpenMP::OpenMP_CXX)

# Parts that stay on GPUs, or that there are none.
include(cmake/nvidia.cmake)
file(GLOB NTKCUDA_MPI_DEVICE_SOURCES CONFIGURE_DEPENDS host/mpi/nvidia/*.cpp)
list(FILTER NTKCUDA_MPI_DEVICE_SOURCES EXCLUDE REGEX "/(absent|load_libraries)\\.cpp$")
if(NTKCUDA_HAS_CUSOLVERMP)
    target_sources(ntkcuda_mpi PRIVATE ${NTKCUDA_MPI_DEVICE_SOURCES} host/mpi/nvidia/load_libraries.cpp)
    target_link_libraries(ntkcuda_mpi PRIVATE $<BUILD_INTERFACE:ntkcuda_nvidia_headers> ${CMAKE_DL_LIBS})
    set_source_files_properties(host/mpi/nvidia/load_libraries.cpp PROPERTIES COMPILE_DEFINITIONS
        "NTKCUDA_NCCL_LIBRARY=\"${NCCL_LIBRARY}\";NTKCUDA_CUSOLVERMP_LIBRARY=\"${CUSOLVERMP_LIBRARY}\"")
else()
    target_sources(ntkcuda_mpi PRIVATE host/mpi/nvidia/absent.cpp)
endif()

file(GLOB NTKCUDA_MPI_PROGRAM_SOURCES CONFIGURE_DEPENDS host/mpi/program/*.cpp)
add_executable(ntkcuda_mpi_cli ${NTKCUDA_MPI_PROGRAM_SOURCES} $<TARGET_OBJECTS:ntkcuda_commands>)
set_target_properties(ntkcuda_mpi_cli PROPERTIES OUTPUT_NAME ntkcuda-mpi)
target_link_libraries(ntkcuda_mpi_cli PRIVATE ntkcuda_mpi ntkcuda_commands)
