#include "sim/manual.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "traces/error.h"

namespace tidemark {
namespace {

/// Text that roff takes as text: no escapes, no requests, hyphens that can be typed.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') out += "\\e";
    if (c == '-') out += "\\-";
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c != '\\' && c != '-') out += c;
  }
  return out;
}

/// Lines as they are: footers hold examples.
std::string roff_lines(const std::string& text) {
  return text.empty() ? "" : ".nf\n" + roff(text) + "\n.fi\n";
}

std::string option_section(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : app.get_options()) {
    std::string names = option->get_name(false, true);
    if (names.empty()) names = option->get_name(true);
    std::replace(names.begin(), names.end(), ',', ' ');
    const bool flag = option->get_items_expected_max() == 0 || option->get_positional();
    out += fmt::format(".TP\n.B {}{}\n{}\n", roff(names), flag ? "" : " \\fIVALUE\\fR",
                       roff(option->get_description()));
  }
  return out;
}

/// All spellings of all options of `app`, and its sub-commands.
std::string words_of(const CLI::App& app) {
  std::vector<std::string> words;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
    for (const std::string& name : option->get_snames()) words.push_back("-" + name);
  }
  for (const CLI::App* verb : app.get_subcommands({})) words.push_back(verb->get_name());
  std::ranges::sort(words);
  return fmt::format("{}", fmt::join(words, " "));
}

std::string function_name(std::string program) {
  std::replace(program.begin(), program.end(), '-', '_');
  return "_" + program;
}

}  // namespace

std::string man_page(const CLI::App& app) {
  std::string upper = app.get_name();
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  std::string out = fmt::format(".TH {} 1\n.SH NAME\n{} \\- {}\n", roff(upper),
                                roff(app.get_name()), roff(app.get_description()));
  const auto verbs = app.get_subcommands({});
  out += fmt::format(".SH SYNOPSIS\n.B {}\n{}[\\fIOPTION\\fR]...\n", roff(app.get_name()),
                     verbs.empty() ? "" : "\\fIVERB\\fR ");
  out += ".SH OPTIONS\n" + option_section(app);
  for (const CLI::App* verb : verbs) {
    out += fmt::format(".SH {} {}\n{}\n", roff(upper), roff(verb->get_name()),
                       roff(verb->get_description()));
    out += option_section(*verb) + roff_lines(verb->get_footer());
  }
  if (!app.get_footer().empty()) out += ".SH EXAMPLE\n" + roff_lines(app.get_footer());
  return out;
}

std::string bash_completion(const CLI::App& app) {
  const std::string function = function_name(app.get_name());
  std::string out = fmt::format(
      "# bash completion of {0}, made by `{0} --manual bash`\n{1}() {{\n"
      "  local word=${{COMP_WORDS[COMP_CWORD]}} words=\"{2}\"\n",
      app.get_name(), function, words_of(app));
  const auto verbs = app.get_subcommands({});
  if (!verbs.empty()) {
    out += "  if [ \"$COMP_CWORD\" -gt 1 ]; then\n    case ${COMP_WORDS[1]} in\n";
    for (const CLI::App* verb : verbs) {
      const std::string own = function_name(app.get_name() + "-" + verb->get_name());
      out += fmt::format(
          "      {0}) words=\"{1}\"\n        if declare -F {2} >/dev/null; then {2}; return; fi "
          ";;\n",
          verb->get_name(), words_of(*verb), own);
    }
    out += "    esac\n  fi\n";
  }
  out += fmt::format(
      "  COMPREPLY=()\n"
      "  if [[ $word == -* || ( -n \"{0}\" && $COMP_CWORD -eq 1 ) ]]; then\n"
      "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n  fi\n}}\n"
      "complete -o default -F {1} {2}\n",
      verbs.empty() ? "" : "verbs", function, app.get_name());
  return out;
}

std::optional<std::string> asked_manual(const CLI::App& app, int argc, const char* const* argv) {
  if (argc < 2 || std::string(argv[1]) != "--manual") return std::nullopt;
  const std::string form = argc == 3 ? argv[2] : "";
  if (form == "man") return man_page(app);
  if (form == "bash") return bash_completion(app);
  throw InputError(InputError::Parts{
      .file = {}, .place = "--manual", .expected = "man or bash", .found = "'" + form + "'"});
}

}  // namespace tidemark
