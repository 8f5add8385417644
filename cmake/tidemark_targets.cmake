# Warnings for our own code, and one function that makes a library of one folder.
add_library(tidemark_warnings INTERFACE)
target_compile_options(tidemark_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor
  -Woverloaded-virtual
  # GCC 12 sees an overlap in `"#" + std::string` where there is none (its bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)

# tidemark_library(traces HEADERS ... SOURCES ... LINK ... PRIVATE_LINK ...)
# makes static library tidemark_traces with alias tidemark::traces. A header whose source includes
# it first (the test `repo_style` holds that) is thereby compiled alone; the others are by target
# all_verify_interface_header_sets.
function(tidemark_library folder)
  cmake_parse_arguments(ARG "" "" "HEADERS;SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(tidemark_${folder} STATIC ${ARG_SOURCES})
  add_library(tidemark::${folder} ALIAS tidemark_${folder})
  foreach(header IN LISTS ARG_HEADERS)
    cmake_path(REPLACE_EXTENSION header LAST_ONLY cpp OUTPUT_VARIABLE source)
    if(source IN_LIST ARG_SOURCES)
      list(APPEND with_source ${header})
    else()
      list(APPEND alone ${header})
    endif()
  endforeach()
  target_sources(tidemark_${folder} PUBLIC
    FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}" FILES ${with_source}
    FILE_SET alone TYPE HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}" FILES ${alone})
  set_target_properties(tidemark_${folder} PROPERTIES
    VERIFY_INTERFACE_HEADER_SETS ON INTERFACE_HEADER_SETS_TO_VERIFY alone)
  target_link_libraries(tidemark_${folder}
    PUBLIC ${ARG_LINK}
    PRIVATE ${ARG_PRIVATE_LINK} $<BUILD_INTERFACE:tidemark_warnings>)
endfunction()
