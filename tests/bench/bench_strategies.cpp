// Every strategy executed on the CPU: recomputation, offload, sharding, tensor parallelism, bf16
// products and joint plans; what was planned beside what was measured.
//   bench_strategies [MODEL ...] [--steps N] [--nodes N] [--json]
// One compute thread per rank, all on one core, CPU time without falling asleep for other ranks and
// waking up. A predicted time is that of the plan that keeps all, executed in turns with the other,
// in the proportion of the planned times of ops and of the lines of both programs: fitted on no
// other plan. Steps of ranks under 5 ms stand by themselves: there a wake-up of a rank that
// another was waiting for, and whose caches it has filled, is several percent. An offload over a
// link of declared bandwidth is waited for, so its row compares wall times and stands by itself,
// too. Exit code 1 when a peak is off by a byte, a result by a bit (of tensor parallel ranks, which
// add in another order, a loss by more than rounding), or the times miss their target.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "sim/compare.h"
#include "sim/rank_search.h"
#include "tests/bench/strategy_rows.h"
#include "traces/error.h"

namespace tidemark::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr double k_median_target_pct = 5;
constexpr double k_p95_target_pct = 10;
constexpr double k_long_step_ns = 5e6;
// What a loss may be off, relative, where sums have another order: each step may add the rounding
// of one, and a value that is stored in bf16 may fall to its other side.
constexpr double k_loss_tolerance_per_step = 1e-6;
constexpr double k_loss_tolerance_bf16 = 1.0 / 256;
constexpr double k_link_bytes_per_s = 10e9;
constexpr std::int64_t k_link_latency_ns = 60'000;  // a copy thread is woken up

struct Request {
  std::vector<std::string> models;
  std::int64_t steps = 0;  // 0: by model
  std::int64_t nodes = 40;
  bool json = false;
};

SearchRequest search_request(const Request& request, std::int64_t whole_bytes, int percent) {
  SearchRequest search;
  search.budget_bytes = whole_bytes * percent / 100 / k_granule_bytes * k_granule_bytes;
  search.nodes = request.nodes;
  search.link_bytes_per_s = k_link_bytes_per_s;
  search.link_latency_ns = k_link_latency_ns;
  return search;
}

void add_plans_of_one(const Source& source, const Request& request, std::vector<Row>& rows) {
  const std::int64_t peak = figures_of(source.recorded).peak_bytes;
  for (const auto& [name, percent, recompute] : {std::tuple{"recompute 80 %", 80, true},
                                                 {"recompute 60 %", 60, true},
                                                 {"offload 80 %", 80, false}}) {
    SearchRequest one = search_request(request, peak, percent);
    one.allow_recompute = recompute;
    one.allow_offload = !recompute;
    const SearchResult found = search(source.recorded, one);
    if (found.feasible) rows.push_back(measure_one(source, name, found.planned));
  }
}

void add_plans_of_ranks(const Source& source, const Request& request, std::int32_t ranks,
                        std::vector<Row>& rows) {
  const Trace alone =
      run(shard_placed(source.recorded, ShardStage::none, ranks)[0], source.options());
  std::vector<ShardStage> stages{ShardStage::zero1, ShardStage::zero2, ShardStage::zero3};
  for (const ShardStage stage : stages) {
    const std::vector<Trace> planned = shard_placed(source.recorded, stage, ranks);
    rows.push_back(measure_ranks(source, std::string(to_string(stage)), planned, alone));
  }
  stages.insert(stages.begin(), ShardStage::data);
  const std::int64_t whole =
      shard_placed(source.recorded, ShardStage::data, ranks)[0].plan.height_bytes;
  for (const bool offload : {false, true}) {
    SearchRequest joint = search_request(request, whole, 55);
    joint.allow_offload = offload;
    const RankSearchResult found =
        search_layouts(source.recorded, layouts_of(stages, ranks), joint);
    if (found.best < 0) continue;
    const ShardStage stage = found.layouts[static_cast<std::size_t>(found.best)].stage;
    const std::string name = fmt::format("joint 55 %: {}, {} decisions", to_string(stage),
                                         found.planned[0].decisions.size());
    rows.push_back(measure_ranks(source, name, found.planned, alone));
  }
}

double loss_tolerance(const Source& source) {
  return source.config.precision == Precision::bf16
             ? k_loss_tolerance_bf16
             : k_loss_tolerance_per_step * static_cast<double>(source.steps);
}

