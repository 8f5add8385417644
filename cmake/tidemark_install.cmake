# What is installed, the CMake package for programs that read traces, and the Debian package.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(tidemark_programs tidemark tidemark-profile)
if(TARGET tidemark-view)
  list(APPEND tidemark_programs tidemark-view)
endif()
install(TARGETS ${tidemark_programs} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
if(TARGET tidemark-mpi)
  install(TARGETS tidemark-mpi LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/tidemark")
endif()
# Beside the programs or in lib: that is where they look. The CUDA plug-in stays in the build tree:
# what it links is in no Debian package.
if(TARGET tidemark-inject)
  install(TARGETS tidemark-inject LIBRARY DESTINATION lib)
endif()
install(DIRECTORY traces/samples DESTINATION "${CMAKE_INSTALL_DATADIR}/tidemark")
install(FILES README.md CHANGELOG.md traces/FORMAT.md docs/glossary.md docs/life-of-a-run.md
  docs/window.md docs/import-export.md
  DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(FILES LICENSE RENAME copyright DESTINATION "${CMAKE_INSTALL_DOCDIR}")

# Manual pages, and one completion file for all programs: each program makes its own part.
set(manual_dir "${PROJECT_BINARY_DIR}/manual")
set(completion_parts "")
foreach(program IN LISTS tidemark_programs)
  add_custom_command(OUTPUT "${manual_dir}/${program}.1" "${manual_dir}/${program}.bash"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${manual_dir}"
    COMMAND ${program} --manual man > "${manual_dir}/${program}.1"
    COMMAND ${program} --manual bash > "${manual_dir}/${program}.bash"
    DEPENDS ${program} VERBATIM)
  list(APPEND manual_files "${manual_dir}/${program}.1")
  list(APPEND completion_parts "${manual_dir}/${program}.bash")
endforeach()
add_custom_command(OUTPUT "${manual_dir}/completion/tidemark"
  COMMAND "${CMAKE_COMMAND}" -E make_directory "${manual_dir}/completion"
  COMMAND "${CMAKE_COMMAND}" -E cat ${completion_parts} > "${manual_dir}/completion/tidemark"
  DEPENDS ${completion_parts} VERBATIM)
add_custom_target(tidemark_manual ALL
  DEPENDS ${manual_files} "${manual_dir}/completion/tidemark")
install(FILES ${manual_files} DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
install(FILES "${manual_dir}/completion/tidemark"
  DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")

# find_package(tidemark): tidemark::traces (read and write traces) and tidemark::sim.
set_target_properties(tidemark_traces PROPERTIES EXPORT_NAME traces)
set_target_properties(tidemark_sim PROPERTIES EXPORT_NAME sim)
install(TARGETS tidemark_traces tidemark_sim EXPORT tidemark_targets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/tidemark"
  FILE_SET alone DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/tidemark")
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/tidemark")
install(EXPORT tidemark_targets NAMESPACE tidemark:: FILE tidemark-targets.cmake
  DESTINATION "${package_dir}")
configure_package_config_file(cmake/tidemark-config.cmake.in
  "${PROJECT_BINARY_DIR}/tidemark-config.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/tidemark-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/tidemark-config.cmake"
  "${PROJECT_BINARY_DIR}/tidemark-config-version.cmake" DESTINATION "${package_dir}")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tidemark)
set(CPACK_PACKAGE_CONTACT "The Tidemark developers <tidemark@example.org>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
include(CPack)
