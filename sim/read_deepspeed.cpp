#include <algorithm>
#include <cctype>

#include "sim/description.h"
#include "sim/section.h"

namespace tidemark {
namespace {

/// The value that HuggingFace's integration fills in at run time is as good as none.
void drop_automatic(Section::Json& json, int level = 0) {
  if (level > 8 || !json.is_object()) return;
  for (auto field = json.begin(); field != json.end(); ++field) {
    if (field->is_string() && *field == "auto") {
      *field = nullptr;
    } else {
      drop_automatic(*field, level + 1);
    }
  }
}

bool on_host(Section zero, const char* name) {
  Section offload = zero.section(name);
  const std::string device = offload.text_or("device", "none");
  if (device != "none" && device != "cpu" && device != "nvme") {
    offload.expected("device", "none, cpu or nvme");
  }
  if (device != "none" && offload.real_or("ratio", 1) != 1) {
    offload.expected("ratio", "1 (all of the optimizer)");
  }
  offload.pass({"pin_memory", "buffer_count", "buffer_size", "max_in_cpu", "nvme_path", "fast_init",
                "pipeline_read", "pipeline_write"});
  return device != "none";
}

/// What lies beside the tensors and is not in the recipe.
void note_buckets(Section& zero, std::int64_t stage, Description& out) {
  const std::int64_t reduce = zero.integer_or("reduce_bucket_size", 500'000'000);
  const std::int64_t gather = zero.integer_or("allgather_bucket_size", 500'000'000);
  const std::int64_t live = zero.integer_or("stage3_max_live_parameters", 1'000'000'000);
  const std::int64_t prefetch = zero.integer_or("stage3_prefetch_bucket_size", 50'000'000);
  zero.pass({"overlap_comm", "contiguous_gradients", "reduce_scatter", "allgather_partitions",
             "round_robin_gradients", "sub_group_size", "stage3_param_persistence_threshold",
             "stage3_model_persistence_threshold", "stage3_max_reuse_distance",
             "stage3_gather_16bit_weights_on_model_save", "ignore_unused_parameters"});
  if (stage == 0) return;
  out.assumptions.push_back(
      fmt::format("{}: buckets of {} elements to reduce and {} to gather are not counted", out.file,
                  reduce, stage == 3 ? prefetch : gather));
  if (stage == 3) {
    out.assumptions.push_back(
        fmt::format("{}: one layer is gathered at a time, not the {} parameters that may stay",
                    out.file, live));
  }
}

/// All of a recipe in f32, for a run without mixed precision.
void to_f32(StateRecipe& recipe) {
  const auto widen = [](StatePart& part) {
    if (part.type != StateType::none) part.type = StateType::f32;
  };
  widen(recipe.parameter);
  widen(recipe.gradient);
  recipe.gradient_sum = {};
  recipe.master = {};
  recipe.compute = StateType::f32;
}

StateRecipe recipe_of(Section& root, Description& out, Layout& layout) {
  Section zero = root.section("zero_optimization");
  const std::int64_t stage = zero.integer_or("stage", 0);
  if (stage < 0 || stage > 3) zero.expected("stage", "0 to 3");
  static constexpr const char* k_names[] = {"ddp", "zero1", "deepspeed-zero2", "deepspeed-zero3"};
  StateRecipe recipe = find_recipe(k_names[std::clamp<std::int64_t>(stage, 0, 3)]);
  recipe.library = TrainingLibrary::deepspeed;
  Section bf16 = root.section("bf16");
  Section fp16 = root.section("fp16");
  const bool has_bf16 = bf16.flag_or("enabled", false);
  const bool has_fp16 = fp16.flag_or("enabled", false);
  fp16.pass({"auto_cast", "loss_scale", "initial_scale_power", "loss_scale_window", "hysteresis",
             "min_loss_scale", "consecutive_hysteresis", "fp16_master_weights_and_grads"});
  bf16.pass({"immediate_grad_update", "check_grad_overflow"});
  if (has_bf16 && has_fp16) bf16.expected("enabled", "false, as fp16.enabled is true");
  if (!has_bf16 && !has_fp16) to_f32(recipe);
  const std::int64_t group = zero.integer_or("mics_shard_size", -1);
  if (group > 0 && stage == 3) {
    layout.shard = group;
  } else if (group > 0) {
    zero.expected("mics_shard_size", "none below stage 3");
  }
  if (zero.integer_or("zero_hpz_partition_size", 1) > 1) {
    zero.expected("zero_hpz_partition_size", "1 (a second copy of weights is not reckoned with)");
  }
  if (on_host(zero, "offload_optimizer")) {
    recipe.moments.on_host = recipe.master.on_host = true;
    recipe.gradient_sum.on_host = stage > 0;
  }
  if (on_host(zero, "offload_param")) {
    if (stage != 3) zero.expected("offload_param", "none below stage 3");
    recipe.parameter.on_host = true;
  }
  note_buckets(zero, stage, out);
  return recipe;
}

/// 0 when it is not given. Bounded so that products of three fit 63 bits.
std::int64_t sequences(Section& root, const char* name, std::int64_t most) {
  const std::int64_t value = root.integer_or(name, 0);
  if (!root.has(name) || (value >= 1 && value <= most)) return value;
  root.expected(name, fmt::format("a number from 1 to {}", most));
  return 0;
}

void read_batch(Section& root, const DescriptionContext& context, Strategy& s) {
  constexpr std::int64_t k_most = 1 << 20;
  const std::int64_t total = sequences(root, "train_batch_size", k_most * k_most);
  const std::int64_t micro = sequences(root, "train_micro_batch_size_per_gpu", k_most);
  const std::int64_t steps = sequences(root, "gradient_accumulation_steps", k_most);
  const std::int64_t ranks = std::min(context.ranks, k_most) / s.layout.tensor;
  const auto from_1 = [](std::int64_t value) { return std::max<std::int64_t>(1, value); };
  Batch& b = s.batch;
  b.micro_batch = from_1(micro);
  b.micro_batches = from_1(steps);
  s.layout.data = from_1(ranks > 0 ? ranks : total / (b.micro_batch * b.micro_batches));
  if (total == 0) return;
  if (steps == 0 && micro > 0) {
    b.micro_batches = from_1(total / (micro * s.layout.data));
  } else if (micro == 0) {
    b.micro_batch = from_1(total / (b.micro_batches * s.layout.data));
  }
  if (b.micro_batch * b.micro_batches * s.layout.data == total) return;
  root.expected("train_batch_size",
                fmt::format("train_micro_batch_size_per_gpu x gradient_accumulation_steps x ranks "
                            "= {} x {} x {}",
                            b.micro_batch, b.micro_batches, s.layout.data));
}

void read_checkpoints(Section& root, Strategy& s) {
  Section f = root.section("activation_checkpointing");
  if (f.flag_or("partition_activations", false) && s.layout.tensor > 1) {
    f.expected("partition_activations", "false (split inputs of layers are not reckoned with)");
  }
  s.kept_on_host = f.flag_or("cpu_checkpointing", false);
  if (s.kept_on_host || f.has("number_checkpoints")) s.recompute = {Recompute::full};
  f.pass({"contiguous_memory_optimization", "number_checkpoints", "synchronize_checkpoint_boundary",
          "profile"});
}

void read_optimizer(Section& root, StateRecipe& recipe) {
  Section f = root.section("optimizer");
  std::string type = f.text_or("type", "AdamW");
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (type != "adam" && type != "adamw") f.expected("type", "Adam or AdamW");
  f.pass({"params"});
  f.section("params").pass_all();
  Section types = root.section("data_types");
  const std::string sum = types.text_or("grad_accum_dtype", "");
  if (sum == "fp32" && recipe.gradient_sum.type == StateType::none &&
      recipe.gradient.type == StateType::bf16) {
    recipe.gradient_sum = {StateType::f32, recipe.gradient.group};
  } else if (sum == "bf16" || sum == "fp16") {
    if (recipe.gradient_sum.type != StateType::none) recipe.gradient_sum.type = StateType::bf16;
  } else if (!sum.empty() && sum != "fp32") {
    types.expected("grad_accum_dtype", "fp32, bf16 or fp16");
  }
}

}  // namespace

Description read_deepspeed(const std::string& text, const std::string& file,
                           const DescriptionContext& context) {
  Document source = json_document(text, file);
  drop_automatic(source.root);
  std::vector<std::string> problems;
  Section root(source, problems);
  Description out{.file = file, .format = DescriptionFormat::deepspeed};
  Strategy s;
  s.layout.tensor = root.section("tensor_parallel").integer_or("autotp_size", 1);
  if (s.layout.tensor < 1) {
    root.section("tensor_parallel").expected("autotp_size", "a number from 1");
    s.layout.tensor = 1;
  }
  s.recipe = recipe_of(root, out, s.layout);
  read_optimizer(root, s.recipe);
  read_batch(root, context, s);
  read_checkpoints(root, s);
  s.kernels.loss = LossLowering::eager;
  s.kernels.fused_gate = false;
  s.batch.sequence = context.sequence;
  if (root.has("pipeline")) root.expected("pipeline", "none (stages are set in the program)");
  for (const char* name : {"hybrid_engine", "sparse_attention", "compression_training"}) {
    if (root.has(name)) root.expected(name, "none (it changes memory and is not reckoned with)");
  }
  root.pass({"scheduler", "gradient_clipping", "prescale_gradients", "steps_per_print",
             "wall_clock_breakdown", "communication_data_type", "zero_allow_untested_optimizer",
             "zero_force_ds_cpu_optimizer", "torch_autocast"});
  require_none(problems);
  out.assumptions.push_back(file + ": layers, loss and attention as PyTorch runs them, eagerly");
  out.ignored = root.unread();
  out.strategy = std::move(s);
  return out;
}

}  // namespace tidemark
