#include "profiler/inject/launch.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "profiler/cupti/driver.h"
#include "profiler/cupti/reconcile.h"
#include "sim/exit_code.h"
#include "sim/timeline.h"
#include "sim/units.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

std::string injected_library() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  for (const fs::path& folder : {self.parent_path(), self.parent_path().parent_path() / "lib"}) {
    const fs::path library = folder / "libtidemark-inject.so";
    if (fs::exists(library, error)) return library.string();
  }
  throw InputError({"libtidemark-inject.so",
                    {},
                    "the library beside this program",
                    "none (it is built only where the headers of CUPTI are found)"});
}

/// Devices that hold allocations of the program, beside what is measured or is the profiler's own.
std::set<std::int32_t> devices_of(const Trace& trace) {
  std::set<std::int32_t> devices;
  for (const Buffer& b : trace.buffers) {
    const bool ours = b.category == Category::profiler || b.category == Category::framework ||
                      b.category == Category::allocator_slack;
    if (b.space.kind == SpaceKind::device && !ours) devices.insert(b.space.rank);
  }
  return devices;
}

/// Status of a process as a shell gives it.
int exit_code_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

[[noreturn]] void become(const InjectionCommand& command, const std::string& library,
                         const std::string& prefix) {
  setenv("CUDA_INJECTION64_PATH", library.c_str(), 1);
  setenv("NVTX_INJECTION64_PATH", library.c_str(), 1);
  setenv("TIDEMARK_INJECT_OUTPUT", prefix.c_str(), 1);
  setenv("TIDEMARK_INJECT_KERNELS", command.kernels ? "1" : "0", 1);
  std::vector<char*> words;
  for (const std::string& word : command.program) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execvp(words[0], words.data());
  fmt::print(stderr, "tidemark: {}: {}\n", command.program[0], std::strerror(errno));
  std::_Exit(k_exit_bad_input);
}

/// Ctrl-C reaches the program too; it is waited for, so that its trace is closed.
int run_and_wait(const InjectionCommand& command, const std::string& library,
                 const std::string& prefix) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw InputError(std::string("fork: ") + std::strerror(errno));
  if (child == 0) become(command, library, prefix);
  const auto before = std::signal(SIGINT, SIG_IGN);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  std::signal(SIGINT, before);
  return exit_code_of(status);
}

/// "run.tmk", 2 -> "run.rank2.tmk"
std::string rank_name(const std::string& output, std::size_t rank) {
  const fs::path path(output);
  return (path.parent_path() /
          (path.stem().string() + fmt::format(".rank{}", rank) + path.extension().string()))
      .string();
}

/// Writes the traces; the names of what was written.
std::vector<std::string> write_traces(const std::vector<Trace>& ranks, const std::string& output) {
  if (ranks.size() == 1) {
    write_trace(ranks[0], output);
    return {output};
  }
  Trace index;
  index.meta = ranks[0].meta;
  std::vector<std::string> written;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const std::string file = rank_name(output, i);
    write_trace(ranks[i], file);
    index.ranks.push_back({static_cast<std::int32_t>(i), fs::path(file).filename().string()});
    written.push_back(file);
  }
  write_trace(index, output);
  return written;
}

std::string health_text(const Health& health) {
  if (health == Health{}) return "complete";
  return fmt::format("not complete: {} records dropped, {} frees without allocation{}",
                     health.dropped_events, health.unmatched_frees,
                     health.complete ? "" : ", cut off or lossy");
}

nlohmann::json to_json(const Trace& trace, const std::string& file) {
  nlohmann::json devices = nlohmann::json::array();
  for (const Reconciliation& r : reconcile(trace)) {
    devices.push_back({{"allocations_bytes", r.device_bytes},
                       {"pool_slack_bytes", r.pool_slack_bytes},
                       {"profiler_bytes", r.profiler_bytes},
                       {"residual_bytes", r.residual_bytes()},
                       {"used_bytes", r.used_bytes},
                       {"total_bytes", r.total_bytes}});
  }
  const Space space{SpaceKind::device, trace.meta.rank};
  return {{"title", trace.meta.title},
          {"file", file},
          {"buffers", trace.buffers.size()},
          {"layers", trace.layers.size()},
          {"peak_bytes", recorded_timeline(trace, space).peak.bytes},
          {"dropped_events", trace.health.dropped_events},
          {"unmatched_frees", trace.health.unmatched_frees},
          {"complete", trace.health.complete},
          {"reconciliation", devices}};
}

void report(const InjectionCommand& command, const std::vector<Trace>& ranks,
            const std::vector<std::string>& files, int exit_code) {
  if (command.json) {
    nlohmann::json rows = nlohmann::json::array();
    for (std::size_t i = 0; i < ranks.size(); ++i) rows.push_back(to_json(ranks[i], files[i]));
    const nlohmann::json all{
        {"output", command.output}, {"program_exit_code", exit_code}, {"ranks", rows}};
    fmt::print("{}\n", all.dump(2));
  }
  if (command.json || command.quiet) return;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const Trace& trace = ranks[i];
    const Space space{SpaceKind::device, trace.meta.rank};
    fmt::print("{}: {} buffers in {} ranges, peak {}; {}; written to {}\n{}", trace.meta.title,
               trace.buffers.size(), trace.layers.size(),
               format_bytes(recorded_timeline(trace, space).peak.bytes), health_text(trace.health),
               files[i], reconciliation_text(reconcile(trace)));
  }
  fmt::print("next: tidemark show {} --by layer,category\n", files[0]);
}

