// What the parts of a run configuration are checked and read with.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "traces/enums.h"
#include "traces/error.h"

namespace tidemark::config_checks {

using Json = nlohmann::json;

inline constexpr std::int64_t k_largest_extent = std::int64_t{1} << 24;  // of one dimension
inline constexpr std::int64_t k_most_layers = 10'000;
inline constexpr std::int64_t k_most_elements = std::int64_t{1} << 40;  // of one tensor

[[noreturn]] inline void bad(const std::string& place, const std::string& expected,
                             const std::string& found) {
  throw InputError(
      InputError::Parts{.file = {}, .place = place, .expected = expected, .found = found});
}

inline void want_between(const std::string& place, std::int64_t value, std::int64_t low,
                         std::int64_t high) {
  if (value >= low && value <= high) return;
  bad(place, fmt::format("a number from {} to {}", low, high), std::to_string(value));
}

inline void want_product(const std::string& place, std::initializer_list<std::int64_t> extents) {
  std::int64_t product = 1;
  for (std::int64_t extent : extents) {
    if (__builtin_mul_overflow(product, extent, &product) || product > k_most_elements) {
      bad(place, fmt::format("a tensor of at most {} elements", k_most_elements), "more");
    }
  }
}

inline void want_real(const std::string& place, double value, double low, double high) {
  if (value >= low && value <= high) return;  // false for NaN
  bad(place, fmt::format("a number from {} to {}", low, high), fmt::format("{}", value));
}

// ---- JSON. Every key is known or an error, so that a typing error cannot pass silently.

inline void only_keys(const Json& object, const std::string& place,
                      const std::set<std::string>& known) {
  if (!object.is_object()) bad(place, "a JSON object", object.type_name());
  std::string unknown;
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key)) unknown += (unknown.empty() ? "'" : ", '") + key + "'";
  }
  if (unknown.empty()) return;
  bad(place, fmt::format("only the keys {}", fmt::join(known, ", ")), unknown);
}

inline bool is_integer(const Json& j) {
  const bool huge = j.is_number_unsigned() && j.get<std::uint64_t>() > INT64_MAX;
  return j.is_number_integer() && !huge;
}

inline void get(const Json& object, const char* key, std::int64_t& out) {
  if (!object.contains(key)) return;
  if (!is_integer(object[key])) bad(key, "an integer of 64 bits", object[key].dump());
  out = object[key].get<std::int64_t>();
}
inline void get(const Json& object, const char* key, double& out) {
  if (!object.contains(key)) return;
  if (!object[key].is_number()) bad(key, "a number", object[key].dump());
  out = object[key].get<double>();
}
inline void get(const Json& object, const char* key, bool& out) {
  if (!object.contains(key)) return;
  if (!object[key].is_boolean()) bad(key, "true or false", object[key].dump());
  out = object[key].get<bool>();
}
inline void get(const Json& object, const char* key, std::string& out) {
  if (!object.contains(key)) return;
  if (!object[key].is_string()) bad(key, "a string", object[key].dump());
  out = object[key].get<std::string>();
}
template <NamedEnum E>
inline void get(const Json& object, const char* key, E& out) {
  if (!object.contains(key)) return;
  std::string name;
  get(object, key, name);
  const auto value = parse_enum<E>(name);
  if (!value) {
    bad(key, fmt::format("one of {}", fmt::join(EnumNames<E>::k_names, ", ")), "'" + name + "'");
  }
  out = *value;
}

}  // namespace tidemark::config_checks
