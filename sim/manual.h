// Manual page and shell completion, made from the option table that also parses the command line,
// so that the three cannot differ. Every program has `--manual man` and `--manual bash`.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

namespace tidemark {

/// A page of section 1 in roff.
[[nodiscard]] std::string man_page(const CLI::App& app);

/// A bash function `_NAME` that completes options and sub-commands, else file names; and its
/// registration for the program NAME. A sub-command that is a program of its own is completed by
/// the function of that program.
[[nodiscard]] std::string bash_completion(const CLI::App& app);

/// What `PROGRAM --manual FORM` prints; none for any other command line. Throws InputError for an
/// unknown form. Call it after all options are declared.
[[nodiscard]] std::optional<std::string> asked_manual(const CLI::App& app, int argc,
                                                      const char* const* argv);

}  // namespace tidemark
