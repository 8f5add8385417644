// Finds the processes that this one was started with.
#include "sim/mpi_processes.h"
#include "sim/report_run.h"

namespace tidemark {

std::unique_ptr<RankGroup> find_group() {
  if (launched_processes() <= 1) return std::make_unique<SoloGroup>();
  using Make = RankGroup* (*)();
  // What dlsym gives is a function by its documentation.
  return std::unique_ptr<RankGroup>(reinterpret_cast<Make>(mpi_function("tidemark_mpi_group"))());
}

}  // namespace tidemark
