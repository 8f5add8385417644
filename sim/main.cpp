// `tidemark`: one word to learn. Sub-commands of this program run here; `profile` and `view` start
// the program beside it, as git does.

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "sim/exit_code.h"
#include "sim/manual.h"
#include "sim/verbs.h"
#include "sim/version.h"
#include "traces/error.h"

namespace tidemark {

std::string output_name(const std::string& input, const std::string& what) {
  std::string stem = input == "-" ? "trace" : input;
  for (const char* ending : {".gz", ".xz", ".zst", ".json", ".tmk"}) {
    if (stem.ends_with(ending)) stem.resize(stem.size() - std::strlen(ending));
  }
  return stem + "." + what + ".tmk";
}

std::string state_line(const Trace& trace) {
  static constexpr const char* k_levels[] = {"memory events", "dataflow and times", "executable"};
  const int level = std::clamp(trace.meta.level, 0, 2);
  std::string out =
      fmt::format("{}, level {} ({})", to_string(trace.meta.kind), level, k_levels[level]);
  if (!trace.meta.backend.empty()) out += ", backend " + trace.meta.backend;
  if (!trace.meta.allocator.empty()) out += ", allocator " + trace.meta.allocator;
  const Health& h = trace.health;
  const bool whole = h.dropped_events + h.unmatched_frees + h.damaged_blocks + h.skipped_blocks +
                         h.truncated_bytes ==
                     0;
  if (whole && h.complete) return out + ", complete";
  return out + fmt::format(
                   ", NOT COMPLETE: {} events dropped, {} frees unmatched, {} blocks damaged, "
                   "{} unknown, {} bytes cut off",
                   h.dropped_events, h.unmatched_frees, h.damaged_blocks, h.skipped_blocks,
                   h.truncated_bytes);
}

namespace {

constexpr const char* k_jobs =
    R"(tidemark: where the memory of a training run goes, and what it would take to fit

  profile a run      tidemark profile gpt2-tiny --steps 5 -o run.tmk
                     tidemark show run.tmk
  plan what-if       tidemark plan run.tmk --budget 60% -o planned.tmk
                     tidemark profile --schedule planned.tmk -o measured.tmk
                     tidemark diff planned.tmk measured.tmk
                     tidemark view run.tmk planned.tmk
  plan capacity      tidemark estimate gpt2-1558M --batch 8 --device h100-80g

tidemark --help lists all verbs, tidemark VERB --help explains one.
)";

/// Replaces this process by the program `name` that lies beside it.
int start_neighbour(const std::string& name, char** argv) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string program = (self.parent_path() / name).string();
  ::execv(program.c_str(), argv);
  fmt::print(stderr, "tidemark: {}: {}{}\n", program, std::strerror(errno),
             name == "tidemark-view" ? " (the window is built only where Qt 6.4 is found)" : "");
  return k_exit_bad_input;
}

int run(int argc, char** argv) {
  if (argc < 2) {
    fmt::print("{}", k_jobs);
    return k_exit_done;
  }
  const std::string verb = argv[1];
  if (verb == "profile" || verb == "view") return start_neighbour("tidemark-" + verb, argv + 1);
  int exit_code = k_exit_done;
  CLI::App app("tidemark: where the memory of a training run goes, and what-if", "tidemark");
  app.set_version_flag("--version", k_tool);
  app.require_subcommand(1);
  add_show(app, exit_code);
  add_plan(app, exit_code);
  add_diff(app, exit_code);
  add_pack(app, exit_code);
  add_estimate(app, exit_code);
  add_import(app, exit_code);
  add_allocator(app, exit_code);
  add_lists(app, exit_code);
  app.add_subcommand("profile", "run the reference trainer and record; or execute a planned trace");
  app.add_subcommand("view", "the window: timeline of one or more traces");
  if (const std::optional<std::string> manual = asked_manual(app, argc, argv)) {
    fmt::print("{}", *manual);
    return k_exit_done;
  }
  const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  const auto named = [&verb](const CLI::App* known) { return known->get_name() == verb; };
  if (!verb.starts_with('-') && std::none_of(verbs.begin(), verbs.end(), named)) {
    fmt::print(stderr, "tidemark: expected a verb, found '{}'; see tidemark --help\n", verb);
    return k_exit_bad_input;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    fmt::print(stderr, "tidemark: {}; see tidemark --help\n", e.what());
    return k_exit_bad_input;
  }
  return exit_code;
}

}  // namespace
}  // namespace tidemark

int main(int argc, char** argv) {
  try {
    return tidemark::run(argc, argv);
  } catch (const tidemark::InputError& e) {
    fmt::print(stderr, "tidemark: {}\n", e.what());
    return tidemark::k_exit_bad_input;
  } catch (const std::exception& e) {
    fmt::print(stderr, "tidemark: own bug: {}\n", e.what());
    return tidemark::k_exit_own_bug;
  }
}