/// Why a program left nothing: the driver loads the library, so without one nobody does.
std::string nothing_recorded(std::size_t ranges) {
  const Capability driver = probe_driver();
  const std::string seen =
      ranges > 0 ? fmt::format("it has NVTX ranges ({} names) but no CUDA allocation", ranges)
                 : std::string("it did not initialise CUDA");
  return driver.works ? seen : fmt::format("{} ({})", seen, driver.why);
}

}  // namespace

bool is_injection(int argc, const char* const* argv) {
  bool found = false;
  for (int i = 1; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    const std::string_view word = argv[i];
    if (word == "--help" || word == "-h") return false;  // one help for all of profile
    found = found || word == "--inject";
  }
  return found;
}

InjectionCommand parse_injection(int argc, const char* const* argv) {
  InjectionCommand command;
  const char* const* end = std::find_if(
      argv, argv + argc, [](const char* word) { return std::strcmp(word, "--") == 0; });
  CLI::App app("", "profile");
  bool inject = false;
  app.add_flag("--inject", inject);
  app.add_flag("--kernels", command.kernels);
  app.add_option("-o,--output", command.output);
  app.add_flag("--json", command.json);
  app.add_flag("--quiet", command.quiet);
  try {
    app.parse(static_cast<int>(end - argv), argv);
  } catch (const CLI::ParseError& error) {
    throw InputError(std::string("--inject: ") + error.what() + "; see tidemark profile --help");
  }
  if (end != argv + argc) command.program.assign(end + 1, argv + argc);
  if (command.program.empty()) {
    throw InputError(
        {{}, "--inject", "a program behind --: profile --inject -- python train.py", "none"});
  }
  if (command.output == "-") throw InputError({{}, "--output", "a file beside --inject", "'-'"});
  return command;
}

std::vector<InjectedProcess> injected_processes(const std::string& prefix,
                                                std::vector<std::string>& unreadable) {
  std::vector<InjectedProcess> out;
  const fs::path path = fs::absolute(prefix);
  const std::string begin = path.filename().string() + ".";
  for (const fs::directory_entry& entry : fs::directory_iterator(path.parent_path())) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(begin)) continue;
    InjectedProcess process;
    process.part = entry.path().string();
    const char* first = name.data() + begin.size();
    const char* last = name.data() + name.size();
    const auto [rest, error] = std::from_chars(first, last, process.pid);
    if (error != std::errc{} || rest != last) continue;
    try {
      process.trace = read_trace(process.part);
      out.push_back(std::move(process));
    } catch (const InputError&) {
      unreadable.push_back(process.part);
    }
  }
  std::ranges::sort(out, {}, &InjectedProcess::pid);
  return out;
}

std::vector<Trace> rank_traces(const std::vector<InjectedProcess>& processes) {
  std::vector<Trace> ranks;
  std::int32_t next = 0;
  for (const InjectedProcess& process : processes) {
    std::map<std::int32_t, std::int32_t> rank_of;  // device of the process -> rank of the run
    for (std::int32_t device : devices_of(process.trace)) rank_of[device] = next++;
    const auto renamed = [&rank_of](Space space) {
      const auto found = rank_of.find(space.rank);
      if (space.kind == SpaceKind::device && found != rank_of.end()) space.rank = found->second;
      return space;
    };
    for (const auto& [device, rank] : rank_of) {
      Trace trace = process.trace;
      trace.meta.rank = rank;
      trace.meta.title =
          fmt::format("{}, process {}, device {}", process.trace.meta.title, process.pid, device);
      for (Buffer& buffer : trace.buffers) buffer.space = renamed(buffer.space);
      for (ArenaRecord& arena : trace.arenas) arena.space = renamed(arena.space);
      std::erase_if(trace.arenas, [rank = rank](const ArenaRecord& arena) {
        return arena.space.kind == SpaceKind::device && arena.space.rank != rank;
      });
      ranks.push_back(std::move(trace));
    }
  }
  for (Trace& trace : ranks) trace.meta.rank_count = next;
  return ranks;
}

int run_injection(const InjectionCommand& command) {
  require_writable(command.output);
  const std::string library = injected_library();
  const std::string prefix =
      fs::absolute(command.output).string() + fmt::format(".part{}", getpid());
  const int exit_code = run_and_wait(command, library, prefix);
  std::vector<std::string> unreadable;
  const std::vector<InjectedProcess> processes = injected_processes(prefix, unreadable);
  for (const std::string& file : unreadable) {
    fmt::print(stderr, "tidemark: {}: a recording that cannot be read; kept\n", file);
  }
  std::size_t ranges = 0;
  for (const InjectedProcess& process : processes) {
    ranges += process.trace.layers.size();
    if (devices_of(process.trace).empty()) {
      fmt::print(stderr, "tidemark: process {}: no CUDA allocation was recorded\n", process.pid);
    }
  }
  const std::vector<Trace> ranks = rank_traces(processes);
  std::vector<std::string> files;
  if (!ranks.empty()) files = write_traces(ranks, command.output);
  for (const InjectedProcess& process : processes) fs::remove(process.part);
  if (!ranks.empty()) {
    report(command, ranks, files, exit_code);
    return exit_code;
  }
  std::fflush(stdout);
  fmt::print(stderr, "tidemark: nothing was recorded of '{}': {}\n", command.program[0],
             nothing_recorded(ranges));
  return exit_code != 0 ? exit_code : k_exit_not_possible;
}

}  // namespace tidemark
