// Finds the processes that this one was started with.
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "sim/report_run.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// How many processes a launcher says it has started; 1 without a launcher.
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

}  // namespace

std::unique_ptr<RankGroup> find_group() {
  const int processes = launched_processes();
  if (processes <= 1) return std::make_unique<SoloGroup>();
  std::error_code ignored;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  std::string why;
  for (const auto& folder : {self, self / TIDEMARK_PLUGIN_FOLDER}) {
    const std::string file = (folder / "libtidemark-mpi.so").string();
    void* plugin = ::dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (plugin == nullptr) {
      if (why.empty()) why = ::dlerror();
      continue;
    }
    using Make = RankGroup* (*)();
    // What dlsym gives is a function by its documentation.
    if (const auto make = reinterpret_cast<Make>(::dlsym(plugin, "tidemark_mpi_group"))) {
      return std::unique_ptr<RankGroup>(make());
    }
    why = ::dlerror();
  }
  throw InputError(fmt::format(
      "MPI: expected the plug-in for {} processes (built where MPI is found), found none: {}",
      processes, why));
}

}  // namespace tidemark
