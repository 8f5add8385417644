// Runs a program of several ranks in this process: one thread and one arena per rank.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "profiler/executor.h"

namespace tidemark {

/// How the run ended, in rank order.
struct RanksResult {
  std::vector<RunResult> ranks;
  /// The first rank that could not go on: it is out of memory or has a failure; -1 = none. Others
  /// are in the same state, or stopped.
  std::int32_t ended_by = -1;
};

/// Executes `programs`, ranks 0, 1, ... of one run, each as execute() does with `options`: the
/// memories are those of each rank. `streams`: one file name per rank, or none at all. on_step is
/// called for rank 0. Losses of a step are the mean over all ranks. When one rank cannot go on all
/// of them end, and each has its trace up to the last whole step. Results do not depend on how the
/// threads run.
/// Throws InputError when the programs are not legal together (check_ranks()), or are of fewer or
/// more ranks than they say.
[[nodiscard]] RanksResult execute_ranks(std::span<const Trace> programs, const RunOptions& options,
                                        const std::vector<std::string>& streams = {});

/// The same for rank `rank` alone, with options.communicator to the others, which do theirs.
[[nodiscard]] RunResult execute_rank(std::span<const Trace> programs, std::int32_t rank,
                                     const RunOptions& options);

}  // namespace tidemark
