#include "tests/bench/capacity_described.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <vector>

#include "sim/memory_margin.h"
#include "traces/error.h"

namespace tidemark::bench {
namespace {

using Words = std::vector<std::string>;

[[noreturn]] void unknown(const char* what, const std::string& word) {
  throw InputError(
      InputError::Parts{.place = what, .expected = "one that is known", .found = "'" + word + "'"});
}

/// Letters, digits and underscores, in lower case.
Words words_of(const std::string& text) {
  Words words{""};
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (std::isalnum(u) != 0 || c == '_') {
      words.back() += static_cast<char>(std::tolower(u));
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

bool has(const Words& words, const char* word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Throws for a word that is not among `known`.
void require_known(const char* what, const Words& words, const std::set<std::string>& known) {
  for (const std::string& word : words) {
    if (!known.contains(word)) unknown(what, word);
  }
}

const Transformer* model_of(const std::string& name) {
  static const std::map<std::string, std::string> names{
      {"Llama3.1-8B", "llama3-8b"},       {"Llama3-8B", "llama3-8b"},
      {"Llama3.1-70B", "llama3-70b"},     {"Llama3-70B", "llama3-70b"},
      {"Llama3.1-405B", "llama3-405b"},   {"Llama3.2-3B", "llama3.2-3b"},
      {"Moonlight-16B", "moonlight-16b"}, {"Qwen3-8B", "qwen3-8b"},
      {"Qwen3-30B-A3B", "qwen3-30b-a3b"}, {"GPT-OSS-120B", "gpt-oss-120b"}};
  const auto at = names.find(name);
  const NamedTransformer* found =
      find_transformer(at == names.end() ? std::string_view(name) : at->second);
  if (found == nullptr) unknown("model", name);
  return &found->model;
}

/// "H200 SXM 141GB", "8x A100", "H100-80GB".
double device_gib(const std::string& hardware) {
  const Words words = words_of(hardware);
  for (const std::string& word : words) {
    const std::size_t digits = word.find_first_not_of("0123456789");
    if (digits != 0 && digits != std::string::npos && word.substr(digits) == "gb") {
      return std::stod(word);
    }
  }
  static const std::map<std::string, double> devices{
      {"rtx4090", 24}, {"4090", 24},   {"a100", 80},    {"h100", 80},    {"h200", 141},
      {"b200", 180},   {"gb200", 186}, {"mi300x", 192}, {"mi325x", 256}, {"b300", 288}};
  for (const std::string& word : words) {
    if (const auto at = devices.find(word); at != devices.end()) return at->second;
  }
  unknown("device", hardware);
}

/// The n of "8x A100".
std::int64_t device_count(const std::string& hardware) {
  std::size_t end = 0;
  while (end < hardware.size() && std::isdigit(static_cast<unsigned char>(hardware[end])) != 0) {
    ++end;
  }
  if (end == 0 || end > 6 || end == hardware.size() || hardware[end] != 'x') {
    unknown("number of devices in", hardware);
  }
  return std::stoll(hardware.substr(0, end));
}

std::int64_t integer_or(const test::CsvRow& row, const char* column, std::int64_t otherwise) {
  return row[column].empty() || row[column] == "n/a" ? otherwise : row.integer(column);
}

/// torchtitan splits layers over stages as evenly as it can; the first stage is not among those
/// with one more (its pipelining code of 2024-12).
std::vector<std::int64_t> titan_stages(std::int64_t layers, std::int64_t stages) {
  if (layers % stages == 0) return {};
  std::vector<std::int64_t> out(static_cast<std::size_t>(stages), layers / stages);
  for (std::int64_t i = 0; i < layers % stages; ++i) ++out[static_cast<std::size_t>(i + 1)];
  return out;
}

RecomputeSet titan_recompute(const std::string& text) {
  const Words words = words_of(text);
  require_known("act_checkpoint", words,
                {"selective", "full", "none", "no", "config", "default", "op", "per", "sac", "ac"});
  if (has(words, "full")) return {Recompute::full};
  if (has(words, "selective") || has(words, "sac")) return {Recompute::alternate_products};
  if (has(words, "none") || has(words, "no")) return {};
  unknown("act_checkpoint", text);
}

/// torchtitan: f32 shards, sequence parallel with tensor parallel, as many micro-batches as
/// pipeline ranks, and no resharding then; compiled layers fuse the gate; since 2025 the loss is
/// compiled too.
void titan(const test::CsvRow& row, Described& out) {
  Strategy& s = out.strategy;
  const Words techniques = words_of(row["techniques"]);
  require_known("technique", techniques,
                {"fsdp", "tp", "pp", "cp", "compile", "float8", "async", "asynctp", "1f1b",
                 "interleaved", "1d", "2d", "3d", "4d", "vanilla", "ac"});
  s.layout = {.tensor = row.integer("TP"),
              .pipeline = row.integer("PP"),
              .data = row.integer("FSDP"),
              .context = row.integer("CP"),
              .sequence_parallel = row.integer("TP") > 1};
  const bool pipelined = s.layout.pipeline > 1;
  if (has(techniques, "interleaved")) {
    s.layout.virtual_stages = 2;
    s.schedule = PipelineSchedule::interleaved;
  }
  // Until PyTorch 2.10, all of these rows, outputs of stages stay.
  s.recipe = find_recipe(pipelined ? "fsdp2-keep-outputs" : "fsdp2");
  // The table has reserved bytes: the segments of gradients stay when PyTorch frees these.
  s.recipe.gradients_stay = true;
  out.margin = "torchtitan";
  out.allocator_share = find_memory_margin(out.margin).reserved_share;
  s.recompute = titan_recompute(row["act_checkpoint"]);
  const bool compiled = has(techniques, "compile");
  s.kernels.fused_gate = compiled;
  const bool is_old = row["software"].find("2024") != std::string::npos;
  s.kernels.loss = compiled && !is_old   ? LossLowering::fused
                   : s.layout.tensor > 1 ? LossLowering::eager_parallel
                                         : LossLowering::eager;
  const std::int64_t batch = row.integer("local_batch");
  const std::int64_t parts = std::max<std::int64_t>(1, s.layout.pipeline);
  if (batch % parts != 0) {
    throw InputError(InputError::Parts{.place = "local_batch",
                                       .expected = fmt::format("a multiple of PP = {}", parts),
                                       .found = row["local_batch"]});
  }
  s.batch = {
      .sequence = row.integer("seq_len(8192=model-config default where the doc states none)"),
      .micro_batch = batch / parts,
      .micro_batches = parts};
  s.stage_layers = titan_stages(out.model->layers, s.layout.pipeline * s.layout.virtual_stages);
  if (!row["GPUs"].empty() && row.integer("GPUs") != s.layout.ranks()) {
    throw InputError(InputError::Parts{.place = "GPUs",
                                       .expected = fmt::format("{}, the product of FSDP, TP, PP "
                                                               "and CP",
                                                               s.layout.ranks()),
                                       .found = row["GPUs"]});
  }
}

/// Of the ladder for 3B, each row adds to the one before.
enum class Rung { baseline, packed, compile, chunked, checkpoints, fused, offload, i8, lora };

Rung rung_of(const std::string& method) {
  static const std::vector<std::string> ladder{"baseline",
                                               "packed",
                                               "compile",
                                               "chunked",
                                               "activation checkpointing",
                                               "fuse",
                                               "activation offloading",
                                               "8-bit",
                                               "LoRA"};
  for (std::size_t i = ladder.size(); i-- > 0;) {
    if (method.find(ladder[i]) != std::string::npos) return static_cast<Rung>(i);
  }
  if (method.find("optimizer") != std::string::npos) return Rung::fused;
  unknown("method", method);
}

/// The recipes of one device for 8B chunk the loss, recompute layers and run the optimizer in
/// backward, its 8-bit moments paged to the host; full fine-tuning of 70B keeps all of FSDP's
/// shards on the host (recipes/configs/llama3_1 there).
void tune_recipe(const test::CsvRow& row, Described& out) {
  StateRecipe& recipe = out.strategy.recipe;
  const std::int64_t ranks = out.strategy.layout.data;
  if (ranks == 1) {
    recipe = find_recipe("bf16-fused-optimizer");
    recipe.moments = {StateType::i8, ShardGroup::whole, true};
    return;
  }
  if (out.model->name != "llama3-70b") {
    unknown("configuration of", fmt::format("{} {} on {}", row["model"], row["method"], ranks));
  }
  recipe = find_recipe("bf16");
  recipe.unit_gradients = true;
  recipe.parameter = {StateType::bf16, ShardGroup::data, true};
  recipe.gradient = {StateType::bf16, ShardGroup::data, true};
  recipe.moments = {StateType::bf16, ShardGroup::data, true};
}

/// torchtune: 16-bit weights; adapters with frozen ones, in 4 bits with QLoRA.
void tune(const test::CsvRow& row, Described& out) {
  Strategy& s = out.strategy;
  const std::string& method = row["method"];
  out.margin = "torchtune";
  const bool on_ladder = row["note"].find("ladder") != std::string::npos;
  s.layout.data = device_count(row["hardware"]);
  Rung rung = Rung::lora;
  if (method.find("LoRA") != std::string::npos) {
    require_known("method", words_of(method), {"lora", "qlora"});
    s.recipe = find_recipe(method.find("QLoRA") == std::string::npos ? "frozen" : "frozen-nf4");
    if (s.layout.data > 1) s.recipe.parameter.group = ShardGroup::data;
  } else if (on_ladder) {
    rung = rung_of(method);
    if (rung == Rung::baseline) {
      throw InputError(
          {.place = "method", .expected = "the length of unpacked sequences", .found = method});
    }
    s.recipe = find_recipe(rung >= Rung::fused ? "bf16-fused-optimizer" : "bf16");
    if (rung >= Rung::i8) s.recipe.moments.type = StateType::i8;
    s.kept_on_host = rung >= Rung::offload;
  } else {
    require_known("method", words_of(method), {"full", "finetune"});
    tune_recipe(row, out);
  }
  // Rows with adapters have all of the ladder but what only full fine-tuning needs.
  s.kept_on_host = s.kept_on_host || (on_ladder && rung == Rung::lora);
  if (rung >= Rung::checkpoints) s.recompute = {Recompute::full};
  s.kernels.fused_gate = rung >= Rung::compile;
  s.kernels.loss = rung >= Rung::chunked ? LossLowering::chunked : LossLowering::eager;
  s.batch = {.sequence = row.integer("seq"), .micro_batch = row.integer("batch")};
}

/// What a variant changes; words that change no tensor are passed over.
RecomputeSet bridge_recompute(const std::string& variant) {
  static const std::map<std::string, Recompute> parts{{"core_attn", Recompute::attention_core},
                                                      {"layernorm", Recompute::norms},
                                                      {"moe_act", Recompute::activation},
                                                      {"mla_up_proj", Recompute::latent_up},
                                                      {"mlp", Recompute::mlp},
                                                      {"moe", Recompute::experts},
                                                      {"full", Recompute::full}};
  static const std::set<std::string> others{"baseline",
                                            "recompute",
                                            "no",
                                            "none",
                                            "selective",
                                            "whole",
                                            "more",
                                            "less",
                                            "fewer",
                                            "tp",
                                            "pp",
                                            "dp",
                                            "ep",
                                            "vpp",
                                            "with",
                                            "and",
                                            "sp",
                                            "input",
                                            "re",
                                            "gather",
                                            "expandable",
                                            "segments",
                                            "expandable_segments",
                                            "fused",
                                            "attention",
                                            "true",
                                            "false"};
  RecomputeSet out;
  const Words words = words_of(variant);
  const bool recomputes = has(words, "recompute") || has(words, "whole");
  for (const std::string& word : words) {
    if (const auto at = parts.find(word); recomputes && at != parts.end()) {
      out.add(at->second);
    } else if (!others.contains(word)) {
      unknown("variant", word);
    }
  }
  return out;
}

/// Megatron-Bridge: distributed optimizer, gradients reduced in 16 bits as its recipes for speed
/// do, with experts moments in 16 bits too, its fused loss (recipes/moonlight, recipes/llama),
/// sequence parallel with tensor parallel, whole experts on a rank.
void bridge(const test::CsvRow& row, Described& out) {
  Strategy& s = out.strategy;
  s.layout = {.tensor = row.integer("TP"),
              .pipeline = row.integer("PP"),
              .virtual_stages = integer_or(row, "VPP", 1)};
  const std::int64_t each = s.layout.tensor * s.layout.pipeline;
  if (row["GPUs"].empty()) {
    s.layout.data = row.integer("DP");
  } else {
    s.layout.data = integer_or(row, "DP", row.integer("GPUs") / std::max<std::int64_t>(1, each));
    if (s.layout.data * each != row.integer("GPUs")) {
      throw InputError(
          InputError::Parts{.place = "GPUs",
                            .expected = fmt::format("TP x PP x DP = {}", s.layout.data * each),
                            .found = row["GPUs"]});
    }
  }
  s.layout.sequence_parallel = s.layout.tensor > 1;
  const bool routed = out.model->experts.count > 0;
  s.layout.expert = routed ? row.integer("EP") : 1;
  if (s.layout.virtual_stages > 1) s.schedule = PipelineSchedule::interleaved;
  const Words task = words_of(row["task"]);
  require_known("task", task, {"sft", "pretrain", "lora"});
  s.recipe = find_recipe(has(task, "lora") ? "frozen"
                         : routed          ? "megatron-precision-aware"
                                           : "megatron-bf16-gradients");
  s.kernels.loss = LossLowering::fused;
  const Words precision = words_of(row["precision"]);
  require_known("precision", precision,
                {"bf16", "fp8", "mxfp8", "current", "delayed", "block", "scaling", "cs", "mx"});
  s.kernels.f8_products = !precision.empty() && !has(precision, "bf16");
  s.recompute = bridge_recompute(row["variant"]);
  const std::int64_t micro_batch = row.integer("MBS");
  const std::int64_t step = std::max<std::int64_t>(1, micro_batch * s.layout.data);
  const std::int64_t batch = row.integer("GBS");
  if (batch % step != 0) {
    throw InputError(InputError::Parts{.place = "GBS",
                                       .expected = fmt::format("a multiple of MBS x DP = {}", step),
                                       .found = row["GBS"]});
  }
  s.batch = {.sequence = row.integer("seq"),
             .micro_batch = micro_batch,
             .micro_batches = std::max<std::int64_t>(1, batch / step)};
}

Described describe(const test::CsvRow& row, void (*program)(const test::CsvRow&, Described&)) {
  Described out;
  try {
    out.model = model_of(row["model"]);
    out.device_gib = device_gib(row["hardware"]);
    program(row, out);
    const std::vector<std::string> lines = problems(*out.model, out.strategy);
    if (!lines.empty()) out.missing = fmt::format("{}", fmt::join(lines, "; "));
  } catch (const InputError& e) {
    out.missing = e.what();
  }
  return out;
}

}  // namespace

Described torchtitan_row(const test::CsvRow& row) {
  return describe(row, titan);
}
Described torchtune_row(const test::CsvRow& row) {
  return describe(row, tune);
}
Described bridge_row(const test::CsvRow& row) {
  return describe(row, bridge);
}

MeasuredPeak measured_peak(const test::CsvRow& row) {
  const bool decimal = row.has("peak_GB");
  const char* column = decimal ? "peak_GB" : "peak_memory_GiB";
  MeasuredPeak out;
  const Words outcome = words_of(row[column] + " " + (row.has("outcome") ? row["outcome"] : ""));
  out.ran_out = has(outcome, "oom");
  const std::string& cell = row[column];
  if (!cell.empty() && std::isdigit(static_cast<unsigned char>(cell[0])) != 0) {
    out.gib = row.number(column) * (decimal ? 1e9 / (1 << 30) : 1);
  }
  return out;
}

}  // namespace tidemark::bench
