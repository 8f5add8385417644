// Static packing: bench_packer [--json] DIR|FILES. Packs each CSV at the capacity in its name, or,
// where the name has none, as low as it gets in 50 ms. Seconds are wall time of pack() alone. Every
// packing goes through the validator; exit code 1 when one is not valid or exceeds its capacity.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "sim/pack_csv.h"
#include "tests/sim/pack_validator.h"
#include "traces/error.h"
#include "traces/file.h"

namespace {

using namespace tidemark;
using Json = nlohmann::ordered_json;

constexpr double k_time_limit_s = 0.05;

std::vector<std::string> inputs_in(const std::vector<std::string>& places) {
  std::vector<std::string> files;
  for (const std::string& place : places) {
    if (!std::filesystem::is_directory(place)) {
      files.push_back(place);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(place)) {
      const std::string path = entry.path().string();
      if (entry.is_regular_file() && path.find(".csv") != std::string::npos) files.push_back(path);
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

Json measure(const std::string& file) {
  const NamedProblem problem = pack_problem_from_csv(read_file(file), file);
  PackLimits limits{.capacity_bytes = capacity_in_name(file)};
  if (limits.capacity_bytes == 0) limits.seconds = k_time_limit_s;
  const auto begin = std::chrono::steady_clock::now();
  const PackResult result = pack(problem.blocks, limits);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  const std::int64_t height = result.packing.height_bytes;
  const bool valid = test::packing_is_valid(problem.blocks, result.packing) &&
                     (limits.capacity_bytes == 0 || height <= limits.capacity_bytes);
  Json row{{"name", std::filesystem::path(file).filename().string()},
           {"buffers", problem.blocks.size()},
           {"height", height},
           {"capacity", nullptr},
           {"bound", result.bound_bytes},
           {"nodes", result.nodes},
           {"valid", valid},
           {"seconds", taken.count()}};
  if (limits.capacity_bytes > 0) row["capacity"] = limits.capacity_bytes;
  return row;
}

void print(const Json& rows) {
  fmt::print("{:<34} {:>7} {:>14} {:>10} {:>14} {:>9} {:>9} {:>9} {}\n", "name", "buffers",
             "height", "capacity", "bound", "above", "nodes", "seconds", "valid");
  double total_s = 0;
  for (const Json& r : rows) {
    const double bound = std::max(1.0, r["bound"].get<double>());
    total_s += r["seconds"].get<double>();
    fmt::print("{:<34} {:>7} {:>14} {:>10} {:>14} {:>7.4f} % {:>9} {:>9.4f} {}\n",
               r["name"].get<std::string>(), r["buffers"].get<int>(),
               r["height"].get<std::int64_t>(), r["capacity"].is_null() ? "" : r["capacity"].dump(),
               r["bound"].get<std::int64_t>(), 100 * (r["height"].get<double>() / bound - 1),
               r["nodes"].get<std::int64_t>(), r["seconds"].get<double>(),
               r["valid"].get<bool>() ? "yes" : "NO");
  }
  fmt::print("{:<34} {:>99.4f}\n", "total seconds", total_s);
}

int run(const std::vector<std::string>& arguments) {
  std::vector<std::string> places = arguments;
  const bool json = std::erase(places, "--json") > 0;
  const std::vector<std::string> files = inputs_in(places);
  if (files.empty()) {
    fmt::print(stderr, "usage: bench_packer [--json] DIR|FILES (no CSV file found)\n");
    return 2;
  }
  Json rows = Json::array();
  bool valid = true;
  for (const std::string& file : files) {
    rows.push_back(measure(file));
    valid = valid && rows.back()["valid"].get<bool>();
  }
  if (json) {
    fmt::print("{}\n", Json{{"rows", rows}}.dump(2));
  } else {
    print(rows);
  }
  return valid ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const tidemark::InputError& e) {
    fmt::print(stderr, "bench_packer: {}\n", e.what());
    return 2;
  }
}
