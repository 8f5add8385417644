#include "sim/strategy_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace tidemark {
namespace {

struct LayoutWord {
  std::string_view name;
  std::int64_t Layout::*size;
};

constexpr std::array<LayoutWord, 8> k_words{{{"tp", &Layout::tensor},
                                             {"pp", &Layout::pipeline},
                                             {"vp", &Layout::virtual_stages},
                                             {"dp", &Layout::data},
                                             {"cp", &Layout::context},
                                             {"ep", &Layout::expert},
                                             {"etp", &Layout::expert_tensor},
                                             {"shard", &Layout::shard}}};

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(at, begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

}  // namespace

Layout layout_from_text(const std::string& text, std::vector<std::string>& problems) {
  Layout layout;
  std::set<std::string> seen;
  if (text.empty()) return layout;
  for (const std::string& word : split(text, ',')) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (!seen.insert(name).second) {
      problems.push_back(fmt::format("--layout {}: expected once, found again", name));
      continue;
    }
    if (word == "sp") {
      layout.sequence_parallel = true;
      continue;
    }
    const auto* known = std::find_if(k_words.begin(), k_words.end(),
                                     [&name](const LayoutWord& w) { return w.name == name; });
    if (known == k_words.end()) {
      problems.push_back(fmt::format(
          "--layout {}: expected tp, pp, vp, dp, cp, ep, etp, shard with a size, or sp", word));
      continue;
    }
    const std::string number = equals == std::string::npos ? "" : word.substr(equals + 1);
    const char* end = number.data() + number.size();
    const auto read = std::from_chars(number.data(), end, layout.*known->size);
    if (number.empty() || read.ec != std::errc{} || read.ptr != end) {
      problems.push_back(fmt::format("--layout {}: expected a number, found '{}'", name, number));
    }
  }
  return layout;
}

std::string layout_text(const Layout& layout) {
  std::vector<std::string> words;
  for (const LayoutWord& word : k_words) {
    const std::int64_t size = layout.*word.size;
    if (size != Layout{}.*word.size) words.push_back(fmt::format("{}={}", word.name, size));
  }
  if (layout.sequence_parallel) words.emplace_back("sp");
  return fmt::format("{}", fmt::join(words, ","));
}

RecomputeSet recompute_from_text(const std::string& text, std::vector<std::string>& problems) {
  RecomputeSet set;
  if (text.empty() || text == "none") return set;
  for (const std::string& word : split(text, '+')) {
    if (const auto part = parse_enum<Recompute>(word)) {
      set.add(*part);
    } else {
      problems.push_back(fmt::format("--recompute {}: expected none or {}", word,
                                     fmt::join(EnumNames<Recompute>::k_names, "+")));
    }
  }
  return set;
}

std::string recompute_text(RecomputeSet set) {
  std::string out;
  for (std::size_t i = 0; i < EnumNames<Recompute>::k_names.size(); ++i) {
    if (!set.has(static_cast<Recompute>(i))) continue;
    out += (out.empty() ? "" : "+") + std::string(EnumNames<Recompute>::k_names[i]);
  }
  return out.empty() ? "none" : out;
}

}  // namespace tidemark
