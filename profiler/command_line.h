// The command line of tidemark-profile as one value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "profiler/executor.h"
#include "sim/config.h"

namespace tidemark {

struct CommandLine {
  RunConfig config;        // without a schedule
  std::string schedule;    // planned trace to execute; empty = build the program of `config`
  std::string model_file;  // of --model; empty = a built-in model
  std::string data;        // file; empty = the default of the model family
  std::string output;
  std::string command;          // as typed, for META
  double link_bytes_per_s = 0;  // > 0 replaces what the streams declare
  RunOptions run;               // without data, cancel and on_step
  bool steps_given = false;
  bool json = false;
  bool quiet = false;
};

/// None when the program has nothing left to do (--help and --version print themselves).
/// Throws InputError with one line for anything that is not understood or impossible.
[[nodiscard]] std::optional<CommandLine> parse_command_line(int argc, const char* const* argv);

/// "run.plan.tmk" -> "run.measured.tmk"
[[nodiscard]] std::string measured_name(const std::string& schedule);

}  // namespace tidemark
