# What `cmake --install` and CPack put where: the program with its data, manual page and completions, and the library.

include(CMakePackageConfigHelpers)

# The program describes itself; `man` and the shells read it from where it is installed.
set(pages ${PROJECT_BINARY_DIR}/pages)
file(MAKE_DIRECTORY ${pages})
find_program(GZIP_PROGRAM gzip REQUIRED)
add_custom_command(OUTPUT ${pages}/ntkcuda.1.gz ${pages}/ntkcuda ${pages}/_ntkcuda
    COMMAND ntkcuda_cli --man > ${pages}/ntkcuda.1
    COMMAND ${GZIP_PROGRAM} -9 -n -f -k ${pages}/ntkcuda.1
    COMMAND ntkcuda_cli --completion bash > ${pages}/ntkcuda
    COMMAND ntkcuda_cli --completion zsh > ${pages}/_ntkcuda
    DEPENDS ntkcuda_cli VERBATIM)
add_custom_target(ntkcuda_pages ALL DEPENDS ${pages}/ntkcuda.1.gz)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/ntkcuda)
if(NTKCUDA_HAS_CUDA)
    set(NTKCUDA_CUDA_DEPENDENCY CUDAToolkit)
    set(pc_cuda "-L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -lcublas -lcusolver -ldl -lrt -pthread")
endif()
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
configure_file(cmake/ntkcuda.pc.in ntkcuda.pc @ONLY)
configure_package_config_file(cmake/ntkcuda-config.cmake.in ntkcuda-config.cmake INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(ntkcuda-config-version.cmake COMPATIBILITY SameMinorVersion)

# Component ntkcuda: what runs. Component development: what programs are built with.
install(TARGETS ntkcuda_cli COMPONENT ntkcuda)
install(FILES data/digits.csv data/README.md DESTINATION ${CMAKE_INSTALL_DATADIR}/ntkcuda COMPONENT ntkcuda)
install(DIRECTORY data/rates DESTINATION ${CMAKE_INSTALL_DATADIR}/ntkcuda COMPONENT ntkcuda)
install(FILES ${pages}/ntkcuda.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ntkcuda)
install(FILES ${pages}/ntkcuda DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT ntkcuda)
install(FILES ${pages}/_ntkcuda DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT ntkcuda)
install(TARGETS ntkcuda_shared EXPORT ntkcuda-shared-targets LIBRARY COMPONENT ntkcuda NAMELINK_COMPONENT development)
install(TARGETS ntkcuda_static EXPORT ntkcuda-static-targets ARCHIVE COMPONENT development)
set(flavours shared static)
if(NTKCUDA_HAS_MPI)  # a component of its own, so that nothing else needs MPI
    install(TARGETS ntkcuda_mpi_cli COMPONENT mpi)
    install(TARGETS ntkcuda_mpi EXPORT ntkcuda-mpi-targets ARCHIVE COMPONENT development)
    list(APPEND flavours mpi)
else()
    set(without_mpi PATTERN mpi.hpp EXCLUDE)
endif()
install(DIRECTORY include/ntkcuda ${PROJECT_BINARY_DIR}/include/ntkcuda DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
    FILES_MATCHING PATTERN *.hpp ${without_mpi})
foreach(flavour ${flavours})
    install(EXPORT ntkcuda-${flavour}-targets NAMESPACE ntkcuda:: DESTINATION ${package_folder} COMPONENT development)
endforeach()
install(FILES ${PROJECT_BINARY_DIR}/ntkcuda-config.cmake ${PROJECT_BINARY_DIR}/ntkcuda-config-version.cmake DESTINATION ${package_folder}
    COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/ntkcuda.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

if(PROJECT_IS_TOP_LEVEL)
    include(cmake/debian.cmake)
endif()
