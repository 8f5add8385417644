// Every strategy executed on the CPU: recomputation, offload, sharding, tensor parallelism, bf16
// products and joint plans; what was planned beside what was measured.
//   bench_strategies [MODEL ...] [--steps N] [--nodes N] [--json]
// One compute thread per rank, all on one core, CPU time without falling asleep for other ranks and
// waking up. A predicted time is that of the recorded keep-all run, in the proportion of the
// planned times of ops to its own: fitted on no plan. An offload over a link of declared bandwidth
// is waited for, so its row compares wall times and stands by itself. Exit code 1 when a peak is
// off by a byte, a result by a bit (of tensor parallel ranks, which add in another order, a loss by
// more than rounding), or the times miss their target.
#include <fmt/format.h>

#include <sched.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "profiler/ranks.h"
#include "sim/builder.h"
#include "sim/compare.h"
#include "sim/rank_search.h"
#include "traces/error.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

constexpr double k_median_target_pct = 5;
constexpr double k_p95_target_pct = 10;
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

struct Row {
  std::string name;
  std::int32_t ranks = 1;
  std::int64_t peak_bytes = 0;        // planned; the largest of the ranks
  std::int64_t peak_error_bytes = 0;  // the largest of the ranks
  bool bitwise_equal = false;
  double loss_error = 0;      // relative, the largest of all steps and ranks
  double loss_tolerance = 0;  // above 0: sums have another order, losses are equal but for rounding
  bool by_wall_time = false;
  double predicted_ns = 0;
  double measured_ns = 0;  // the mean over the ranks

  [[nodiscard]] double error_pct() const { return 100 * (measured_ns / predicted_ns - 1); }
  [[nodiscard]] bool is_equal() const {
    return loss_tolerance > 0 ? loss_error <= loss_tolerance : bitwise_equal;
  }
};

/// A model with its data and its recorded keep-all run.
struct Source {
  RunConfig config;
  Dataset data;
  Trace recorded;
  std::int64_t steps = 0;

  [[nodiscard]] RunOptions options() const {
    RunOptions options;
    options.steps = steps;
    options.data = &data;
    return options;
  }
};

/// While one lives, this thread and those that it starts stay on one core: what a rank finds in the
/// cache, and so its CPU time, does not depend on where the system puts it.
class OneCore {
 public:
  OneCore() {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  ~OneCore() { sched_setaffinity(0, sizeof before_, &before_); }
  OneCore(const OneCore&) = delete;
  OneCore& operator=(const OneCore&) = delete;

 private:
  cpu_set_t before_{};
};

Source record(const RunConfig& config, std::int64_t steps) {
  const OneCore core;
  Source source{config, find_dataset(config, ""), build_program(config), steps};
  source.recorded = run(source.recorded, source.options());
  return source;
}

/// CPU time of a step of `planned`, from that of the recorded run.
double predicted_cpu_ns(const Source& source, const Trace& planned) {
  Trace replayed = source.recorded;
  replayed.events.clear();
  const auto ops_ns = static_cast<double>(figures_of(replayed).compute_ns);
  const auto cpu_ns = static_cast<double>(median_step_ns(source.recorded, &StepRecord::cpu_ns));
  return cpu_ns * static_cast<double>(figures_of(planned).compute_ns) / ops_ns;
}

std::int64_t peak_error_bytes(const Trace& planned, const Trace& measured) {
  const Comparison c = compare(planned, measured);
  return std::max(std::abs(c.peak_error_bytes), std::abs(c.reserved_error_bytes));
}

Row measure_one(const Source& source, const std::string& name, const Trace& planned) {
  RunOptions options = source.options();
  options.device_memory_bytes = planned.plan.height_bytes;
  const bool offloads = figures_of(planned).copied_bytes > 0;
  std::optional<OneCore> core;
  if (!offloads) core.emplace();
  const Trace measured = run(planned, options);
  Row row{.name = source.config.model.name + " " + name,
          .peak_bytes = planned.plan.peak_bytes,
          .peak_error_bytes = peak_error_bytes(planned, measured),
          .bitwise_equal = compare(source.recorded, measured).bitwise_equal == true,
          .by_wall_time = offloads};
  const auto cpu_ns = static_cast<double>(median_step_ns(measured, &StepRecord::cpu_ns));
  row.predicted_ns =
      offloads ? static_cast<double>(planned.plan.step_ns) : predicted_cpu_ns(source, planned);
  row.measured_ns = offloads ? static_cast<double>(median_step_ns(measured)) : cpu_ns;
  return row;
}

double loss_error(const Trace& a, const Trace& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    largest = std::max(largest, std::abs(b.steps.at(i).loss / a.steps[i].loss - 1));
  }
  return largest;
}

