// The command line of tidemark-view, as a value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gui/grouping.h"
#include "gui/theme.h"

namespace tidemark {

struct ViewOptions {
  std::vector<std::string> files;  // the run, then what lies over it
  std::string budget;              // "512MiB", "60%" of the peak; empty: that of the plan, if any
  std::string screenshot;          // file; empty = open a window
  std::string script;              // file; empty = none
  std::string print;               // PDF of the page that `files` names; empty = none
  int width_px = 1600;
  int height_px = 900;
  bool at_peak = false;     // pin the peak
  std::int64_t at_ns = -1;  // pin this instant; -1 = none
  bool one_step = false;
  std::optional<Theme> theme;
  StackBy group_by = StackBy::category;
};

/// Nothing when --help or --version was asked for and answered on stdout.
/// Throws InputError for anything that it does not understand.
[[nodiscard]] std::optional<ViewOptions> parse_options(int argc, const char* const* argv);

inline constexpr int k_least_width_px = 600;  // of a window that shows everything
inline constexpr int k_least_height_px = 400;

/// Throws InputError unless `path` ends in ".png".
void require_png(const std::string& path, const std::string& place);

/// "1600x900" into the two sizes, from 600x400 to 16000x16000.
void parse_picture_size(const std::string& text, ViewOptions& options);

/// By their names. Throw InputError, with `place`, for anything else.
[[nodiscard]] Theme parse_theme(const std::string& text, const std::string& place);
[[nodiscard]] StackBy parse_group_by(const std::string& text, const std::string& place);

/// "512MiB", or a share of `peak_bytes` such as "60%" (-1: not known).
[[nodiscard]] std::int64_t parse_budget(const std::string& text, std::int64_t peak_bytes);

/// "12.5ms", "3s", "800us", "70 ns".
[[nodiscard]] std::int64_t parse_time_ns(const std::string& text);

}  // namespace tidemark
