#include "profiler/process_team.h"

#include "sim/mpi_processes.h"

namespace tidemark {

bool is_one_of_several_processes() {
  return launched_processes() > 1;
}

std::unique_ptr<ProcessCommunicator> join_processes() {
  using Join = ProcessCommunicator* (*)();
  return std::unique_ptr<ProcessCommunicator>(
      reinterpret_cast<Join>(mpi_function("tidemark_join_processes"))());
}

}  // namespace tidemark
