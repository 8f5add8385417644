// Measured peaks: each row of the tables as a description, its level B beside what was measured.
#include <fmt/format.h>

#include <cmath>

#include "sim/capacity_walk.h"
#include "sim/memory_margin.h"
#include "tests/bench/capacity_described.h"
#include "traces/error.h"

namespace tidemark::bench {
namespace {

constexpr double k_gib = 1 << 30;

/// Level B and constants beside what was measured; what stands in the way otherwise.
void add_row(Json& out, const std::string& name, const test::CsvRow& cells,
             const Described& described) {
  Json row{{"name", name}};
  std::string missing = described.missing;
  MeasuredPeak measured;
  try {
    measured = measured_peak(cells);
    if (measured.gib) row["measured_gib"] = *measured.gib;
    if (!measured.gib && !measured.ran_out && missing.empty()) missing = "no measured peak";
  } catch (const InputError& e) {
    if (missing.empty()) missing = e.what();
  }
  if (!missing.empty()) {
    row["not_described"] = missing;
    out["rows"].push_back(row);
    return;
  }
  const WalkedPeak peak = walk(*described.model, described.strategy);
  const RankMemory& m = peak.memory;
  const double ours_gib = m.total() * described.allocator_share / k_gib;
  const MemoryDemand demand =
      memory_demand(m.total(), described.strategy.layout, find_memory_margin(described.margin));
  const Interval interval = interval_90(ours_gib, k_model_spread);
  row.update(
      {{"ours_gib", ours_gib},
       {"low_gib", interval.low},
       {"high_gib", interval.high},
       {"device_gib", described.device_gib},
       {"demand_gib", demand.expected_bytes() / k_gib},
       {"fits_probability", demand.fits_probability(described.device_gib * k_gib)},
       {"verdict", to_string(demand.verdict(described.device_gib * k_gib))},
       {"level_a_gib", CapacityModel(*described.model).peak(described.strategy).total() / k_gib},
       {"states_gib", m.states / k_gib},
       {"layers_gib", m.layers / k_gib},
       {"ends_gib", m.ends / k_gib},
       {"working_gib", m.working / k_gib},
       {"rank", m.rank},
       {"moment", to_string(peak.moment)},
       {"ran_out", measured.ran_out}});
  if (measured.gib) {
    row["error_pct"] = 100 * (ours_gib / *measured.gib - 1);
    row["is_covered"] = interval.low <= *measured.gib && *measured.gib <= interval.high;
  }
  out["rows"].push_back(row);
}

}  // namespace

Json measured_peaks(const Folders& folders) {
  Json out{{"rows", Json::array()}};
  const auto cell = [](const test::CsvRow& row, const char* column) {
    return row.has(column) ? row[column] : std::string();
  };
  for (const test::CsvRow& row : rows_of(folders, "torchtitan_memory_throughput.csv")) {
    add_row(out,
            fmt::format("torchtitan {} {} GPUs {}", cell(row, "model"), cell(row, "GPUs"),
                        cell(row, "techniques")),
            row, torchtitan_row(row));
  }
  for (const test::CsvRow& row : rows_of(folders, "torchtune_memory.csv")) {
    add_row(out, fmt::format("torchtune {} {}", cell(row, "model"), cell(row, "method")), row,
            torchtune_row(row));
  }
  for (const test::CsvRow& row : rows_of(folders, "megatron_bridge_memory.csv")) {
    add_row(out, fmt::format("bridge {} {}", cell(row, "model"), cell(row, "variant")), row,
            bridge_row(row));
  }
  std::vector<double> errors;
  std::int64_t ran_out = 0;
  std::int64_t ran = 0;
  std::int64_t false_fits = 0;
  std::int64_t false_too_large = 0;
  std::int64_t covered = 0;
  for (const Json& row : out["rows"]) {
    if (row.contains("not_described")) continue;
    if (row.contains("error_pct")) {
      errors.push_back(std::abs(row["error_pct"].get<double>()));
      covered += row["is_covered"].get<bool>() ? 1 : 0;
    }
    const auto verdict = row["verdict"].get<std::string>();
    if (row["ran_out"].get<bool>()) {
      ++ran_out;
      false_fits += verdict == "fits" ? 1 : 0;
    } else {
      ++ran;
      false_too_large += verdict == "too_large" ? 1 : 0;
    }
  }
  out["ran_out"] = ran_out;
  out["ran"] = ran;
  out["false_fits"] = false_fits;
  out["false_too_large"] = false_too_large;
  out["covered_pct"] =
      errors.empty() ? 0
                     : 100.0 * static_cast<double>(covered) / static_cast<double>(errors.size());
  out["described"] = errors.size();
  out["median_error_pct"] = quantile(errors, 0.5);
  out["p90_error_pct"] = quantile(errors, 0.9);
  return out;
}

}  // namespace tidemark::bench
