#include "sim/allocator_conf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <utility>
#include <vector>

#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_mib = std::int64_t{1} << 20;
constexpr std::int64_t k_most_mib = std::int64_t{1} << 24;  // 16 TiB
constexpr const char* k_keys =
    "max_split_size_mb, max_non_split_rounding_mb, large_segment_size_mb, "
    "roundup_power2_divisions, garbage_collection_threshold, expandable_segments, memory_fraction";

/// Options of PyTorch that change neither a size nor an address.
constexpr std::string_view k_without_effect[] = {
    "pinned_use_cuda_host_register",    "pinned_num_register_threads",
    "pinned_reserve_segment_size_mb",   "pinned_use_background_threads",
    "release_lock_on_cudamalloc",       "release_lock_on_hipmalloc",
    "graph_capture_record_stream_reuse"};

class ConfReader {
 public:
  ConfReader(std::string_view text, const std::string& place) : place_(place) { split(text); }

  AllocatorConf read() {
    for (const auto& [key, value] : pairs_) {
      key_ = key;
      take(value);
    }
    if (conf_.max_non_split_rounding_bytes <= 0 || conf_.large_segment_bytes < 2 * k_mib) {
      fail("a segment of at least 2 MiB", "less");
    }
    return conf_;
  }

 private:
  [[noreturn]] void fail(std::string_view expected, std::string_view found) const {
    throw InputError(InputError::Parts{.place = key_.empty() ? place_ : place_ + ": " + key_,
                                       .expected = std::string(expected),
                                       .found = fmt::format("'{}'", found.substr(0, 80))});
  }

  /// "key:value" pairs; a list in [] belongs to its value.
  void split(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
      std::size_t end = at;
      bool in_list = false;
      while (end < text.size() && (in_list || text[end] != ',')) {
        in_list = text[end] == '[' || (in_list && text[end] != ']');
        ++end;
      }
      const std::string_view part = trimmed(text.substr(at, end - at));
      if (in_list) fail("a list that ends with ]", part);
      const std::size_t colon = part.find(':');
      if (colon == std::string_view::npos) fail("option:value pairs, comma-separated", part);
      pairs_.emplace_back(trimmed(part.substr(0, colon)), trimmed(part.substr(colon + 1)));
      at = end + 1;
    }
  }

  static std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
  }

  std::int64_t integer(std::string_view text, std::int64_t least, std::int64_t most) const {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
      fail(fmt::format("a whole number from {} to {}", least, most), text);
    }
    return value;
  }

  double share(std::string_view text) const {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !(value > 0 && value <= 1)) {
      fail("a share above 0 and up to 1", text);
    }
    return value;
  }

  std::int64_t divisions(std::string_view text) const {
    const std::int64_t value = integer(text, 0, 1024);
    if (value != 0 && !std::has_single_bit(static_cast<std::uint64_t>(value))) {
      fail("divisions that are a power of two", text);
    }
    return value;
  }

  void take(std::string_view value) {
    if (key_ == "max_split_size_mb") {
      // PyTorch refuses less than kLargeBuffer.
      const std::int64_t least = std::int64_t{20};
      conf_.max_split_bytes = integer(value, least, k_most_mib) * k_mib;
    } else if (key_ == "max_non_split_rounding_mb") {
      conf_.max_non_split_rounding_bytes = integer(value, 1, k_most_mib) * k_mib;
    } else if (key_ == "large_segment_size_mb") {
      conf_.large_segment_bytes = integer(value, 2, k_most_mib) * k_mib;
      if (conf_.large_segment_bytes % (2 * k_mib) != 0) fail("a multiple of 2", value);
    } else if (key_ == "roundup_power2_divisions") {
      take_divisions(value);
    } else if (key_ == "garbage_collection_threshold") {
      conf_.garbage_collection_threshold = share(value);
    } else if (key_ == "memory_fraction") {
      conf_.memory_fraction = share(value);
    } else if (key_ == "expandable_segments") {
      if (value != "True" && value != "False") fail("True or False", value);
      conf_.expandable_segments = value == "True";
    } else if (key_ == "backend") {
      if (value != "native") fail("native (for cudaMallocAsync use --model cuda-async)", value);
    } else if (std::ranges::find(k_without_effect, key_) == std::end(k_without_effect)) {
      const std::string key = std::exchange(key_, "");
      fail(fmt::format("options out of {}", k_keys), key);
    }
  }

  /// One number for all intervals, or "[256:1,512:2,>:4]": the divisions from each size in MiB up.
  void take_divisions(std::string_view value) {
    if (value.empty() || value.front() != '[') {
      conf_.roundup_divisions.fill(divisions(value));
      return;
    }
    std::string_view rest = value.substr(1, value.size() - 2);
    std::size_t next = 0;  // the interval after the latest
    while (!rest.empty()) {
      const std::string_view part = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), part.size() + 1));
      const std::size_t colon = part.find(':');
      if (colon == std::string_view::npos) fail("size:divisions pairs", part);
      const std::string_view size = trimmed(part.substr(0, colon));
      const std::int64_t latest = divisions(trimmed(part.substr(colon + 1)));
      std::size_t index = conf_.roundup_divisions.size() - 1;
      if (size == ">") {
        std::fill(conf_.roundup_divisions.begin() + static_cast<std::ptrdiff_t>(next),
                  conf_.roundup_divisions.end(), latest);
        return;
      }
      const auto mib = static_cast<std::uint64_t>(integer(size, 1, k_most_mib));
      if (!std::has_single_bit(mib)) fail("sizes that are a power of two in MiB", size);
      index = std::min(index, static_cast<std::size_t>(std::bit_width(mib) - 1));
      // The first size stands for all smaller ones too; sizes that are not named keep 0.
      if (next == 0) {
        std::fill_n(conf_.roundup_divisions.begin(), static_cast<std::ptrdiff_t>(index), latest);
      }
      conf_.roundup_divisions[index] = latest;
      next = index + 1;
    }
  }

  std::string place_;
  std::string key_;
  std::vector<std::pair<std::string_view, std::string_view>> pairs_;
  AllocatorConf conf_;
};

}  // namespace

