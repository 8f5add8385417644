#include "tests/bench/capacity_times.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "sim/memory_margin.h"
#include "traces/error.h"

namespace tidemark::bench {
namespace {

/// FNV-1a with a final mix.
std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  hash ^= hash >> 33U;
  hash *= 0xff51afd7ed558ccdU;
  return hash ^ (hash >> 33U);
}

Transformer gpt(std::int64_t layers, std::int64_t hidden, std::int64_t heads,
                std::int64_t sequence) {
  Transformer m = find_transformer("gpt3-175b")->model;
  m.layers = layers;
  m.hidden = hidden;
  m.heads = m.kv_heads = heads;
  m.head_size = hidden / heads;
  m.mlp = 4 * hidden;
  m.vocabulary = 51200;
  m.positions = sequence;
  return m;
}

Strategy megatron_strategy() {
  Strategy s;
  s.recipe = find_recipe("megatron");
  s.kernels = {.attention = AttentionLowering::composite, .dropout = true};
  return s;
}

std::int64_t quotient(const char* what, std::int64_t batch, std::int64_t step) {
  if (step < 1 || batch % step != 0) {
    throw InputError(InputError::Parts{.place = what,
                                       .expected = fmt::format("a multiple of {}", step),
                                       .found = std::to_string(batch)});
  }
  return batch / step;
}

/// What `fill` makes of a row; what it refuses, and what does not go together, is named.
template <typename Fill>
TimedRow timed_row(std::string name, Fill fill) {
  TimedRow row{.name = std::move(name)};
  try {
    fill(row);
    const std::vector<std::string> lines = problems(row.model, row.strategy);
    if (!lines.empty()) row.not_described = fmt::format("{}", fmt::join(lines, "; "));
    if (row.not_described.empty() && row.measured_ns <= 0) row.not_described = "no measured time";
  } catch (const InputError& e) {
    row.not_described = e.what();
  }
  return row;
}

/// The published MFU of MT-NLG and Korthikanti were measured on Selene: eight links of 200 Gbit/s
/// per node, where the cluster of vTrain has four.
Topology selene() {
  Topology t = shipped_devices().cluster("vtrain-a100-80g").topology;
  t.between.bytes_per_ns *= 2;
  return t;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

/// Errors of the rows for which `is_used` holds.
template <typename IsUsed>
Json errors_of(const std::vector<TimedRow>& rows, const std::vector<double>& ours, IsUsed is_used) {
  std::vector<double> errors;
  std::vector<double> a;
  std::vector<double> b;
  double bias = 0;
  double squares = 0;  // of logarithms
  std::int64_t covered = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].not_described.empty() || !is_used(rows[i])) continue;
    const double error = 100 * (ours[i] / rows[i].measured_ns - 1);
    errors.push_back(std::abs(error));
    bias += error;
    const double log = std::log(rows[i].measured_ns / ours[i]);
    squares += log * log;
    const Interval range = interval_90(ours[i], k_time_spread);
    covered += range.low <= rows[i].measured_ns && rows[i].measured_ns <= range.high ? 1 : 0;
    a.push_back(ours[i]);
    b.push_back(rows[i].measured_ns);
  }
  const double count = std::max(1.0, static_cast<double>(errors.size()));
  return {{"rows", errors.size()},
          {"mean_error_pct", mean_of(errors)},
          {"median_error_pct", quantile(errors, 0.5)},
          {"p90_error_pct", quantile(errors, 0.9)},
          {"max_error_pct", quantile(errors, 1)},
          {"bias_pct", bias / count},
          {"spread", std::sqrt(squares / count)},
          {"covered_pct", 100 * static_cast<double>(covered) / count},
          {"kendall_tau", kendall_tau(a, b)}};
}

Json table(const std::string& name, const std::vector<TimedRow>& rows, const Setting& setting,
           bool is_calibrated) {
  std::vector<double> ours;
  Json out{{"name", name}, {"rows", Json::array()}};
  for (const TimedRow& row : rows) {
    Json r{{"name", row.name}, {"measured_ms", row.measured_ns / 1e6}};
    if (!row.not_described.empty()) {
      ours.push_back(0);
      r["not_described"] = row.not_described;
    } else {
      ours.push_back(modelled_step_ns(row, setting));
      r["ours_ms"] = ours.back() / 1e6;
      r["error_pct"] = 100 * (ours.back() / row.measured_ns - 1);
      r["is_for_calibration"] = is_calibrated && row.is_for_calibration;
    }
    out["rows"].push_back(r);
  }
  out["all"] = errors_of(rows, ours, [](const TimedRow&) { return true; });
  if (is_calibrated) {
    out["unused"] = errors_of(rows, ours, [](const TimedRow& r) { return !r.is_for_calibration; });
    out["used"] = errors_of(rows, ours, [](const TimedRow& r) { return r.is_for_calibration; });
  }
  // Of rows that calibration has not seen.
  const Json& fair = out[is_calibrated ? "unused" : "all"];
  out["mean_error_pct"] = fair["mean_error_pct"];
  out["kendall_tau"] = fair["kendall_tau"];
  return out;
}

}  // namespace

double kendall_tau(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  double pairs = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j, ++pairs) {
      const double sign = (a[i] - a[j]) * (b[i] - b[j]);
      sum += sign > 0 ? 1 : sign < 0 ? -1 : 0;
    }
  }
  return pairs > 0 ? sum / pairs : 0;
}

