// Measured peaks: each row of the tables as a description, its level B beside what was measured.
//
// What the tables leave open is set once for each program, from its documents, not for each row.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "sim/capacity_walk.h"
#include "sim/memory_margin.h"
#include "tests/bench/bench_capacity.h"

namespace tidemark::bench {
namespace {

constexpr double k_gib = 1 << 30;

/// A row that could be described, or the reason why not.
struct Described {
  const Transformer* model = nullptr;
  Strategy strategy{};
  const char* margin = "megatron";
  double allocator_share = 1;  // of what the row measures: reserved over allocated bytes, or 1
  double device_gib = 80;
  std::string missing{};
};

bool has(const std::string& text, const char* word) {
  return text.find(word) != std::string::npos;
}

const Transformer* model_of(const std::string& name) {
  static const std::map<std::string, std::string> names{
      {"Llama3.1-8B", "llama3-8b"},    {"Llama3.1-70B", "llama3-70b"},
      {"Llama3-70B", "llama3-70b"},    {"Llama3.1-405B", "llama3-405b"},
      {"Llama3.2-3B", "llama3.2-3b"},  {"Moonlight-16B", "moonlight-16b"},
      {"Qwen3-8B", "qwen3-8b"},        {"Qwen3-30B-A3B", "qwen3-30b-a3b"},
      {"GPT-OSS-120B", "gpt-oss-120b"}};
  const auto at = names.find(name);
  return at == names.end() ? nullptr : &find_transformer(at->second)->model;
}

std::int64_t integer_or(const test::CsvRow& row, const char* column, std::int64_t otherwise) {
  return row[column].empty() ? otherwise : row.integer(column);
}

/// torchtitan splits layers over stages as evenly as it can; the first stage is not among those
/// with one more (its pipelining code of 2024-12).
std::vector<std::int64_t> titan_stages(std::int64_t layers, std::int64_t stages) {
  if (layers % stages == 0) return {};
  std::vector<std::int64_t> out(static_cast<std::size_t>(stages), layers / stages);
  for (std::int64_t i = 0; i < layers % stages; ++i) ++out[static_cast<std::size_t>(i + 1)];
  return out;
}

/// torchtitan: f32 shards, sequence parallel with tensor parallel, as many micro-batches as
/// pipeline ranks, and no resharding then; compiled layers fuse the gate; since 2025 the loss is
/// compiled too.
Described titan(const test::CsvRow& row) {
  Described out{.model = model_of(row["model"])};
  Strategy& s = out.strategy;
  const std::string& techniques = row["techniques"];
  s.layout = {.tensor = row.integer("TP"),
              .pipeline = row.integer("PP"),
              .data = row.integer("FSDP"),
              .context = row.integer("CP"),
              .sequence_parallel = row.integer("TP") > 1};
  const bool pipelined = s.layout.pipeline > 1;
  if (has(techniques, "nterleaved")) {
    s.layout.virtual_stages = 2;
    s.schedule = PipelineSchedule::interleaved;
  }
  s.recipe = find_recipe(pipelined ? "fsdp2-keep" : "fsdp2");
  // The table has reserved bytes: the segments of gradients stay when PyTorch frees these.
  s.recipe.gradients_stay = true;
  out.margin = "torchtitan";
  out.allocator_share = find_memory_margin(out.margin).reserved_share;
  out.device_gib = has(row["hardware"], "141") ? 141 : has(row["hardware"], "96") ? 96 : 80;
  s.recompute = has(row["act_checkpoint"], "selective")
                    ? RecomputeSet{Recompute::alternate_products}
                : has(row["act_checkpoint"], "full") ? RecomputeSet{Recompute::full}
                                                     : RecomputeSet{};
  const bool compiled = has(techniques, "compile");
  s.kernels.fused_gate = compiled;
  s.kernels.loss = compiled && !has(row["software"], "2024") ? LossLowering::fused
                   : s.layout.tensor > 1                     ? LossLowering::eager_parallel
                                                             : LossLowering::eager;
  const std::int64_t batch = row.integer("local_batch");
  s.batch = {
      .sequence = row.integer("seq_len(8192=model-config default where the doc states none)"),
      .micro_batch = pipelined ? batch / s.layout.pipeline : batch,
      .micro_batches = pipelined ? s.layout.pipeline : 1};
  if (out.model != nullptr) {
    s.stage_layers = titan_stages(out.model->layers, s.layout.pipeline * s.layout.virtual_stages);
  }
  return out;
}

/// torchtune: 16-bit weights; the recipes of one device for 8B and of adapters recompute layers,
/// chunk the loss and run the optimizer in backward (8B; its 8-bit moments are paged to the host).
/// Of the ladder for 3B each row adds to the one before.
Described tune(const test::CsvRow& row) {
  Described out{.model = model_of(row["model"])};
  Strategy& s = out.strategy;
  const std::string& method = row["method"];
  out.margin = "torchtune";
  out.device_gib = has(row["hardware"], "4090") ? 24 : 80;
  static const std::vector<std::string> ladder{"baseline",
                                               "packed",
                                               "compile",
                                               "chunked",
                                               "activation checkpointing",
                                               "fuse",
                                               "activation offloading",
                                               "8-bit",
                                               "LoRA"};
  std::size_t step = ladder.size() - 1;
  const bool on_ladder = has(row["note"], "ladder");
  for (std::size_t i = 0; on_ladder && i < ladder.size(); ++i) {
    if (has(method, ladder[i].c_str())) step = i;
  }
  if (on_ladder && step == 0) out.missing = "length of unpacked sequences";
  if (has(method, "QLoRA")) out.missing = "which weights are 4-bit";
  s.layout.data = has(row["hardware"], "8x") ? 8 : 1;
  const bool lora = has(method, "LoRA");
  if (lora) {
    s.recipe = find_recipe("frozen");
    if (s.layout.data > 1) s.recipe.parameter.group = ShardGroup::data;
  } else if (!on_ladder || step >= 5) {
    s.recipe = find_recipe("bf16-fused-optimizer");
    if (!on_ladder) s.recipe.moments = {StateType::i8, ShardGroup::whole, true};
    if (on_ladder && step >= 7) s.recipe.moments.type = StateType::i8;
  } else {
    s.recipe = find_recipe("bf16");
  }
  if (step >= 4) s.recompute = {Recompute::full};
  s.kept_on_host = on_ladder && step >= 6;
  s.kernels.fused_gate = step >= 2;
  s.kernels.loss = step >= 3 ? LossLowering::chunked : LossLowering::eager;
  s.batch = {.sequence = row.integer("seq"), .micro_batch = row.integer("batch")};
  return out;
}

/// Megatron-Bridge: distributed optimizer, gradients reduced in 16 bits as its recipes for speed
/// do, with experts moments in 16 bits too, its fused loss (recipes/moonlight, recipes/llama),
/// sequence parallel with tensor parallel, whole experts on a rank.
Described bridge(const test::CsvRow& row) {
  Described out{.model = model_of(row["model"])};
  Strategy& s = out.strategy;
  if (row["MBS"].empty() || row["GBS"].empty() || row["seq"].empty()) out.missing = "its batch";
  s.layout = {.tensor = integer_or(row, "TP", 1),
              .pipeline = integer_or(row, "PP", 1),
              .virtual_stages = integer_or(row, "VPP", 1),
              .data = integer_or(row, "DP", 1)};
  if (row["DP"].empty() && !row["GPUs"].empty()) {
    s.layout.data = row.integer("GPUs") / s.layout.tensor / s.layout.pipeline;
  }
  s.layout.sequence_parallel = s.layout.tensor > 1;
  s.layout.expert = integer_or(row, "EP", 1);
  if (s.layout.virtual_stages > 1) s.schedule = PipelineSchedule::interleaved;
  const bool routed = out.model != nullptr && out.model->experts.count > 0;
  s.recipe = find_recipe(routed ? "megatron-precision-aware" : "megatron-bf16-gradients");
  s.kernels.loss = LossLowering::fused;
  s.kernels.f8_products = has(row["precision"], "FP8");
  const std::string& variant = row["variant"];
  static const std::map<std::string, Recompute> words{{"core_attn", Recompute::attention_core},
                                                      {"layernorm", Recompute::norms},
                                                      {"moe_act", Recompute::activation},
                                                      {"mla_up_proj", Recompute::latent_up},
                                                      {"mlp", Recompute::mlp},
                                                      {"whole moe", Recompute::experts},
                                                      {"moe+", Recompute::experts},
                                                      {"full", Recompute::full}};
  for (const auto& [word, part] : words) {
    if (has(variant, "recompute") && has(variant, word.c_str())) s.recompute.add(part);
  }
  const std::int64_t micro_batch = integer_or(row, "MBS", 1);
  s.batch = {.sequence = integer_or(row, "seq", 1),
             .micro_batch = micro_batch,
             .micro_batches = std::max<std::int64_t>(
                 1, integer_or(row, "GBS", 1) / micro_batch / s.layout.data)};
  return out;
}

void add_row(Json& out, const std::string& source, const std::string& name,
             const Described& described, double measured_gib, bool ran_out) {
  Json row{{"name", source + " " + name}, {"measured_gib", measured_gib}};
  std::string missing = described.missing;
  if (described.model == nullptr) missing = "its model";
  if (missing.empty()) {
    const std::vector<std::string> lines = problems(*described.model, described.strategy);
    if (!lines.empty()) missing = fmt::format("a valid layout: {}", fmt::join(lines, "; "));
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
       {"is_covered", interval.low <= measured_gib && measured_gib <= interval.high},
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
       {"ran_out", ran_out},
       {"error_pct", 100 * (ours_gib / measured_gib - 1)}});
  out["rows"].push_back(row);
}

}  // namespace

