#include "sim/mpi_processes.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "traces/error.h"

namespace tidemark {

int launched_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE"}) {
    if (const char* text = std::getenv(name)) return std::atoi(text);
  }
  // srun starts processes that are no MPI ranks, too: only with an interface for them.
  const char* tasks = std::getenv("SLURM_NTASKS");
  const bool has_interface =
      std::getenv("PMIX_RANK") != nullptr || std::getenv("PMI_RANK") != nullptr;
  return tasks != nullptr && has_interface ? std::atoi(tasks) : 1;
}

void* mpi_function(const char* name) {
  std::error_code ignored;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  std::string why;
  for (const auto& folder : {self, self / TIDEMARK_PLUGIN_FOLDER}) {
    const std::string file = (folder / "libtidemark-mpi.so").string();
    void* const plugin = ::dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (plugin == nullptr) {
      if (why.empty()) why = ::dlerror();
      continue;
    }
    if (void* const found = ::dlsym(plugin, name)) return found;
    why = ::dlerror();
  }
  throw InputError(fmt::format(
      "MPI: expected the plug-in libtidemark-mpi.so for {} processes (built where libopenmpi-dev "
      "is found), found none: {}",
      launched_processes(), why));
}

}  // namespace tidemark
