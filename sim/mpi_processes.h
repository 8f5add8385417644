// Processes that mpirun or srun started together, and the plug-in through which they speak.
#pragma once

namespace tidemark {

/// How many processes the launcher says it has started; 1 without a launcher.
[[nodiscard]] int launched_processes();

/// A function of libtidemark-mpi.so, which is looked for beside the program and where it is
/// installed. All that links MPI is in there, so that the programs start without it. Throws
/// InputError when there is none.
[[nodiscard]] void* mpi_function(const char* name);

}  // namespace tidemark
