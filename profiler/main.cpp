// tidemark-profile: from a model or a planned trace to a recording.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>

#include <fmt/format.h>

#include "profiler/command_line.h"
#include "profiler/cuda/load_plugin.h"
#include "profiler/dataset.h"
#include "profiler/doctor.h"
#include "profiler/inject/launch.h"
#include "profiler/report.h"
#include "sim/builder.h"
#include "sim/exit_code.h"
#include "sim/units.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

std::atomic<bool> cancelled{false};
static_assert(std::atomic<bool>::is_always_lock_free, "it is set by a signal handler");

void on_interrupt(int) {
  cancelled = true;
}

/// The program to execute, with META that rebuilds the run.
Trace program_of(CommandLine& line) {
  if (line.schedule.empty()) return build_program(line.config);
  Trace planned = read_trace(line.schedule);
  planned.meta.source = line.schedule;
  if (!planned.meta.config_json.empty()) {
    line.config = run_config_from_json(planned.meta.config_json);
  }
  if (!line.steps_given && !planned.steps.empty()) {
    line.run.steps = static_cast<std::int64_t>(planned.steps.size());
  }
  return planned;
}

/// The data that the program was made for; other data would give other results.
Dataset data_of(const CommandLine& line, const Trace& program) {
  if (line.config.batch == 0) {
    throw InputError({line.schedule, "META", "a run configuration", "none"});
  }
  Dataset data = find_dataset(line.config, line.data);
  const std::string& wanted = program.meta.data_digest;
  if (!wanted.empty() && wanted != data.digest()) {
    throw InputError({line.schedule, "data",
                      "the data of the planned run, digest " + wanted + " (name them with --data)",
                      data.digest()});
  }
  return data;
}

bool loads_batches(const Trace& program) {
  for (const Op& op : program.ops) {
    if (op.kind == OpKind::load_batch) return true;
  }
  return false;
}

/// One line for some of the steps on stdout, each step in place on a terminal.
std::function<void(const StepRecord&)> step_printer(const CommandLine& line) {
  if (line.quiet) return {};
  const bool lines = !line.json && line.output != "-";
  const bool progress = isatty(STDERR_FILENO) != 0;
  const std::int64_t steps = line.run.steps;
  return [=](const StepRecord& step) {
    const std::int64_t every = std::max<std::int64_t>(1, steps / 10);
    const std::string loss = step.has_loss ? fmt::format("{:.6f}", step.loss) : "-";
    const std::string eval =
        step.has_eval_loss ? fmt::format("  eval loss {:.6f}", step.eval_loss) : "";
    const std::string text =
        fmt::format("step {:>4}  loss {}  {}{}", step.step, loss, format_ns(step.wall_ns), eval);
    const bool chosen = step.step % every == 0 || step.step + 1 == steps || step.has_eval_loss;
    if (progress) fmt::print(stderr, "\r{:<60}\r", chosen && lines ? "" : text);
    if (chosen && lines) {
      fmt::print("{}\n", text);
      std::fflush(stdout);
    }
  };
}

/// A run that never finished a step has no steady times: all are modelled, so that it can be
/// planned from.
void model_missing_times(Trace& trace) {
  if (!trace.steps.empty()) return;
  for (Op& op : trace.ops) op.duration_ns = -1;
  fill_modelled_times(find_device(trace.meta.backend == "dry" ? trace.meta.device : "laptop-core"),
                      trace);
}

int report(const CommandLine& line, const RunResult& result) {
  const std::string& output = line.output;
  if (result.shortage) {
    if (line.json) fmt::print("{}", shortage_json(result.trace, *result.shortage, output));
    std::fflush(stdout);  // so that the story comes in order when both go to one file
    fmt::print(stderr, "tidemark: {}", shortage_text(result.trace, *result.shortage, output));
    return k_exit_out_of_memory;
  }
  if (result.cancelled) {
    std::fflush(stdout);
    fmt::print(stderr, "tidemark: cancelled after {} steps; written to {}\n",
               result.trace.steps.size(), output);
    return k_exit_cancelled;
  }
  constexpr std::int64_t k_bytes = 256;  // values of a token that is a byte
  const Generated generated{result.tokens, line.config.model.gpt2.vocabulary == k_bytes};
  if (line.json) fmt::print("{}", summary_json(result.trace, output, generated));
  if (!line.json && !line.quiet && output != "-") {
    fmt::print("{}{}", generated_text(generated), summary_text(result.trace, output));
  }
  return k_exit_done;
}

