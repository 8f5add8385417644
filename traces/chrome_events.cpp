#include "traces/chrome_events.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "traces/error.h"

namespace tidemark {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t k_latest_ns = std::int64_t{1} << 62;

[[noreturn]] void fail(std::string place, std::string expected, std::string found) {
  throw InputError(InputError::Parts{
      .place = std::move(place), .expected = std::move(expected), .found = std::move(found)});
}

/// Decimal microseconds in nanoseconds, digit by digit: a double would lose some of a time since
/// 1970. Forms with an exponent go through a double.
std::optional<std::int64_t> nanoseconds(std::string_view text) {
  constexpr double k_ns_per_us = 1e3;
  if (text.find_first_of("eE") != std::string_view::npos) {
    double us = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), us);
    if (error != std::errc{} || !(us >= 0) || us * k_ns_per_us > 4e18) return std::nullopt;
    return static_cast<std::int64_t>(us * k_ns_per_us);
  }
  const std::size_t dot = std::min(text.find('.'), text.size());
  std::int64_t us = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + dot, us);
  if (error != std::errc{} || end != text.data() + dot || us < 0 || us > k_latest_ns / 1000 - 1) {
    return std::nullopt;
  }
  std::int64_t ns = us;
  for (std::size_t i = 1; i <= 3; ++i) {
    const bool has = dot + i < text.size() && text[dot + i] >= '0' && text[dot + i] <= '9';
    ns = ns * 10 + (has ? text[dot + i] - '0' : 0);
  }
  return ns;
}

const ChromeValue* last_of(const ChromeFields& fields, std::string_view name) {
  for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
    if (field->first == name) return &field->second;
  }
  return nullptr;
}

/// Where the parser stands: the file, the array of events, one event, its arguments, or in
/// something that nobody asked for.
class Reader : public nlohmann::json_sax<Json> {
 public:
  explicit Reader(const std::function<void(ChromeEvent&)>& take) : take_(take) {}

  bool null() override { return value({}); }
  bool boolean(bool) override { return value({}); }
  bool number_integer(number_integer_t v) override { return value({true, std::to_string(v)}); }
  bool number_unsigned(number_unsigned_t v) override { return value({true, std::to_string(v)}); }
  bool number_float(number_float_t, const string_t& text) override { return value({true, text}); }
  bool string(string_t& text) override { return value({false, std::move(text)}); }
  bool binary(binary_t&) override { return value({}); }

  bool key(string_t& text) override {
    key_ = std::move(text);
    return true;
  }

  bool start_object(std::size_t) override {
    open();
    if (depth_ == array_depth_ + 1) {
      event_.fields.clear();
      event_.arguments.clear();
      event_.index = file.events;
    } else if (in_event() && depth_ == array_depth_ + 2) {
      in_arguments_ = key_ == "args";
    }
    return true;
  }

  bool end_object() override {
    if (in_event() && depth_ == array_depth_ + 2) in_arguments_ = false;
    if (array_depth_ >= 0 && depth_ == array_depth_ + 1) {
      ++file.events;
      take_(event_);
    }
    --depth_;
    return true;
  }

  bool start_array(std::size_t) override {
    open();
    const bool is_bare = depth_ == 1;
    if (array_depth_ < 0 && (is_bare || (depth_ == 2 && key_ == "traceEvents"))) {
      array_depth_ = depth_;
      found_ = true;
      is_bare_ = is_bare;
    }
    return true;
  }

  bool end_array() override {
    if (depth_ == array_depth_) array_depth_ = -1;
    --depth_;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    const bool is_end =
        std::string_view(error.what()).find("unexpected end of input") != std::string_view::npos;
    if (is_bare_ && depth_ == 1 && array_depth_ == 1 && is_end) {
      file.is_whole = false;
      return false;
    }
    fail(fmt::format("byte {}", position), "Chrome trace events in JSON", error.what());
  }

  ChromeFile file;
  [[nodiscard]] bool found() const { return found_; }

 private:
  void open() {
    constexpr int k_deepest = 64;
    if (++depth_ > k_deepest) {
      fail(fmt::format("traceEvents[{}]", file.events), "nesting of at most 64", "deeper");
    }
  }

  [[nodiscard]] bool in_event() const { return array_depth_ >= 0 && depth_ > array_depth_; }

  bool value(ChromeValue v) {
    if (!in_event()) return true;
    if (depth_ == array_depth_ + 1) event_.fields.emplace_back(key_, std::move(v));
    if (depth_ == array_depth_ + 2 && in_arguments_)
      event_.arguments.emplace_back(key_, std::move(v));
    return true;
  }

  const std::function<void(ChromeEvent&)>& take_;
  ChromeEvent event_;
  std::string key_;
  int depth_ = 0;
  int array_depth_ = -1;  // of the array of events, while it is open
  bool in_arguments_ = false;
  bool found_ = false;
  bool is_bare_ = false;
};

}  // namespace

std::string ChromeEvent::place() const {
  return fmt::format("traceEvents[{}]", index);
}

const std::string& ChromeEvent::text(std::string_view field) const {
  static const std::string k_nothing;
  const ChromeValue* found = last_of(fields, field);
  return found == nullptr ? k_nothing : found->text;
}

const ChromeValue* ChromeEvent::argument(std::string_view name) const {
  return last_of(arguments, name);
}

std::int64_t ChromeEvent::time_ns(std::string_view field) const {
  const std::string& written = text(field);
  const std::optional<std::int64_t> ns = nanoseconds(written);
  if (!ns) {
    fail(place(), fmt::format("'{}' in microseconds from 0, below 2^62 ns", field),
         "'" + written.substr(0, 40) + "'");
  }
  return *ns;
}

std::int64_t ChromeEvent::integer(std::string_view name, std::int64_t least,
                                  std::int64_t most) const {
  const ChromeValue* value = argument(name);
  std::int64_t out = 0;
  bool is_good = value != nullptr && value->is_number;
  if (is_good) {
    const char* end = value->text.data() + value->text.size();
    const auto [rest, error] = std::from_chars(value->text.data(), end, out);
    is_good = error == std::errc{} && rest == end && out >= least && out <= most;
  }
  if (!is_good) {
    fail(place(), fmt::format("'{}', a whole number from {} to {}", name, least, most),
         value == nullptr ? "none" : "'" + value->text.substr(0, 40) + "'");
  }
  return out;
}

std::int64_t ChromeEvent::integer_or(std::string_view name, std::int64_t fallback) const {
  const ChromeValue* value = argument(name);
  if (value == nullptr || !value->is_number) return fallback;
  std::int64_t out = fallback;
  const char* end = value->text.data() + value->text.size();
  const auto [rest, error] = std::from_chars(value->text.data(), end, out);
  return error == std::errc{} && rest == end ? out : fallback;
}

ChromeFile read_chrome_events(const std::string& bytes,
                              const std::function<void(ChromeEvent&)>& take) {
  Reader reader(take);
  Json::sax_parse(bytes, &reader);
  if (!reader.found()) {
    fail("JSON", "an array 'traceEvents' (a trace of PyTorch's profiler)", "none");
  }
  return reader.file;
}

}  // namespace tidemark
