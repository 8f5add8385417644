// What the modes of bench_planner share.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tidemark::bench {

using Json = nlohmann::ordered_json;

/// A mode fills rows, prints a table unless `json`, and says whether every result is valid.
struct Outcome {
  Json rows = Json::array();
  bool valid = true;
};

Outcome models(bool json);                                      // the built-in models
Outcome graphs(bool json, const std::vector<std::string>& at);  // published graphs
Outcome scale(bool json);                                       // a body of 10,000 ops
Outcome joint(bool json);                                       // recompute, offload, both

[[nodiscard]] inline double percent_over(std::int64_t part, std::int64_t whole) {
  return 100.0 * (static_cast<double>(part) / static_cast<double>(whole) - 1);
}

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace tidemark::bench