/// A file beside the output: what is left of the run when it is killed. None for a pipe or device.
std::string stream_name(const std::string& output) {
  std::error_code ignored;
  const auto kind = std::filesystem::status(output, ignored).type();
  const bool regular =
      kind == std::filesystem::file_type::regular || kind == std::filesystem::file_type::not_found;
  return output == "-" || !regular ? "" : output + ".part";
}

int profile(CommandLine line) {
  require_writable(line.output);
  require_other_file(line.output, {line.schedule, line.model_file, line.data});
  Trace program = program_of(line);
  program.meta.tool = "tidemark 0.1.0";
  program.meta.command = line.command;
  for (Stream& stream : program.streams) {
    if (stream.kind != StreamKind::compute && line.link_bytes_per_s > 0) {
      stream.link_bytes_per_s = line.link_bytes_per_s;
    }
  }
  std::optional<Dataset> data;
  if (line.run.backend != BackendKind::dry && loads_batches(program)) {
    data = data_of(line, program);
    line.run.data = &*data;
  }
  if (line.run.backend == BackendKind::cuda) {
    std::string why;
    line.run.cuda = load_cuda_plugin(why);
    if (line.run.cuda == nullptr) throw InputError({{}, "--backend cuda", "a CUDA device", why});
    line.run.device = cuda_device_name();
  }
  line.run.cancel = &cancelled;
  line.run.on_step = step_printer(line);
  if (!line.quiet && !line.json && line.output != "-") {
    fmt::print("{} on {}\n", program.meta.title,
               line.run.backend == BackendKind::cpu    ? "cpu"
               : line.run.backend == BackendKind::cuda ? line.run.device
                                                       : "dry " + line.run.device);
  }
  line.run.stream = stream_name(line.output);
  RunResult result = execute(program, line.run);
  if (result.shortage || result.cancelled) model_missing_times(result.trace);
  write_trace(result.trace, line.output);
  if (!line.run.stream.empty()) std::remove(line.run.stream.c_str());
  return report(line, result);
}

int failed(const std::string& why, int exit_code) {
  std::fflush(stdout);
  fmt::print(stderr, "tidemark: {}\n", why);
  return exit_code;
}

}  // namespace
}  // namespace tidemark

int main(int argc, char** argv) {
  using namespace tidemark;
  try {
    if (argc > 1 && std::strcmp(argv[1], "doctor") == 0) {
      const int exit_code = doctor(argc, argv);
      flush_stdout();
      return exit_code;
    }
    if (is_injection(argc, argv)) {
      const int exit_code = run_injection(parse_injection(argc, argv));
      flush_stdout();
      return exit_code;
    }
    std::signal(SIGINT, on_interrupt);
    std::optional<CommandLine> line = parse_command_line(argc, argv);
    const int exit_code = line ? profile(std::move(*line)) : k_exit_done;
    flush_stdout();
    return exit_code;
  } catch (const InputError& error) {
    return failed(error.what(), k_exit_bad_input);
  } catch (const OutOfMemory& error) {
    return failed(error.what(), k_exit_out_of_memory);
  } catch (const std::bad_alloc&) {
    return failed("this machine has not enough memory for the trace of this run", k_exit_bad_input);
  } catch (const std::exception& error) {
    if (std::ferror(stdout) != 0) {  // what print reports is no bug of ours
      return failed(fmt::format("stdout: cannot be written: {}", error.what()), k_exit_bad_input);
    }
    return failed(fmt::format("own bug: {}", error.what()), k_exit_own_bug);
  }
}