/// `alone`: the measured run of one rank that all of them must equal.
Row measure_ranks(const Source& source, const std::string& name, const std::vector<Trace>& planned,
                  const Trace& alone) {
  RunOptions options = source.options();
  options.device_memory_bytes = planned[0].plan.height_bytes;
  const bool offloads = figures_of(planned[0]).copied_bytes > 0;
  std::optional<OneCore> core;
  if (!offloads) core.emplace();
  const RanksResult result = execute_ranks(planned, options);
  Row row{.name = source.config.model.name + " " + name,
          .ranks = static_cast<std::int32_t>(planned.size()),
          .peak_bytes = planned[0].plan.peak_bytes,
          .bitwise_equal = result.ended_by < 0,
          .by_wall_time = offloads};
  if (result.ended_by >= 0) {
    row.loss_error = std::numeric_limits<double>::infinity();
    return row;
  }
  for (std::size_t rank = 0; rank < planned.size(); ++rank) {
    const Trace& measured = result.ranks[rank].trace;
    row.peak_error_bytes =
        std::max(row.peak_error_bytes, peak_error_bytes(planned[rank], measured));
    row.bitwise_equal = row.bitwise_equal && compare(alone, measured).first_difference.empty();
    row.loss_error = std::max(row.loss_error, loss_error(alone, measured));
    const std::int64_t time_ns =
        row.by_wall_time ? median_step_ns(measured) : median_step_ns(measured, &StepRecord::cpu_ns);
    row.measured_ns += static_cast<double>(time_ns) / static_cast<double>(planned.size());
    const double predicted_ns = row.by_wall_time ? static_cast<double>(planned[rank].plan.step_ns)
                                                 : predicted_cpu_ns(source, planned[rank]);
    row.predicted_ns += predicted_ns / static_cast<double>(planned.size());
  }
  return row;
}

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

struct Contender {
  RunConfig config;
  std::int64_t steps = 0;
};

std::vector<Contender> contenders() {
  const auto in_micro_batches = [](const std::string& model, std::int64_t batch) {
    RunConfig config = default_run(model);
    config.batch = batch;
    config.accumulation = 4;
    return config;
  };
  RunConfig flash = in_micro_batches("gpt-small", 16);
  flash.attention = AttentionLowering::flash;
  flash.precision = Precision::bf16;
  flash.model.name = "gpt-small-bf16";
  RunConfig llama = in_micro_batches("llama-tiny", 16);
  llama.precision = Precision::bf16;
  llama.model.name = "llama-tiny-bf16";
  return {{in_micro_batches("gpt2-tiny", 16), 40},
          {in_micro_batches("llama-tiny", 16), 40},
          {llama, 40},
          {in_micro_batches("moe-tiny", 16), 40},
          {in_micro_batches("gpt-small", 16), 10},
          {flash, 10},
          {in_micro_batches("mlp", 2048), 20}};
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(std::ceil(share * last))];
}

/// Of the rows by CPU time, or of those by wall time.
std::vector<double> errors_of(const std::vector<Row>& rows, bool by_wall_time) {
  std::vector<double> out;
  for (const Row& row : rows) {
    if (row.by_wall_time == by_wall_time) out.push_back(std::abs(row.error_pct()));
  }
  return out;
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
  const std::vector<double> cpu = errors_of(rows, false);
  const std::vector<double> wall = errors_of(rows, true);
  if (cpu.empty()) return 1;
  const double median = percentile(cpu, 0.5);
  const double p95 = percentile(cpu, 0.95);
  const bool timely = median <= k_median_target_pct && p95 <= k_p95_target_pct;
  if (request.json) {
    Json all{{"rows", Json::array()},
             {"exact", exact},
             {"median_error_pct", median},
             {"p95_error_pct", p95}};
    if (!wall.empty()) all["wall_median_error_pct"] = percentile(wall, 0.5);
    for (const Row& row : rows) all["rows"].push_back(json_of(row));
    fmt::print("{}\n", all.dump(2));
  } else {
    fmt::print(
        "{} plans: peaks and results {}; CPU time of a step: median error {:.1f} %, 95th "
        "percentile {:.1f} % (targets {} and {} %)\n",
        rows.size(), exact ? "exact" : "NOT EXACT", median, p95, k_median_target_pct,
        k_p95_target_pct);
    if (!wall.empty()) {
      fmt::print("with offload, wall time: median error {:.1f} %\n", percentile(wall, 0.5));
    }
  }
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
      const Source source =
          record(contender.config, request.steps > 0 ? request.steps : contender.steps);
      add_plans_of_one(source, request, rows);
      for (const std::int32_t ranks : {2, 4}) {
        add_plans_of_ranks(source, request, ranks, rows);
        add_tensor_plans(source, request, ranks, rows);
      }
    } catch (const InputError& error) {  // no data here, or no bf16 on this CPU
      fmt::print(stderr, "{}: skipped: {}\n", name, error.what());
    }
    for (std::size_t i = before; i < rows.size() && !request.json; ++i) print(rows[i]);
  }
  return summarise(rows, request);
}

}  // namespace
}  // namespace tidemark

int main(int argc, char** argv) {
  tidemark::Request request;
  CLI::App app("Every strategy executed: what was planned beside what was measured.");
  app.add_option("MODEL", request.models, "of the rows (default all)");
  app.add_option("--steps", request.steps, "of every run (default by model)");
  app.add_option("--nodes", request.nodes, "plans tried by each search")->capture_default_str();
  app.add_flag("--json", request.json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  return tidemark::bench(request);
}
