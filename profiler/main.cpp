// tidemark-profile: from a model or a planned trace to a recording.
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>

#include <fmt/format.h>

#include "profiler/command_line.h"
#include "profiler/cuda/load_plugin.h"
#include "profiler/cuda/rank_devices.h"
#include "profiler/dataset.h"
#include "profiler/doctor.h"
#include "profiler/inject/launch.h"
#include "profiler/process_team.h"
#include "profiler/rank_report.h"
#include "profiler/report.h"
#include "sim/builder.h"
#include "sim/exit_code.h"
#include "sim/units.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/rank_files.h"

namespace tidemark {
namespace {

std::atomic<bool> cancelled{false};
static_assert(std::atomic<bool>::is_always_lock_free, "it is set by a signal handler");

void on_interrupt(int) {
  cancelled = true;
}

/// The program to execute, of each rank, with META that rebuilds the run.
std::vector<Trace> programs_of(CommandLine& line) {
  if (line.schedule.empty()) return {build_program(line.config)};
  std::vector<Trace> planned = read_ranks(line.schedule);
  const Trace& first = planned.front();
  if (planned.size() == 1 && first.meta.rank_count > 1) {
    throw InputError({line.schedule, "meta.rank_count",
                      fmt::format("the index of all {} ranks", first.meta.rank_count),
                      fmt::format("rank {} alone", first.meta.rank)});
  }
  if (!first.meta.config_json.empty()) line.config = run_config_from_json(first.meta.config_json);
  if (!line.steps_given && !first.steps.empty()) {
    line.run.steps = static_cast<std::int64_t>(first.steps.size());
  }
  for (Trace& rank : planned) rank.meta.source = line.schedule;
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

/// What the command line says about the run goes into the program.
void set_run(const CommandLine& line, Trace& program) {
  program.meta.tool = "tidemark 0.1.0";
  program.meta.command = line.command;
  for (Stream& stream : program.streams) {
    const bool copies =
        stream.kind == StreamKind::host_to_device || stream.kind == StreamKind::device_to_host;
    if (copies && line.link_bytes_per_s > 0) stream.link_bytes_per_s = line.link_bytes_per_s;
  }
}

int report_ranks(const CommandLine& line, const RanksResult& result) {
  if (result.ended_by >= 0) {
    std::fflush(stdout);
    fmt::print(stderr, "tidemark: {}", ranks_ending_text(result, line.output));
    const bool shortage =
        result.ranks[static_cast<std::size_t>(result.ended_by)].shortage.has_value();
    return shortage ? k_exit_out_of_memory : k_exit_bad_input;
  }
  if (cancelled) {
    fmt::print(stderr, "tidemark: cancelled; written to {}\n", line.output);
    return k_exit_cancelled;
  }
  if (line.json) fmt::print("{}", ranks_json(result, line.output));
  if (!line.json && !line.quiet) fmt::print("{}", ranks_text(result, line.output));
  return k_exit_done;
}

int profile_ranks(CommandLine& line, const std::vector<Trace>& programs) {
  std::vector<std::string> streams = rank_files(line.output, programs.size());
  for (std::string& stream : streams) stream += ".part";
  RanksResult result = execute_ranks(programs, line.run, streams);
  std::vector<Trace> traces;
  for (RunResult& rank : result.ranks) {
    if (result.ended_by >= 0 || rank.cancelled) model_missing_times(rank.trace);
    traces.push_back(rank.trace);
  }
  write_ranks(traces, line.output);
  for (const std::string& stream : streams) std::remove(stream.c_str());
  return report_ranks(line, result);
}

/// What the ranks have written, once all of them have.
RanksResult read_results(const std::vector<std::string>& files) {
  RanksResult out;
  out.ranks.resize(files.size());
  for (std::size_t rank = 0; rank < files.size(); ++rank) {
    out.ranks[rank].trace = read_trace(files[rank]);
  }
  return out;
}

/// This process is one rank of several; the first writes the index and reports.
int profile_process(CommandLine& line, const std::vector<Trace>& programs) {
  const std::unique_ptr<ProcessCommunicator> others = join_processes();
  if (others->ranks() != static_cast<std::int32_t>(programs.size())) {
    throw InputError({"mpirun", "processes", fmt::format("{}, one per rank", programs.size()),
                      std::to_string(others->ranks())});
  }
  const auto rank = static_cast<std::size_t>(others->rank());
  const std::vector<std::string> files = rank_files(line.output, programs.size());
  line.run.communicator = others.get();
  if (line.run.backend == BackendKind::cuda) {
    const RankDevice mine = device_of_process(*line.run.cuda, *others);
    line.run.cuda_device = mine.device;
    line.run.device = mine.name;
  }
  line.run.stream = files[rank] + ".part";
  if (rank > 0) line.run.on_step = {};
  RunResult mine = execute_rank(programs, others->rank(), line.run);
  const bool ended = mine.shortage || !mine.failure.empty();
  if (ended || mine.cancelled) model_missing_times(mine.trace);
  write_trace(mine.trace, files[rank]);
  std::remove(line.run.stream.c_str());
  if (ended || mine.cancelled) {
    RanksResult result{.ranks = std::vector<RunResult>(programs.size()),
                       .ended_by = ended ? others->rank() : -1};
    result.ranks[rank] = std::move(mine);
    const int exit_code = report_ranks(line, result);
    fmt::print(stderr, "what the other ranks had recorded is beside it, in files *.part\n");
    others->leave(exit_code);
  }
  const std::array written{1.0};
  static_cast<void>(others->share(written));  // nobody goes on before all have written
  int exit_code = k_exit_done;
  if (rank == 0) {
    const RanksResult result = read_results(files);
    write_index(result.ranks.front().trace.meta, line.output, programs.size());
    exit_code = report_ranks(line, result);
    flush_stdout();
  }
  others->leave(k_exit_done);
  return exit_code;
}

int profile(CommandLine line) {
  require_writable(line.output);
  require_other_file(line.output, {line.schedule, line.model_file, line.data});
  std::vector<Trace> programs = programs_of(line);
  for (Trace& program : programs) set_run(line, program);
  const Trace& program = programs.front();
  if (programs.size() > 1 && line.output == "-") {
    throw InputError({{}, "--output", "a file, beside which those of the ranks stand", "'-'"});
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
    line.run.device = cuda_devices(*line.run.cuda).front().name;
    if (programs.size() > 1) line.run.nccl = load_nccl_plugin(why);
    if (programs.size() > 1 && line.run.nccl == nullptr) {
      throw InputError({{}, "--backend cuda", "NCCL, for several ranks", why});
    }
  }
  line.run.cancel = &cancelled;
  line.run.on_step = step_printer(line);
  const bool speaks = !is_one_of_several_processes();
  if (speaks && !line.quiet && !line.json && line.output != "-") {
    fmt::print("{} on {}{}\n", program.meta.title,
               line.run.backend == BackendKind::cpu    ? "cpu"
               : line.run.backend == BackendKind::cuda ? line.run.device
                                                       : "dry " + line.run.device,
               programs.size() > 1 ? fmt::format(", {} ranks", programs.size()) : "");
  }
  if (is_one_of_several_processes()) return profile_process(line, programs);
  if (programs.size() > 1) return profile_ranks(line, programs);
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
