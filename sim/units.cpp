#include "sim/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "traces/error.h"

namespace tidemark {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr std::array<Unit, 6> k_units{{{"", 1},
                                       {"B", 1},
                                       {"KiB", 1024.0},
                                       {"MiB", 1024.0 * 1024},
                                       {"GiB", 1024.0 * 1024 * 1024},
                                       {"TiB", 1024.0 * 1024 * 1024 * 1024}}};

[[noreturn]] void bad_size(std::string_view text, const std::string& place) {
  throw InputError({.file = {},
                    .place = place,
                    .expected = "a size such as 512MiB, 6GiB or plain bytes",
                    .found = "'" + std::string(text) + "'"});
}

}  // namespace

std::int64_t parse_size(std::string_view text, const std::string& place) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number) || number < 0) bad_size(text, place);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  for (const Unit& known : k_units) {
    if (known.name != unit) continue;
    const double bytes = number * known.bytes;
    if (bytes > std::ldexp(1.0, 62)) bad_size(text, place);
    return std::llround(bytes);
  }
  bad_size(text, place);
}

std::int64_t parse_time_ns(std::string_view text, const std::string& place) {
  static constexpr std::array<std::pair<std::string_view, double>, 5> k_factors{
      {{"", 1}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}};
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& [name, factor] : k_factors) {
    const bool valid = error == std::errc{} && number >= 0 && number * factor < 9e18;
    if (valid && unit == name) return std::llround(number * factor);
  }
  throw InputError(InputError::Parts{.place = place,
                                     .expected = "a time such as 12.5ms, 3s or plain nanoseconds",
                                     .found = "'" + std::string(text) + "'"});
}

std::string format_bytes(std::int64_t bytes) {
  const double magnitude = std::abs(static_cast<double>(bytes));
  if (magnitude < 1024) return fmt::format("{} B", bytes);
  std::size_t unit = 2;
  while (unit + 1 < k_units.size() && magnitude >= k_units[unit + 1].bytes) ++unit;
  const double value = static_cast<double>(bytes) / k_units[unit].bytes;
  return fmt::format("{:.{}f} {}", value, std::abs(value) < 100 ? 2 : 1, k_units[unit].name);
}

std::string format_ns(std::int64_t ns) {
  const auto value = static_cast<double>(ns);
  const double magnitude = std::abs(value);
  if (magnitude < 1e3) return fmt::format("{} ns", ns);
  if (magnitude < 1e6) return fmt::format("{:.1f} us", value / 1e3);
  if (magnitude < 1e9) return fmt::format("{:.2f} ms", value / 1e6);
  return fmt::format("{:.2f} s", value / 1e9);
}

std::string format_change(double part, double whole) {
  if (whole == 0) return "n/a";
  return fmt::format("{:+.1f} %", (part - whole) / whole * 100);
}

}  // namespace tidemark
