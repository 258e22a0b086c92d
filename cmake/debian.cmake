# The Debian packages ntkcuda (program, data, shared library) and libntkcuda-dev, by `cmake --workflow --preset deb`.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The ntkcuda authors <ntkcuda@localhost>")
set(CPACK_PACKAGE_NAME ntkcuda)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL ntkcuda development)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_NTKCUDA_PACKAGE_NAME ntkcuda)
set(CPACK_DEBIAN_NTKCUDA_PACKAGE_SECTION math)
set(CPACK_DEBIAN_NTKCUDA_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_NTKCUDA_DESCRIPTION "Empirical neural tangent kernels of fully connected networks, their
infinite-width limit at any depth, and the closed-form solution.

This package has the program ntkcuda and the shared library.")
# Who is linked with the shared library depends on this package, and the loader is told of it.
set(control ${PROJECT_BINARY_DIR}/debian)
file(CONFIGURE OUTPUT ${control}/shlibs CONTENT "libntkcuda ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} ntkcuda (>= ${PROJECT_VERSION})\n")
file(CONFIGURE OUTPUT ${control}/triggers CONTENT "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_NTKCUDA_PACKAGE_CONTROL_EXTRA ${control}/shlibs ${control}/triggers)

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libntkcuda-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "ntkcuda (= ${PROJECT_VERSION}), libopenblas-dev, liblapacke-dev, libfmt-dev, libzip-dev, zlib1g-dev, pkg-config")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Development files: headers, static library, and what CMake and pkg-config need
to find the C++20 library behind the program ntkcuda.")

set(packages ntkcuda libntkcuda-dev)
if(NTKCUDA_HAS_MPI)
    list(APPEND CPACK_COMPONENTS_ALL mpi)
    list(APPEND packages ntkcuda-mpi)
    set(CPACK_DEBIAN_MPI_PACKAGE_NAME ntkcuda-mpi)
    set(CPACK_DEBIAN_MPI_PACKAGE_SECTION math)
    set(CPACK_DEBIAN_MPI_PACKAGE_SHLIBDEPS ON)
    set(CPACK_DEBIAN_MPI_PACKAGE_DEPENDS "ntkcuda (= ${PROJECT_VERSION}), openmpi-bin")
    set(CPACK_COMPONENT_MPI_DESCRIPTION "The program ntkcuda on several processes of MPI, which share the work of large kernels.")
    set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "libopenmpi-dev, libscalapack-openmpi-dev")
endif()

# What every Debian package has: its licence and its changes.
set(changelog ${PROJECT_BINARY_DIR}/changelog.gz)
add_custom_command(OUTPUT ${changelog} COMMAND ${GZIP_PROGRAM} -9 -n -c ${PROJECT_SOURCE_DIR}/CHANGELOG.md > ${changelog}
    DEPENDS ${PROJECT_SOURCE_DIR}/CHANGELOG.md VERBATIM)
add_custom_target(ntkcuda_changelog ALL DEPENDS ${changelog})
set(component_of_ntkcuda ntkcuda)
set(component_of_libntkcuda-dev development)
set(component_of_ntkcuda-mpi mpi)
foreach(package ${packages})
    set(component ${component_of_${package}})
    install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} RENAME copyright COMPONENT ${component})
    install(FILES ${changelog} DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component})
endforeach()

include(CPack)
