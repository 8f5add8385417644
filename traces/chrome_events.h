// Chrome trace events, read one by one without a tree of the whole file.
// Source: Google, "Trace Event Format".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidemark {

/// A scalar of an event: numbers as they are written, so that no digit is lost.
struct ChromeValue {
  bool is_number = false;
  std::string text;
};

/// In the order of the file; of a name that is there twice the last one counts.
using ChromeFields = std::vector<std::pair<std::string, ChromeValue>>;

struct ChromeEvent {
  std::int64_t index = 0;  // in the array
  ChromeFields fields;
  ChromeFields arguments;  // scalars of "args"

  [[nodiscard]] std::string place() const;
  /// Empty when the field is absent.
  [[nodiscard]] const std::string& text(std::string_view field) const;
  [[nodiscard]] const ChromeValue* argument(std::string_view name) const;
  /// Microseconds as nanoseconds, rounded down. Throws InputError unless a number in [0, 2^62] ns.
  [[nodiscard]] std::int64_t time_ns(std::string_view field) const;
  /// Throws InputError when the argument is absent or no whole number in [least, most].
  [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t least,
                                     std::int64_t most) const;
  [[nodiscard]] std::int64_t integer_or(std::string_view name, std::int64_t fallback) const;
};

struct ChromeFile {
  bool is_whole = true;  // false: the array was not closed
  std::int64_t events = 0;
};

/// Calls `take` with each object of "traceEvents" or of the bare array. `take` may move from it.
/// Throws InputError for what is no JSON, nests deeper than 64 or has no such array.
ChromeFile read_chrome_events(const std::string& bytes,
                              const std::function<void(ChromeEvent&)>& take);

}  // namespace tidemark
