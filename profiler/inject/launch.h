// `tidemark profile --inject -- PROGRAM ...`: starts any program so that CUDA and NVTX load our
// library into it, and makes traces of what it leaves.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

struct InjectionCommand {
  std::vector<std::string> program;  // with its arguments
  std::string output = "inject.tmk";
  bool kernels = false;  // also kernels and copies
  bool json = false;
  bool quiet = false;
};

/// True when the words of tidemark-profile ask for an injection: --inject before any "--", and no
/// --help.
[[nodiscard]] bool is_injection(int argc, const char* const* argv);

/// Throws InputError for anything that is not understood.
[[nodiscard]] InjectionCommand parse_injection(int argc, const char* const* argv);

/// What one process left.
struct InjectedProcess {
  std::int64_t pid = 0;
  std::string part;  // file that it wrote
  Trace trace;
};

/// The files `prefix`.PID that the processes of a run left, in the order of their numbers. A file
/// that cannot be read at all is named in `unreadable`.
[[nodiscard]] std::vector<InjectedProcess> injected_processes(const std::string& prefix,
                                                              std::vector<std::string>& unreadable);

/// One trace for each device of each process that has allocations of the program, in that order.
/// Trace i has rank i of so many, and its device is the device of that rank.
[[nodiscard]] std::vector<Trace> rank_traces(const std::vector<InjectedProcess>& processes);

/// Runs the program and writes the trace: one device of one process gives `output`; several give
/// "x.rank0.tmk", ... and the index "x.tmk". Returns the exit code of the program (128 + signal
/// when one ended it); 1 when the program ended well and nothing was recorded, with the reason on
/// stderr.
int run_injection(const InjectionCommand& command);

}  // namespace tidemark
