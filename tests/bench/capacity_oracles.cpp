// Published figures that are formulas themselves: ours must be the same.
#include <algorithm>
#include <cmath>

#include "sim/capacity.h"
#include "tests/bench/bench_capacity.h"

namespace tidemark::bench {
namespace {

constexpr double k_gib = 1 << 30;
constexpr double k_most_error_pct = 0.01;

void add(Json& out, const std::string& name, double ours, double published) {
  const double error = published == 0 ? 100 * std::abs(ours) : 100 * std::abs(ours / published - 1);
  out["rows"].push_back(
      {{"name", name}, {"ours", ours}, {"published", published}, {"error_pct", error}});
}

Strategy korthikanti(const test::CsvRow& row) {
  const bool selective = row["mode"] == "seqpar+selective";
  Strategy s;
  s.layout = {.tensor = row.integer("TP"),
              .pipeline = row.integer("PP"),
              .virtual_stages = row.integer("VPP"),
              .sequence_parallel = selective};
  s.recipe = find_recipe("megatron");
  if (selective) s.recompute = {Recompute::attention_core};
  s.kernels = {.attention = AttentionLowering::composite,
               .fused_gate = true,
               .dropout = true,
               .loss = LossLowering::in_place};
  s.schedule =
      s.layout.virtual_stages > 1 ? PipelineSchedule::interleaved : PipelineSchedule::one_f_one_b;
  s.batch = {.sequence = 2048,
             .micro_batch = row.integer("micro_batch"),
             .micro_batches = 8 * s.layout.pipeline};
  return s;
}

/// Korthikanti counts the matrices of layers, without biases, norms and embedding.
void figure_1(Json& out, const Folders& folders) {
  for (const test::CsvRow& row : rows_of(folders, "korthikanti_fig1_memory.csv")) {
    Transformer m = find_transformer("gpt3-175b")->model;
    m.layers = row.integer("layers");
    m.hidden = row.integer("hidden");
    m.heads = m.kv_heads = row.integer("heads");
    m.head_size = m.hidden / m.heads;
    m.mlp = 4 * m.hidden;
    m.biases = false;
    const Strategy s = korthikanti(row);
    require_valid(m, s);
    const CapacityModel level_a(m);
    const std::int64_t matrices = level_a.parameters(s, 0).layers.tensor;
    const std::string name = "fig. 1 " + row["model"] + " " + row["mode"];
    add(out, name + ", states",
        state_bytes(s.recipe, s.layout, {.tensor = matrices, .replicated = 0, .expert = 0})
                .total() /
            k_gib,
        row.number("params_and_optimizer_GiB"));
    add(out, name + ", activations", level_a.rank(s, 0).layers / k_gib,
        row.number("activations_GiB"));
  }
}

/// The file has three decimals.
void zero_table_1(Json& out, const Folders& folders) {
  for (const test::CsvRow& row : rows_of(folders, "zero_tab1_model_states_GB.csv")) {
    const std::string& model = row["model"];
    const double billions = std::stod(model) * (model.ends_with("T") ? 1000 : 1);
    const std::int64_t ranks = row.integer("Nd");
    for (const std::string stage : {"1", "2", "3"}) {
      const double gb =
          billions * bytes_per_parameter(find_recipe("zero" + stage), {ranks, ranks}).total();
      const double published = row.number("ZeRO" + stage + "_GB");
      const bool rounded = std::abs(gb - published) <= 5.01e-4;
      add(out, "ZeRO-" + stage + " " + model + " on " + row["Nd"], rounded ? published : gb,
          published);
    }
  }
}

StateRecipe deepspeed_recipe(const test::CsvRow& row) {
  StateRecipe recipe = find_recipe("deepspeed-zero" + row["stage"]);
  if (row["offload_opt"] == "cpu") {
    recipe.gradient_sum.on_host = recipe.master.on_host = recipe.moments.on_host = true;
    // The estimator of stage 2 counts no gradients on the device then.
    if (row["stage"] == "2") recipe.gradient.on_host = true;
  }
  recipe.parameter.on_host = row["offload_param"] == "cpu";
  return recipe;
}

/// Millions are cut off and results rounded in the file: ours must be a range that meets the
/// printed one.
void deepspeed_examples(Json& out, const Folders& folders) {
  for (const test::CsvRow& row : rows_of(folders, "deepspeed_estimator_examples.csv")) {
    const StateRecipe recipe = deepspeed_recipe(row);
    const std::int64_t ranks = row.integer("GPUs");
    const ShardSizes sizes{.data = ranks, .shard = ranks};
    const auto gib = [&](double more) {
      const double count = (std::stod(row["params"]) + more) * 1e6;
      double bytes = bytes_per_parameter(recipe, sizes).total() * count;
      if (row["stage"] == "3") {
        const UnitBytes unit =
            unit_bytes(recipe, sizes, (std::stod(row["largest_layer_params"]) + more) * 1e6);
        // The estimator gathers the largest layer also on one rank.
        bytes += std::max(unit.gathered, unit.gradient) + unit.gradient;
      }
      return bytes / k_gib;
    };
    const double printed = row.number("per_GPU_GB");
    const double ours = std::clamp(printed, gib(0) - 0.00501, gib(1) + 0.00501);
    add(out,
        "DeepSpeed " + row["model"] + " stage " + row["stage"] + " offload " +
            row["offload_param"] + "/" + row["offload_opt"],
        ours, printed);
  }
}

}  // namespace

Json formula_oracles(const Folders& folders) {
  Json out{{"rows", Json::array()}};
  figure_1(out, folders);
  zero_table_1(out, folders);
  deepspeed_examples(out, folders);
  double most = 0;
  for (const Json& row : out["rows"]) most = std::max(most, row["error_pct"].get<double>());
  out["max_error_pct"] = most;
  out["valid"] = most <= k_most_error_pct;
  return out;
}

}  // namespace tidemark::bench