/// Rows on one node fit only without recomputation, those on many only with it: the memory of the
/// models agrees.
std::vector<TimedRow> vtrain_rows(const Folders& folders, bool many_nodes) {
  std::vector<TimedRow> out;
  const char* file =
      many_nodes ? "vtrain_ground_truth_multi.csv" : "vtrain_ground_truth_single.csv";
  for (const test::CsvRow& row : rows_of(folders, file)) {
    out.push_back(timed_row(fmt::format("row {}", out.size() + 1), [&](TimedRow& r) {
      r.model = gpt(row.integer("# layers"), row.integer("hidden size"),
                    row.integer("attention heads"), row.integer("sequence length"));
      Strategy& s = r.strategy = megatron_strategy();
      s.layout = {.tensor = row.integer("tensor parallelism"),
                  .pipeline = row.integer("pipeline parallelism"),
                  .data = row.integer("data parallelism")};
      const std::int64_t micro_batch = row.integer("micro batch");
      const std::int64_t batch = row.integer("global batch");
      s.batch = {.sequence = row.integer("sequence length"),
                 .micro_batch = micro_batch,
                 .micro_batches = quotient("global batch", batch, micro_batch * s.layout.data)};
      if (many_nodes) s.recompute = {Recompute::full};
      r.measured_ns = 1e6 * row.number("iteration time (ms)");
      r.name =
          fmt::format("h {} L {} batch {} x {} tp {} dp {} pp {}", r.model.hidden, r.model.layers,
                      batch, micro_batch, s.layout.tensor, s.layout.data, s.layout.pipeline);
      r.is_for_calibration =
          hash_of(r.name + fmt::format(" {}", row["iteration time (ms)"])) % 2 == 0;
    }));
  }
  return out;
}

std::vector<TimedRow> korthikanti_rows(const Folders& folders) {
  std::vector<TimedRow> out;
  for (const test::CsvRow& row : rows_of(folders, "korthikanti_tab5_iteration_time.csv")) {
    std::string name = row["model"];
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (const bool selective : {false, true}) {
      const char* how = selective ? " sequence parallel, selective" : " full recompute";
      out.push_back(timed_row(name + how, [&](TimedRow& r) {
        const NamedTransformer* model = find_transformer(name);
        if (model == nullptr) {
          throw InputError({.place = "model", .expected = "one that is known", .found = name});
        }
        r.model = model->model;
        r.model.vocabulary = row.integer("vocab");
        Strategy& s = r.strategy = megatron_strategy();
        s.layout = {.tensor = row.integer("TP"),
                    .pipeline = row.integer("PP"),
                    .virtual_stages = row.integer("VPP"),
                    .sequence_parallel = selective};
        s.schedule = s.layout.virtual_stages > 1 ? PipelineSchedule::interleaved
                                                 : PipelineSchedule::one_f_one_b;
        s.recompute = {selective ? Recompute::attention_core : Recompute::full};
        const std::int64_t micro_batch = row.integer("micro_batch");
        s.batch = {
            .sequence = row.integer("seq"),
            .micro_batch = micro_batch,
            .micro_batches = quotient("global_batch", row.integer("global_batch"), micro_batch)};
        r.measured_ns =
            1e9 * row.number(selective ? "iter_s_seqpar_selective" : "iter_s_full_recompute");
      }));
    }
  }
  return out;
}

std::vector<TimedRow> megatron_turing_rows(const Folders& folders) {
  std::vector<TimedRow> out;
  for (const test::CsvRow& row : rows_of(folders, "mtnlg_530b_iteration.csv")) {
    out.push_back(timed_row("530B on " + row["GPUs"], [&](TimedRow& r) {
      r.model = gpt(105, 20480, 128, 2048);
      Strategy& s = r.strategy = megatron_strategy();
      s.layout = {.tensor = 8, .pipeline = 35, .data = quotient("GPUs", row.integer("GPUs"), 280)};
      s.recompute = {Recompute::full};
      s.batch = {
          .sequence = 2048,
          .micro_batches = quotient("global_batch", row.integer("global_batch"), s.layout.data)};
      if (row["hardware"].find("A100-40GB") != std::string::npos) r.device = "a100-40g";
      r.measured_ns = 1e9 * row.number("iter_s");
    }));
  }
  return out;
}

double modelled_step_ns(const TimedRow& row, const Setting& setting) {
  const Machine machine = machine_of(find_device(row.device), setting.topology);
  return TimeModel(row.model, machine, setting.framework).step(row.strategy).total_ns();
}

Json iteration_times(const Folders& folders) {
  Json out = Json::array();
  const Setting vtrain{find_framework("megatron-deepspeed"),
                       shipped_devices().cluster("vtrain-a100-80g").topology};
  const Setting megatron{find_framework("megatron"), selene()};
  const auto add = [&out](Json table) {
    if (!table["rows"].empty()) out.push_back(std::move(table));
  };
  add(table("vTrain, one node", vtrain_rows(folders, false), vtrain, true));
  add(table("vTrain, many nodes", vtrain_rows(folders, true), vtrain, true));
  add(table("Korthikanti table 5", korthikanti_rows(folders), megatron, false));
  // Trained by DeepSpeed's pipeline (Smith et al. 2022, section 2.4).
  const Setting turing{find_framework("megatron-deepspeed"), selene()};
  add(table("MT-NLG 530B", megatron_turing_rows(folders), turing, false));
  return out;
}

}  // namespace tidemark::bench
