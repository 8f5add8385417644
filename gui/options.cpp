#include "gui/options.h"

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <cmath>
#include <iostream>
#include <string_view>

#include "sim/manual.h"
#include "sim/units.h"
#include "sim/version.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr const char* k_about =
    "The window of Tidemark: bytes by category over time.\n"
    "Example: tidemark-view run.tmk planned.tmk --budget 512MiB --screenshot run.png";

struct Texts {
  std::string size;
  std::string at;
  std::string theme;
  std::string group_by;
};

void add_options(CLI::App& app, ViewOptions& options, Texts& texts) {
  app.add_option("files", options.files,
                 "a run (or what tidemark import reads), then runs to lay over it");
  app.add_option("--budget", options.budget, "budget line: 512MiB, or a share of the peak: 60%");
  app.add_option("--screenshot", options.screenshot, "write OUT.png and end; needs no display");
  app.add_option("--size", texts.size, "of the window in pixels, from 600x400 (1600x900)");
  app.add_option("--at", texts.at, "pin an instant: peak, or a time such as 12.5ms");
  app.add_flag("--one-step", options.one_step, "only the steady step");
  app.add_option("--print", options.print,
                 "print a page of `tidemark report` (HTML) as OUT.pdf and end; needs no display");
  app.add_option("--theme", texts.theme, "light, dark or contrast");
  app.add_option("--group-by", texts.group_by,
                 "divide the stack by category, layer, module, phase, type or tensor");
  app.add_option("--script", options.script, "carry out commands from a file and end");
  app.set_version_flag("--version", k_tool);
}

}  // namespace

Theme parse_theme(const std::string& text, const std::string& place) {
  if (text == "light") return Theme::light;
  if (text == "dark") return Theme::dark;
  if (text == "contrast") return Theme::contrast;
  throw InputError(
      {.file = "", .place = place, .expected = "light, dark or contrast", .found = text});
}

StackBy parse_group_by(const std::string& text, const std::string& place) {
  if (const auto by = group_by_of(text)) return *by;
  throw InputError({.file = "",
                    .place = place,
                    .expected = "category, layer, module, phase, type or tensor",
                    .found = text});
}

std::optional<ViewOptions> parse_options(int argc, const char* const* argv) {
  ViewOptions options;
  Texts texts;
  CLI::App app(k_about, "tidemark-view");
  add_options(app, options, texts);
  if (const std::optional<std::string> manual = asked_manual(app, argc, argv)) {
    std::cout << *manual;
    return std::nullopt;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    app.exit(success, std::cout, std::cerr);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw InputError(std::string(error.what()));
  }
  if (!texts.size.empty()) parse_picture_size(texts.size, options);
  if (!texts.theme.empty()) options.theme = parse_theme(texts.theme, "--theme");
  if (!texts.group_by.empty()) options.group_by = parse_group_by(texts.group_by, "--group-by");
  options.at_peak = texts.at == "peak";
  if (!texts.at.empty() && !options.at_peak) options.at_ns = parse_time_ns(texts.at);
  if (!options.screenshot.empty() && options.files.empty() && options.script.empty()) {
    throw InputError(
        {.file = "", .place = "--screenshot", .expected = "a trace to show", .found = "no file"});
  }
  if (!options.print.empty() && options.files.size() != 1) {
    throw InputError({.file = "",
                      .place = "--print",
                      .expected = "one page to print",
                      .found = std::to_string(options.files.size()) + " files"});
  }
  if (!options.screenshot.empty()) require_png(options.screenshot, "--screenshot");
  return options;
}

void require_png(const std::string& path, const std::string& place) {
  if (path.ends_with(".png")) return;
  throw InputError(
      {.file = "", .place = place, .expected = "a name that ends in .png", .found = path});
}

std::int64_t parse_budget(const std::string& text, std::int64_t peak_bytes) {
  if (!text.ends_with('%')) return parse_size(text, "budget");
  double percent = 0;
  const char* end = text.data() + text.size() - 1;
  const auto [rest, error] = std::from_chars(text.data(), end, percent);
  if (error != std::errc{} || rest != end || !(percent > 0 && percent <= 1000)) {
    throw InputError({.file = "",
                      .place = "budget",
                      .expected = "a share of the peak, above 0% and at most 1000%",
                      .found = text});
  }
  if (peak_bytes < 0) {
    throw InputError(
        {.file = "", .place = "budget", .expected = "a run to take a share of", .found = "none"});
  }
  return static_cast<std::int64_t>(static_cast<double>(peak_bytes) * percent / 100);
}

void parse_picture_size(const std::string& text, ViewOptions& options) {
  const auto number = [&text](std::string_view part, int least) {
    int value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    const bool whole = error == std::errc{} && end == part.data() + part.size();
    if (!whole || value < least || value > 16000) {
      throw InputError({.file = "",
                        .place = "--size",
                        .expected = "WIDTHxHEIGHT, from 600x400 to 16000x16000",
                        .found = text});
    }
    return value;
  };
  const std::size_t cross = text.find('x');
  const std::string_view view = text;
  options.width_px = number(view.substr(0, cross), k_least_width_px);
  options.height_px =
      number(cross == std::string::npos ? "" : view.substr(cross + 1), k_least_height_px);
}

std::int64_t parse_time_ns(const std::string& text) {
  struct Unit {
    std::string_view name;
    double ns;
  };
  constexpr std::array<Unit, 5> k_units = {
      {{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}}};
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  for (const Unit& known : k_units) {
    const double ns = std::round(value * known.ns);
    if (error == std::errc{} && unit == known.name && ns >= 0 && ns < 9e18) {
      return static_cast<std::int64_t>(ns);
    }
  }
  throw InputError(
      {.file = "", .place = "--at", .expected = "peak or a time such as 12.5ms", .found = text});
}

}  // namespace tidemark
