// Ranks that are processes: started by mpirun, each runs the program of its own rank.
#pragma once

#include <cstdint>
#include <memory>

#include "profiler/communicator.h"

namespace tidemark {

/// A communicator that also knows who it is. Sums are made in the order of the ranks, as threads
/// make them: the results are the same to the bit.
class ProcessCommunicator : public Communicator {
 public:
  [[nodiscard]] virtual std::int32_t rank() const = 0;
  [[nodiscard]] virtual std::int32_t ranks() const = 0;
  /// Place among the ranks on the same machine, from 0.
  [[nodiscard]] virtual std::int32_t local_rank() const = 0;

  /// The last call. 0: when all ranks have come here; else ends every process with this exit code.
  virtual void leave(int exit_code) = 0;
};

/// True when mpirun or srun started this process as one of several.
[[nodiscard]] bool is_one_of_several_processes();

/// Joins the others, by the plug-in libtidemark-mpi.so (sim/mpi_processes.h). Throws InputError
/// when it is not there or MPI cannot be used.
[[nodiscard]] std::unique_ptr<ProcessCommunicator> join_processes();

}  // namespace tidemark
