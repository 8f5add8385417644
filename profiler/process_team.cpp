#include "profiler/process_team.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "traces/error.h"

namespace tidemark {

bool is_one_of_several_processes() {
  const char* const size = std::getenv("OMPI_COMM_WORLD_SIZE");  // set by Open MPI's mpirun
  return size != nullptr && std::atoi(size) > 1;
}

std::unique_ptr<ProcessCommunicator> join_processes() {
  std::error_code ignored;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const std::string plugin = (self.parent_path() / "libtidemark-mpi.so").string();
  void* const library = ::dlopen(plugin.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    throw InputError({"mpirun", "ranks as processes",
                      "libtidemark-mpi.so (built where libopenmpi-dev is found)", ::dlerror()});
  }
  using Join = ProcessCommunicator* (*)();
  void* const join = ::dlsym(library, "tidemark_join_processes");
  if (join == nullptr) throw InputError({plugin, {}, "tidemark_join_processes", "no such symbol"});
  return std::unique_ptr<ProcessCommunicator>(reinterpret_cast<Join>(join)());
}

}  // namespace tidemark