Json measured_peaks(const std::string& folder) {
  Json out{{"rows", Json::array()}};
  for (const test::CsvRow& row : rows_of(folder, "torchtitan_memory_throughput.csv")) {
    add_row(out, "torchtitan",
            fmt::format("{} {} GPUs {}", row["model"], row["GPUs"], row["techniques"]), titan(row),
            row.number("peak_memory_GiB"), false);
  }
  for (const test::CsvRow& row : rows_of(folder, "torchtune_memory.csv")) {
    add_row(out, "torchtune", row["model"] + " " + row["method"], tune(row),
            row.number("peak_memory_GiB"), false);
  }
  for (const test::CsvRow& row : rows_of(folder, "megatron_bridge_memory.csv")) {
    add_row(out, "bridge", row["model"] + " " + row["variant"], bridge(row),
            row.number("peak_GB") * 1e9 / k_gib, has(row["outcome"], "OOM"));
  }
  std::vector<double> errors;
  std::int64_t ran_out = 0;
  std::int64_t ran = 0;
  std::int64_t false_fits = 0;
  std::int64_t false_too_large = 0;
  std::int64_t covered = 0;
  for (const Json& row : out["rows"]) {
    if (!row.contains("error_pct")) continue;
    errors.push_back(std::abs(row["error_pct"].get<double>()));
    covered += row["is_covered"].get<bool>() ? 1 : 0;
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
