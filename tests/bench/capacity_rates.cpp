// Collectives against measured tables, and how fast and how sharp screening is.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <map>

#include "sim/capacity_walk.h"
#include "sim/collectives.h"
#include "sim/screening.h"
#include "sim/strategy_search.h"
#include "sim/strategy_text.h"
#include "tests/bench/bench_capacity.h"

namespace tidemark::bench {
namespace {

constexpr double k_large_bytes = 8 << 20;
constexpr double k_device_bytes = 80.0 * (1 << 30);
constexpr std::int64_t k_walk_every = 977;  // strategies of which level B is asked too

double process_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

/// Each sample from a table of all the others.
Json leave_one_out(const std::vector<TimeSample>& samples, std::int64_t ranks) {
  std::vector<double> large;
  std::vector<double> small;
  for (std::size_t i = 0; i < samples.size() && samples.size() > 1; ++i) {
    std::vector<TimeSample> others = samples;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    const double ns = TimeTable(others).ns(samples[i].bytes);
    (samples[i].bytes >= k_large_bytes ? large : small)
        .push_back(100 * std::abs(ns / samples[i].ns - 1));
  }
  const Link link = fit_link(samples, ranks);
  return {{"rows", samples.size()},
          {"mean_error_pct", mean(large)},
          {"max_error_pct", quantile(large, 1)},
          {"small_mean_error_pct", mean(small)},
          {"small_max_error_pct", quantile(small, 1)},
          {"latency_ns", link.latency_ns},
          {"bus_bytes_per_ns", link.bytes_per_ns}};
}

SearchSpace gpt3_on_64() {
  return {.ranks = 64,
          .global_batch = 3072,
          .sequence = 2048,
          .recipes = named_recipes(),
          .recomputes = {{},
                         {Recompute::attention_core},
                         {Recompute::attention_core, Recompute::norms},
                         {Recompute::attention_core, Recompute::activation},
                         {Recompute::attention_core, Recompute::norms, Recompute::activation},
                         {Recompute::mlp},
                         {Recompute::mlp, Recompute::attention_core},
                         {Recompute::full}},
          .kernels = {.attention = AttentionLowering::composite,
                      .fused_gate = true,
                      .dropout = true,
                      .loss = LossLowering::in_place},
          .most_tensor = 64,
          .most_context = 8,
          .most_virtual_stages = 12};
}

/// As many choices as Calculon has: with its optimizer and weights on the host too.
SearchSpace gpt3_search() {
  SearchSpace space = gpt3_on_64();
  for (const char* name : {"zero1", "zero2", "zero3", "megatron", "megatron-distributed"}) {
    StateRecipe recipe = find_recipe(name);
    recipe.name += "+optimizer on host";
    recipe.master.on_host = recipe.moments.on_host = true;
    space.recipes.push_back(recipe);
    recipe.name += "+parameters on host";
    recipe.parameter.on_host = true;
    space.recipes.push_back(recipe);
  }
  return space;
}

double wall_seconds() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Json all_reduce_tables(const Folders& folders) {
  std::map<std::pair<std::string, std::int64_t>, std::vector<TimeSample>> tables;
  for (const test::CsvRow& row : rows_of(folders, "vtrain_nccl_allreduce.csv")) {
    tables[{row["gpu"], row.integer("n_gpus")}].push_back(
        {row.number("bytes"), row.number("time_ns")});
  }
  Json out{{"rows", Json::array()}};
  std::vector<double> large;
  std::vector<double> small;
  for (const auto& [group, samples] : tables) {
    Json row{{"name", group.first + " x" + std::to_string(group.second)}};
    row.update(leave_one_out(samples, group.second));
    large.push_back(row["mean_error_pct"].get<double>());
    small.push_back(row["small_mean_error_pct"].get<double>());
    out["rows"].push_back(row);
  }
  out["calibration"] = "leave-one-out: each row from all other rows of its group";
  out["mean_error_pct"] = mean(large);
  out["small_mean_error_pct"] = mean(small);
  out["worst_mean_error_pct"] = quantile(large, 1);
  out["worst_small_mean_error_pct"] = quantile(small, 1);
  return out;
}

Json screening() {
  const Transformer& model = find_transformer("gpt3-175b")->model;
  const CapacityModel level_a(model);
  const SearchSpace space = gpt3_on_64();
  std::int64_t fits_a = 0;
  const double begin = process_seconds();
  const std::int64_t count = for_each_strategy(model, space, [&](const Strategy& s) {
    fits_a += level_a.peak(s).total() <= k_device_bytes ? 1 : 0;
  });
  const double seconds = process_seconds() - begin;

  std::vector<double> gaps;
  std::int64_t infeasible = 0;
  std::int64_t pruned = 0;
  std::int64_t above = 0;
  std::int64_t index = 0;
  for_each_strategy(model, space, [&](const Strategy& s) {
    // With very many micro-batches a walk repeats itself; those are left out of the sample.
    if (index++ % k_walk_every != 0 || s.batch.micro_batches > 512) return;
    const double a = level_a.peak(s).total();
    const double b = walk(model, s).memory.total();
    gaps.push_back(100 * (b / a - 1));
    above += a > b * (1 + 1e-12) ? 1 : 0;
    if (b <= k_device_bytes) return;
    ++infeasible;
    pruned += a > k_device_bytes ? 1 : 0;
  });
  return {{"model", model.name},
          {"ranks", space.ranks},
          {"configs", count},
          {"fits", fits_a},
          {"seconds", seconds},
          {"configs_per_s", static_cast<double>(count) / seconds},
          {"walked", gaps.size()},
          {"median_gap_pct", quantile(gaps, 0.5)},
          {"p90_gap_pct", quantile(gaps, 0.9)},
          {"infeasible", infeasible},
          {"pruned_pct",
           infeasible == 0 ? 100.0
                           : 100.0 * static_cast<double>(pruned) / static_cast<double>(infeasible)},
          {"above_level_b", above}};
}

Json full_search() {
  const TimeModel time(
      find_transformer("gpt3-175b")->model,
      machine_of(find_device("a100-80g"), shipped_devices().cluster("vtrain-a100-80g").topology),
      find_framework("megatron"));
  const SearchSpace space = gpt3_search();
  SearchGoal goal{.memory_bytes = k_device_bytes, .tries_host = true, .threads = 2};
  const auto run = [&](Json& out, const char* name) {
    const double wall = wall_seconds();
    const double cpu = process_seconds();
    FastestStrategy found = find_fastest(time, space, goal);
    out[std::string(name) + "_s"] = wall_seconds() - wall;
    out[std::string(name) + "_cpu_s"] = process_seconds() - cpu;
    return found;
  };
  Json out{{"threads", goal.threads}};
  const FastestStrategy found = run(out, "search");
  goal.skips = false;
  const FastestStrategy all = run(out, "exhaustive");
  out["points"] = found.points;
  out["too_slow"] = found.too_slow;
  out["is_same"] = found.strategy == all.strategy && found.step_ns == all.step_ns;
  if (!found.strategy) return out;
  const Strategy& s = *found.strategy;
  out["layout"] = layout_text(s.layout);
  out["recipe"] = s.recipe.name;
  out["micro_batch"] = s.batch.micro_batch;
  out["step_ns"] = found.step_ns;
  out["replayed_ns"] = time.step(s).total_ns();
  out["peak_gib"] = found.peak_bytes / (1 << 30);
  return out;
}

}  // namespace tidemark::bench