AllocatorConf parse_allocator_conf(std::string_view text, const std::string& place) {
  return ConfReader(text, place).read();
}

std::string to_string(const AllocatorConf& conf) {
  const AllocatorConf plain;
  std::vector<std::string> out;
  if (conf.expandable_segments) out.emplace_back("expandable_segments:True");
  const auto add_mib = [&out](const char* key, std::int64_t bytes, std::int64_t fallback) {
    if (bytes != fallback) out.push_back(fmt::format("{}:{}", key, bytes / k_mib));
  };
  add_mib("max_split_size_mb", conf.max_split_bytes, plain.max_split_bytes);
  add_mib("max_non_split_rounding_mb", conf.max_non_split_rounding_bytes,
          plain.max_non_split_rounding_bytes);
  add_mib("large_segment_size_mb", conf.large_segment_bytes, plain.large_segment_bytes);
  if (conf.roundup_divisions != plain.roundup_divisions) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < conf.roundup_divisions.size(); ++i) {
      parts.push_back(fmt::format("{}:{}", 1 << i, conf.roundup_divisions[i]));
    }
    out.push_back(fmt::format("roundup_power2_divisions:[{}]", fmt::join(parts, ",")));
  }
  if (conf.garbage_collection_threshold > 0) {
    out.push_back(
        fmt::format("garbage_collection_threshold:{}", conf.garbage_collection_threshold));
  }
  if (conf.memory_fraction > 0) {
    out.push_back(fmt::format("memory_fraction:{}", conf.memory_fraction));
  }
  return fmt::format("{}", fmt::join(out, ","));
}

}  // namespace tidemark