/// Of a decoder; nothing where heads do not divide.
void add_tensor_plans(const Source& source, const Request& request, std::int32_t ranks,
                      std::vector<Row>& rows) {
  const ModelConfig& model = source.config.model;
  const bool divides = model.family == ModelFamily::gpt2 ? model.gpt2.heads % ranks == 0
                                                         : model.llama.kv_heads % ranks == 0;
  if (!model.is_decoder() || !divides) return;
  const std::vector<Trace> plain = shard_placed(source.recorded, ShardStage::tensor, ranks);
  rows.push_back(measure_ranks(source, "tensor", plain, source.recorded));
  rows.back().loss_tolerance = loss_tolerance(source);
  SearchRequest joint = search_request(request, plain[0].plan.height_bytes, 70);
  joint.allow_offload = false;
  const RankSearchResult found =
      search_layouts(source.recorded, layouts_of({ShardStage::tensor}, ranks), joint);
  if (found.best < 0) return;
  const std::string name =
      fmt::format("joint 70 %: tensor, {} decisions", found.planned[0].decisions.size());
  rows.push_back(measure_ranks(source, name, found.planned, source.recorded));
  rows.back().loss_tolerance = loss_tolerance(source);
}

void add_plans(const Source& source, const Request& request, std::vector<Row>& rows) {
  add_plans_of_one(source, request, rows);
  if (source.config.accumulation < 4) return;  // nothing that ranks could share
  for (const std::int32_t ranks : {2, 4}) {
    add_plans_of_ranks(source, request, ranks, rows);
    add_tensor_plans(source, request, ranks, rows);
  }
}

struct Contender {
  RunConfig config;
  std::int64_t steps = 0;
};

LlamaConfig small_llama(std::int64_t hidden, std::int64_t experts) {
  return {.layers = 4,
          .heads = 4,
          .kv_heads = 4,
          .channels = 128,
          .hidden = hidden,
          .vocabulary = 256,
          .positions = 64,
          .experts = experts};
}

std::vector<Contender> contenders() {
  const auto in_micro_batches = [](const std::string& model, std::int64_t batch) {
    RunConfig config = default_run(model);
    config.batch = batch;
    config.accumulation = 4;
    return config;
  };
  const auto renamed = [](RunConfig config, const std::string& name) {
    config.model.name = name;
    return config;
  };
  const auto with_bf16 = [&renamed](RunConfig config) {
    config.precision = Precision::bf16;
    return renamed(config, config.model.name + "-bf16");
  };
  RunConfig flash = with_bf16(in_micro_batches("gpt-small", 16));
  flash.attention = AttentionLowering::flash;
  RunConfig llama = renamed(in_micro_batches("llama-tiny", 16), "llama-small");
  llama.model.llama = small_llama(352, 0);
  RunConfig experts = renamed(in_micro_batches("moe-tiny", 16), "moe-small");
  experts.model.llama = small_llama(176, 4);
  return {{in_micro_batches("gpt2-tiny", 16), 12},
          {in_micro_batches("llama-tiny", 16), 12},
          {with_bf16(in_micro_batches("llama-tiny", 16)), 12},
          {in_micro_batches("moe-tiny", 16), 12},
          {in_micro_batches("gpt-small", 16), 6},
          {flash, 6},
          {llama, 6},
          {with_bf16(llama), 6},
          {experts, 6},
          {in_micro_batches("mlp", 2048), 8},
          {default_run("resnet20"), 4}};
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(std::ceil(share * last))];
}

/// Rows whose times are judged together.
struct Group {
  std::string name;
  bool by_wall_time = false;
  double least_ns = 0;  // of the predicted step
  double below_ns = std::numeric_limits<double>::infinity();
  bool must_reach = false;

  [[nodiscard]] std::vector<double> errors(const std::vector<Row>& rows) const {
    std::vector<double> out;
    for (const Row& row : rows) {
      if (row.by_wall_time != by_wall_time) continue;
      if (row.predicted_ns < least_ns || row.predicted_ns >= below_ns) continue;
      out.push_back(std::abs(row.error_pct()));
    }
    return out;
  }
};

std::vector<Group> groups() {
  return {
      {.name = "cpu time, steps of 5 ms and more", .least_ns = k_long_step_ns, .must_reach = true},
      {.name = "cpu time, shorter steps", .below_ns = k_long_step_ns},
      {.name = "cpu time, all"},
      {.name = "wall time, with offload", .by_wall_time = true}};
}

