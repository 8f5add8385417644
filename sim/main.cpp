// `tidemark`: one word to learn. Sub-commands of this program run here; `profile` and `view` start
// the program beside it, as git does.

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>

#include "sim/exit_code.h"
#include "sim/manual.h"
#include "sim/verbs.h"
#include "sim/version.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {

std::string output_name(const std::string& input, const std::string& what) {
  std::string stem = input == "-" ? "trace" : input;
  for (const char* ending : {".gz", ".xz", ".zst", ".json", ".tmk"}) {
    if (stem.ends_with(ending)) stem.resize(stem.size() - std::strlen(ending));
  }
  return stem + "." + what + ".tmk";
}

namespace {

template <class T>
CLI::Validator number_check(const std::string& expected) {
  const auto check = [expected](const std::string& text) -> std::string {
    T value{};
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    const bool good =
        error == std::errc{} && rest == end && value > 0 && value <= std::numeric_limits<T>::max();
    return good ? "" : fmt::format("expected {}, found '{}'", expected, text);
  };
  return CLI::Validator(check, "");
}

}  // namespace

CLI::Validator whole_number() {
  return number_check<std::int64_t>("a whole number from 1");
}

CLI::Validator above_zero() {
  return number_check<double>("a number above 0");
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
                     tidemark report spec.yaml -o report.html

tidemark --help lists all verbs, tidemark VERB --help explains one.
)";

/// `tidemark help plan` is `tidemark plan --help`.
int run_help(char** argv);

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

/// The first flag that neither `app` nor its verb knows; a user must hear of it before anything
/// that is missing.
std::optional<std::string> unknown_flag(const CLI::App& app, const CLI::App* verb, int argc,
                                        char** argv) {
  for (int i = 1; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    const std::string word = argv[i];
    const bool is_long = word.starts_with("--");
    if (!word.starts_with('-') || word.size() < 2 || (!is_long && std::isalpha(word[1]) == 0)) {
      continue;
    }
    const std::string name = is_long ? word.substr(0, word.find('=')) : word.substr(0, 2);
    const bool known = app.get_option_no_throw(name) != nullptr ||
                       (verb != nullptr && verb->get_option_no_throw(name) != nullptr);
    if (!known) return word;
  }
  return std::nullopt;
}

int run(int argc, char** argv) {
  const std::string verb = argc < 2 ? "help" : argv[1];
  if (verb == "help") {
    if (argc > 2) return run_help(argv);
    fmt::print("{}", k_jobs);
    return k_exit_done;
  }
  if (verb == "profile" || verb == "view") return start_neighbour("tidemark-" + verb, argv + 1);
  if (verb == "doctor") return start_neighbour("tidemark-profile", argv);
  int exit_code = k_exit_done;
  CLI::App app("tidemark: where the memory of a training run goes, and what-if", "tidemark");
  app.set_version_flag("--version", k_tool);
  app.require_subcommand(1);
  add_show(app, exit_code);
  add_plan(app, exit_code);
  add_diff(app, exit_code);
  add_pack(app, exit_code);
  add_estimate(app, exit_code);
  add_report(app, exit_code);
  add_import(app, exit_code);
  add_export(app, exit_code);
  add_allocator(app, exit_code);
  add_lists(app, exit_code);
  app.add_subcommand("profile", "run the reference trainer and record; or execute a planned trace");
  app.add_subcommand("doctor", "what works on this machine, and why not");
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
    const auto found = std::find_if(verbs.begin(), verbs.end(), named);
    const CLI::App* known = found == verbs.end() ? nullptr : *found;
    if (const std::optional<std::string> flag = unknown_flag(app, known, argc, argv)) {
      fmt::print(stderr, "tidemark: unknown flag '{0}'; see tidemark{1} --help\n", *flag,
                 known == nullptr ? "" : " " + verb);
      return k_exit_bad_input;
    }
    fmt::print(stderr, "tidemark: {}; see tidemark{} --help\n", e.what(),
               known == nullptr ? "" : " " + verb);
    return k_exit_bad_input;
  }
  return exit_code;
}

int run_help(char** argv) {
  std::string verb = argv[2];
  std::string flag = "--help";
  char* words[] = {argv[0], verb.data(), flag.data(), nullptr};
  return run(3, words);
}

}  // namespace
}  // namespace tidemark

int main(int argc, char** argv) {
  try {
    const int exit_code = tidemark::run(argc, argv);
    tidemark::flush_stdout();
    return exit_code;
  } catch (const tidemark::InputError& e) {
    fmt::print(stderr, "tidemark: {}\n", e.what());
    return tidemark::k_exit_bad_input;
  } catch (const std::exception& e) {
    if (std::ferror(stdout) != 0) {  // what print reports is no bug of ours
      fmt::print(stderr, "tidemark: stdout: cannot be written: {}\n", e.what());
      return tidemark::k_exit_bad_input;
    }
    fmt::print(stderr, "tidemark: own bug: {}\n", e.what());
    return tidemark::k_exit_own_bug;
  }
}
