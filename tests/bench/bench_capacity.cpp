// Capacity planning against published tables: bench_capacity DIR... [--json]. Each DIR holds CSV
// files; what is not there is not reported. `calibrate DIR` fits the constants of
// sim/framework.cpp; `search` finds the fastest strategy of a large space, twice. Seconds are CPU
// time of this process. Exit code 1 when a formula differs from its source by more than 0.01 %, or
// level A exceeds level B.
#include "tests/bench/bench_capacity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "tests/bench/capacity_times.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark::bench {

std::vector<test::CsvRow> rows_of(const Folders& folders, const std::string& name) {
  std::vector<test::CsvRow> out;
  for (const std::string& folder : folders) {
    for (const char* ending : {"", ".gz", ".xz", ".zst"}) {
      const std::string file = folder + "/" + name + ending;
      if (!std::filesystem::exists(file)) continue;
      const std::vector<test::CsvRow> rows = test::csv_rows(read_file(file));
      out.insert(out.end(), rows.begin(), rows.end());
      break;
    }
  }
  return out;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  return values[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

namespace {

void print_oracles(const Json& oracles) {
  fmt::print("formulas: {} figures, largest difference {:.4f} % (exact: at most 0.01 %): {}\n",
             oracles["rows"].size(), oracles["max_error_pct"].get<double>(),
             oracles["valid"].get<bool>() ? "yes" : "NO");
  for (const Json& row : oracles["rows"]) {
    if (row["error_pct"].get<double>() <= 0.01) continue;
    fmt::print("  OFF {}: ours {} published {}\n", row["name"].get<std::string>(),
               row["ours"].get<double>(), row["published"].get<double>());
  }
}

void print_tables(const Json& tables) {
  fmt::print("\nall-reduce, {}\n", tables["calibration"].get<std::string>());
  fmt::print("  {:<10} {:>6} {:>12} {:>8} {:>12} {:>8}   {}\n", "group", "rows", ">= 8 MiB", "max",
             "below", "max", "one latency, one bandwidth");
  for (const Json& r : tables["rows"]) {
    fmt::print(
        "  {:<10} {:>6} {:>10.2f} % {:>6.1f} % {:>10.2f} % {:>6.1f} %   {:.1f} us, {:.0f} GB/s\n",
        r["name"].get<std::string>(), r["rows"].get<int>(), r["mean_error_pct"].get<double>(),
        r["max_error_pct"].get<double>(), r["small_mean_error_pct"].get<double>(),
        r["small_max_error_pct"].get<double>(), r["latency_ns"].get<double>() / 1000,
        r["bus_bytes_per_ns"].get<double>());
  }
  fmt::print("  {:<10} {:>6} {:>10.2f} % {:>8} {:>10.2f} %\n", "mean", "",
             tables["mean_error_pct"].get<double>(), "",
             tables["small_mean_error_pct"].get<double>());
}

void print_screening(const Json& s) {
  fmt::print("\nscreening {} on {} ranks: {} strategies in {:.2f} s, {:.2f} million per second\n",
             s["model"].get<std::string>(), s["ranks"].get<int>(), s["configs"].get<std::int64_t>(),
             s["seconds"].get<double>(), s["configs_per_s"].get<double>() / 1e6);
  fmt::print(
      "  {} fit 80 GiB by level A; of {} walked, level B is {:.1f} % higher in the median, {:.1f} "
      "% "
      "in 90 of 100\n  level A refuses {:.1f} % of the {} that level B refuses, and exceeds it {} "
      "times\n",
      s["fits"].get<std::int64_t>(), s["walked"].get<int>(), s["median_gap_pct"].get<double>(),
      s["p90_gap_pct"].get<double>(), s["pruned_pct"].get<double>(), s["infeasible"].get<int>(),
      s["above_level_b"].get<int>());
}

void print_search(const Json& s) {
  fmt::print(
      "\nfull search of GPT-3 175B on 64 ranks: {:.2f} million points in {:.2f} s on {} threads "
      "({:.2f} s of CPU); all of them {:.2f} s ({:.2f} s of CPU), {} optimum\n",
      s["points"].get<double>() / 1e6, s["search_s"].get<double>(), s["threads"].get<int>(),
      s["search_cpu_s"].get<double>(), s["exhaustive_s"].get<double>(),
      s["exhaustive_cpu_s"].get<double>(), s["is_same"].get<bool>() ? "the same" : "ANOTHER");
  if (!s.contains("layout")) return;
  fmt::print("  {}, {}, micro-batches of {}: {:.3f} s, replayed {:.3f} s, {:.1f} GiB\n",
             s["layout"].get<std::string>(), s["recipe"].get<std::string>(),
             s["micro_batch"].get<int>(), s["step_ns"].get<double>() / 1e9,
             s["replayed_ns"].get<double>() / 1e9, s["peak_gib"].get<double>());
}

void print_peak(const Json& r) {
  const auto name = r["name"].get<std::string>().substr(0, 70);
  const auto gib = [&r](const char* field) { return r[field].get<double>(); };
  const auto text = [&](const char* field, const char* form) {
    return r.contains(field) ? fmt::format(fmt::runtime(form), gib(field)) : std::string();
  };
  if (r.contains("not_described")) {
    fmt::print("  {:<70} {:>8} not described: {}\n", name, text("measured_gib", "{:.1f}"),
               r["not_described"].get<std::string>());
    return;
  }
  fmt::print(
      "  {:<70} {:>8} {:>7.1f} {:>7} | {:>6.1f} {:>6.1f} {:>6.1f} {:>7.1f} {:<9} {:>4.0f} % {}\n",
      name, text("measured_gib", "{:.1f}"), gib("ours_gib"), text("error_pct", "{:+.1f}%"),
      gib("states_gib"), gib("layers_gib"), gib("ends_gib"), gib("working_gib"),
      r["moment"].get<std::string>(), 100 * gib("fits_probability"),
      r["ran_out"].get<bool>() ? "ran out of memory" : "");
}

void print_peaks(const Json& peaks) {
  fmt::print("\nmeasured peaks, level B beside them, in GiB\n");
  fmt::print("  {:<70} {:>8} {:>7} {:>7} | {:>6} {:>6} {:>6} {:>7} {}\n", "row", "measured", "ours",
             "error", "states", "layers", "ends", "working", "moment    fits");
  for (const Json& r : peaks["rows"]) print_peak(r);
  fmt::print("  {} of {} rows described: error {:.1f} % in the median, {:.1f} % in 90 of 100\n",
             peaks["described"].get<int>(), peaks["rows"].size(),
             peaks["median_error_pct"].get<double>(), peaks["p90_error_pct"].get<double>());
  fmt::print("  intervals of 90 % cover {:.1f} % of the rows\n",
             peaks["covered_pct"].get<double>());
  fmt::print(
      "  of {} that ran out of memory, {} are said to fit; of {} that ran, {} are said not to\n",
      peaks["ran_out"].get<int>(), peaks["false_fits"].get<int>(), peaks["ran"].get<int>(),
      peaks["false_too_large"].get<int>());
}

void print_times(const Json& tables) {
  fmt::print("\niteration times; `unused`: rows that calibration has not seen\n");
  fmt::print("  {:<22} {:<8} {:>5} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6} {:>7} {:>8}\n", "table",
             "which", "rows", "mean", "bias", "median", "90 %", "max", "tau", "spread", "covered");
  for (const Json& t : tables) {
    for (const char* which : {"unused", "used", "all"}) {
      if (!t.contains(which)) continue;
      const auto at = [&](const char* field) { return t[which][field].get<double>(); };
      fmt::print(
          "  {:<22} {:<8} {:>5} {:>6.2f} % {:>+6.2f} % {:>6.2f} % {:>6.2f} % {:>6.1f} % {:>6.3f} "
          "{:>7.3f} {:>6.1f} %\n",
          t["name"].get<std::string>(), which, t[which]["rows"].get<int>(), at("mean_error_pct"),
          at("bias_pct"), at("median_error_pct"), at("p90_error_pct"), at("max_error_pct"),
          at("kendall_tau"), at("spread"), at("covered_pct"));
    }
    if (t["rows"].size() > 20) continue;
    for (const Json& r : t["rows"]) {
      if (r.contains("not_described")) continue;
      fmt::print("    {:<50} {:>9.0f} ms {:>9.0f} ms {:>+6.2f} %\n", r["name"].get<std::string>(),
                 r["measured_ms"].get<double>(), r["ours_ms"].get<double>(),
                 r["error_pct"].get<double>());
    }
  }
}

int search(bool json) {
  const Json out = full_search();
  if (json) {
    fmt::print("{}\n", out.dump(2));
  } else {
    print_search(out);
  }
  return out["is_same"].get<bool>() ? 0 : 1;
}

int run(std::vector<std::string> arguments) {
  const bool json = std::erase(arguments, "--json") > 0;
  if (arguments == std::vector<std::string>{"search"}) return search(json);
  const bool fits = !arguments.empty() && arguments[0] == "calibrate";
  const Folders folders(arguments.begin() + (fits ? 1 : 0), arguments.end());
  const auto absent = std::find_if(folders.begin(), folders.end(), [](const std::string& folder) {
    return !std::filesystem::is_directory(folder);
  });
  if (folders.empty() || absent != folders.end()) {
    if (absent != folders.end()) fmt::print(stderr, "bench_capacity: no folder {}\n", *absent);
    fmt::print(stderr,
               "usage: bench_capacity DIR... [--json] | calibrate DIR... | search [--json]\n");
    return 2;
  }
  if (fits) return calibrate(folders);
  Json out;
  out["oracles"] = formula_oracles(folders);
  out["all_reduce"] = all_reduce_tables(folders);
  out["measured_peaks"] = measured_peaks(folders);
  out["iteration_times"] = iteration_times(folders);
  out["screening"] = screening();
  out["configs_per_s"] = out["screening"]["configs_per_s"];
  const bool valid =
      out["oracles"]["valid"].get<bool>() && out["screening"]["above_level_b"].get<int>() == 0;
  out["valid"] = valid;
  if (json) {
    fmt::print("{}\n", out.dump(2));
  } else {
    print_oracles(out["oracles"]);
    if (!out["all_reduce"]["rows"].empty()) print_tables(out["all_reduce"]);
    if (!out["measured_peaks"]["rows"].empty()) print_peaks(out["measured_peaks"]);
    if (!out["iteration_times"].empty()) print_times(out["iteration_times"]);
    print_screening(out["screening"]);
  }
  return valid ? 0 : 1;
}

}  // namespace
}  // namespace tidemark::bench

int main(int argc, char** argv) {
  try {
    return tidemark::bench::run({argv + 1, argv + argc});
  } catch (const tidemark::InputError& e) {
    fmt::print(stderr, "bench_capacity: {}\n", e.what());
    return 2;
  }
}