void print(const Row& row) {
  fmt::print("{:<44} {:>5} {:>11.2f} {:>8} {:>8} {:>12.2f} {:>12.2f} {:>8.1f}{}\n", row.name,
             row.ranks, static_cast<double>(row.peak_bytes) / (1 << 20), row.peak_error_bytes,
             row.loss_tolerance > 0 && row.is_equal() ? fmt::format("{:.0e}", row.loss_error)
             : row.is_equal()                         ? "equal"
                                                      : "DIFFERS",
             row.predicted_ns / 1e6, row.measured_ns / 1e6, row.error_pct(),
             row.by_wall_time ? "  wall" : "");
  std::fflush(stdout);
}

Json json_of(const Row& row) {
  return {{"name", row.name},
          {"ranks", row.ranks},
          {"peak_bytes", row.peak_bytes},
          {"peak_error_bytes", row.peak_error_bytes},
          {"bitwise_equal", row.bitwise_equal},
          {"loss_error", row.loss_error},
          {"time", row.by_wall_time ? "wall" : "cpu"},
          {"predicted_ms", row.predicted_ns / 1e6},
          {"measured_ms", row.measured_ns / 1e6},
          {"time_error_pct", row.error_pct()}};
}

/// Prints the sums; returns the exit code.
int summarise(const std::vector<Row>& rows, const Request& request) {
  const bool exact = std::ranges::all_of(
      rows, [](const Row& r) { return r.peak_error_bytes == 0 && r.is_equal(); });
  bool timely = true;
  Json all{{"rows", Json::array()}, {"exact", exact}, {"groups", Json::array()}};
  if (!request.json) {
    fmt::print("{} plans: peaks and results {}\n", rows.size(), exact ? "exact" : "NOT EXACT");
  }
  for (const Group& group : groups()) {
    const std::vector<double> errors = group.errors(rows);
    if (errors.empty()) continue;
    const double median = percentile(errors, 0.5);
    const double p95 = percentile(errors, 0.95);
    if (group.must_reach) timely = median <= k_median_target_pct && p95 <= k_p95_target_pct;
    all["groups"].push_back({{"name", group.name},
                             {"rows", errors.size()},
                             {"median_error_pct", median},
                             {"p95_error_pct", p95}});
    if (request.json) continue;
    fmt::print("{}: {} rows, median error {:.1f} %, 95th percentile {:.1f} %{}\n", group.name,
               errors.size(), median, p95,
               group.must_reach
                   ? fmt::format(" (targets {} and {} %)", k_median_target_pct, k_p95_target_pct)
                   : "");
  }
  for (const Row& row : rows) all["rows"].push_back(json_of(row));
  if (request.json) fmt::print("{}\n", all.dump(2));
  return exact && timely ? 0 : 1;
}

int bench(const Request& request) {
  std::vector<Row> rows;
  if (!request.json) {
    fmt::print("{:<44} {:>5} {:>11} {:>8} {:>8} {:>12} {:>12} {:>8}\n", "plan", "ranks", "peak MiB",
               "error B", "results", "planned ms", "measured ms", "error %");
  }
  for (const Contender& contender : contenders()) {
    const std::string& name = contender.config.model.name;
    const bool wanted =
        request.models.empty() || std::ranges::find(request.models, name) != request.models.end();
    if (!wanted) continue;
    const std::size_t before = rows.size();
    try {
      add_plans(record(contender.config, request.steps > 0 ? request.steps : contender.steps),
                request, rows);
    } catch (const InputError& error) {  // no data here, or no bf16 on this CPU
      fmt::print(stderr, "{}: skipped: {}\n", name, error.what());
    }
    for (std::size_t i = before; i < rows.size() && !request.json; ++i) print(rows[i]);
  }
  return summarise(rows, request);
}

}  // namespace
}  // namespace tidemark::bench

int main(int argc, char** argv) {
  tidemark::bench::Request request;
  CLI::App app("Every strategy executed: what was planned beside what was measured.");
  app.add_option("MODEL", request.models, "of the rows (default all)");
  app.add_option("--steps", request.steps, "of every run (default by model)");
  app.add_option("--nodes", request.nodes, "plans tried by each search")->capture_default_str();
  app.add_flag("--json", request.json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  return tidemark::bench::bench(request);
}
