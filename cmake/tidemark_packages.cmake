# Finds every package in one place and reports what is on and off.
include(FeatureSummary)
include(CheckLanguage)

if(POLICY CMP0167)  # CMake 3.30: Boost's own configuration instead of FindBoost
  cmake_policy(SET CMP0167 NEW)
endif()
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS iostreams)
find_package(PkgConfig REQUIRED)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(openblas REQUIRED IMPORTED_TARGET openblas)
find_package(ZLIB REQUIRED)

# By header and library: the package's own configuration also asks for OpenCL, which no code needs.
find_path(TIDEMARK_ONEDNN_INCLUDE oneapi/dnnl/dnnl.hpp)
find_library(TIDEMARK_ONEDNN_LIBRARY dnnl)
set(TIDEMARK_WITH_ONEDNN OFF)
if(TIDEMARK_ONEDNN_INCLUDE AND TIDEMARK_ONEDNN_LIBRARY)
  set(TIDEMARK_WITH_ONEDNN ON)
  add_library(tidemark_onednn INTERFACE)
  target_include_directories(tidemark_onednn SYSTEM INTERFACE "${TIDEMARK_ONEDNN_INCLUDE}")
  target_link_libraries(tidemark_onednn INTERFACE "${TIDEMARK_ONEDNN_LIBRARY}" ${CMAKE_DL_LIBS})
endif()
add_feature_info(onednn TIDEMARK_WITH_ONEDNN "faster matrix products, needs libdnnl-dev")

set(TIDEMARK_WITH_SQLITE OFF)
if(NOT TIDEMARK_SQLITE STREQUAL "OFF")
  pkg_check_modules(sqlite QUIET IMPORTED_TARGET sqlite3)
  set(TIDEMARK_WITH_SQLITE ${sqlite_FOUND})
endif()
add_feature_info(sqlite TIDEMARK_WITH_SQLITE
                 "imports and exports as SQLite, needs libsqlite3-dev")

set(TIDEMARK_WITH_SOLVER OFF)
if(NOT TIDEMARK_SOLVER STREQUAL "OFF")
  pkg_check_modules(cbc QUIET IMPORTED_TARGET cbc)
  set(TIDEMARK_WITH_SOLVER ${cbc_FOUND})
endif()
add_feature_info(solver TIDEMARK_WITH_SOLVER
                 "bounds and proofs by CBC, needs coinor-libcbc-dev")

find_package(MPI QUIET COMPONENTS CXX)
set(TIDEMARK_WITH_MPI ${MPI_CXX_FOUND})
add_feature_info(mpi TIDEMARK_WITH_MPI
                 "ranks as processes, reports on many machines, needs libopenmpi-dev")

set(TIDEMARK_WITH_GUI OFF)
if(NOT TIDEMARK_GUI STREQUAL "OFF")
  find_package(Qt6 6.4 QUIET COMPONENTS Widgets Test)
  set(TIDEMARK_WITH_GUI ${Qt6_FOUND})
  find_package(Qt6Svg 6.4 QUIET)
endif()
set(TIDEMARK_WITH_SVG ${Qt6Svg_FOUND})
add_feature_info(window TIDEMARK_WITH_GUI "tidemark-view, needs Qt 6.4 (qt6-base-dev)")
add_feature_info(printing TIDEMARK_WITH_SVG "reports as PDF, needs qt6-svg-dev")

# CMake looks for nvcc only in PATH and CUDACXX; a toolkit in its default folder would be missed.
set(TIDEMARK_WITH_CUDA OFF)
if(NOT EXISTS "${PROJECT_SOURCE_DIR}/profiler/cuda/CMakeLists.txt")
  set(cuda_text "CUDA plug-in, not written yet")
else()
  set(cuda_text "backend cuda, needs the CUDA toolkit")
  if(NOT TIDEMARK_CUDA STREQUAL "OFF")
    find_program(TIDEMARK_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin
                 PATHS /usr/local/cuda)
  endif()
  if(TIDEMARK_NVCC)
    set(CMAKE_CUDA_COMPILER "${TIDEMARK_NVCC}")
    find_package(CUDAToolkit QUIET)
    set(TIDEMARK_WITH_CUDA ${CUDAToolkit_FOUND})
  endif()
endif()
add_feature_info(cuda TIDEMARK_WITH_CUDA "${cuda_text}")

set(TIDEMARK_WITH_NCCL OFF)
if(TIDEMARK_WITH_CUDA)
  find_path(TIDEMARK_NCCL_INCLUDE nccl.h HINTS ENV NCCL_HOME ${CUDAToolkit_INCLUDE_DIRS}
            PATH_SUFFIXES include)
  find_library(TIDEMARK_NCCL_LIBRARY nccl HINTS ENV NCCL_HOME ${CUDAToolkit_LIBRARY_DIR}
               PATH_SUFFIXES lib)
  if(TIDEMARK_NCCL_INCLUDE AND TIDEMARK_NCCL_LIBRARY)
    set(TIDEMARK_WITH_NCCL ON)
  endif()
endif()
add_feature_info(nccl TIDEMARK_WITH_NCCL "ranks on several GPUs, needs CUDA and NCCL (libnccl-dev)")

# Headers only: libcudnn is looked for when the plug-in has opened a device.
set(TIDEMARK_WITH_CUDNN OFF)
if(TIDEMARK_WITH_CUDA)
  find_path(TIDEMARK_CUDNN_INCLUDE cudnn_graph.h HINTS ENV CUDNN_HOME ${CUDAToolkit_INCLUDE_DIRS}
            PATH_SUFFIXES include)
  if(TIDEMARK_CUDNN_INCLUDE)
    set(TIDEMARK_WITH_CUDNN ON)
  endif()
endif()
add_feature_info(cudnn TIDEMARK_WITH_CUDNN
                 "attention by cuDNN, needs CUDA and the headers of cuDNN 9")

# Headers only: libcupti itself is looked for when a recording begins.
set(TIDEMARK_WITH_CUPTI OFF)
if(NOT TIDEMARK_CUDA STREQUAL "OFF")
  find_path(TIDEMARK_CUPTI_INCLUDE cupti.h HINTS ENV CUDA_HOME ENV CUDA_PATH
            PATHS /usr/local/cuda PATH_SUFFIXES include extras/CUPTI/include)
  find_path(TIDEMARK_NVTX_INCLUDE nvtx3/nvToolsExt.h HINTS ENV CUDA_HOME ENV CUDA_PATH
            PATHS /usr/local/cuda PATH_SUFFIXES include)
  if(TIDEMARK_CUPTI_INCLUDE AND TIDEMARK_NVTX_INCLUDE)
    set(TIDEMARK_WITH_CUPTI ON)
    add_library(tidemark_cupti_headers INTERFACE)
    target_include_directories(tidemark_cupti_headers SYSTEM INTERFACE
      "${TIDEMARK_CUPTI_INCLUDE}" "${TIDEMARK_NVTX_INCLUDE}")
  endif()
endif()
add_feature_info(cupti TIDEMARK_WITH_CUPTI
                 "recording of any CUDA program, needs the headers of CUPTI and NVTX 3")

# Rebuilds from unchanged text cost nothing, also in another checkout.
find_program(TIDEMARK_CCACHE ccache)
if(TIDEMARK_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER /usr/bin/env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}"
      CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros "${TIDEMARK_CCACHE}")
endif()
