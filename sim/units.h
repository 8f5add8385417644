// Sizes and times as people write and read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark {

/// "6GiB", "512 MiB", "1.5KiB", "4096" (bytes). Binary units only. `place` names the flag in the
/// InputError that is thrown for anything else, negative or beyond 2^62.
[[nodiscard]] std::int64_t parse_size(std::string_view text, const std::string& place = "size");

/// "41.40 MiB", "512 B"; negative values keep their sign.
[[nodiscard]] std::string format_bytes(std::int64_t bytes);

/// "12.30 ms", "850 ns", "2.10 s".
[[nodiscard]] std::string format_ns(std::int64_t ns);

/// "12.5ms", "3s", "40us", "850ns"; a plain number is nanoseconds. InputError as for parse_size.
[[nodiscard]] std::int64_t parse_time_ns(std::string_view text, const std::string& place = "time");

/// "+3.4 %" of `part` against `whole`; "n/a" when whole is 0.
[[nodiscard]] std::string format_change(double part, double whole);

}  // namespace tidemark
