#include <algorithm>
#include <map>

#include "sim/description.h"
#include "sim/section.h"

namespace tidemark {
namespace {

/// Sizes of parallelism and the ranks that are left for shards (-1 in the file).
struct Degrees {
  std::int64_t replicate = 1;
  std::int64_t shard = 1;
};

const NamedTransformer* model_of(Section& model) {
  static const std::map<std::string, std::string> names{{"llama3 8B", "llama3-8b"},
                                                        {"llama3 70B", "llama3-70b"},
                                                        {"llama3 405B", "llama3-405b"},
                                                        {"qwen3 8B", "qwen3-8b"},
                                                        {"qwen3 30B-A3B", "qwen3-30b-a3b"}};
  const std::string name = model.text("name");
  const auto at = names.find(name + " " + model.text("flavor"));
  if (at != names.end()) return find_transformer(at->second);
  std::string known;
  for (const auto& [text, ours] : names) known += (known.empty() ? "" : ", ") + text;
  model.expected("flavor", "name and flavor of one of " + known);
  return nullptr;
}

Degrees read_degrees(Section& p, const DescriptionContext& context, Layout& l, Description& out) {
  l.tensor = p.integer_or("tensor_parallel_degree", 1);
  l.pipeline = p.integer_or("pipeline_parallel_degree", 1);
  l.context = p.integer_or("context_parallel_degree", 1);
  l.expert = p.integer_or("expert_parallel_degree", 1);
  l.expert_tensor = p.integer_or("expert_tensor_parallel_degree", 1);
  Degrees d{.replicate = p.integer_or("data_parallel_replicate_degree", 1),
            .shard = p.integer_or("data_parallel_shard_degree", -1)};
  for (const auto& [name, value] : {std::pair{"tensor_parallel_degree", l.tensor},
                                    {"pipeline_parallel_degree", l.pipeline},
                                    {"context_parallel_degree", l.context},
                                    {"data_parallel_replicate_degree", d.replicate}}) {
    if (value < 1 || value > (1 << 24)) p.expected(name, "a number from 1");
  }
  const double others = static_cast<double>(l.tensor) * static_cast<double>(l.pipeline) *
                        static_cast<double>(l.context) * static_cast<double>(d.replicate);
  if (others < 1 || others > (1 << 24)) return d;
  if (d.shard == -1) {
    const auto divisor = static_cast<std::int64_t>(others);
    d.shard = std::max<std::int64_t>(1, context.ranks / divisor);
    if (context.ranks == 0) {
      d.shard = 8;
      out.assumptions.push_back(p.place("data_parallel_shard_degree") +
                                ": 8 ranks to shard over, as the file does not say how many");
    } else if (context.ranks % divisor != 0) {
      p.expected("data_parallel_shard_degree",
                 fmt::format("degrees whose product {} divides {} ranks", divisor, context.ranks));
    }
  } else if (context.ranks > 0 &&
             others * static_cast<double>(d.shard) != static_cast<double>(context.ranks)) {
    p.expected("data_parallel_shard_degree",
               fmt::format("degrees whose product is {} ranks", context.ranks));
  }
  if (d.shard < 1 || d.shard > (1 << 24)) {
    p.expected("data_parallel_shard_degree", "-1 or a number from 1");
    d.shard = 1;
  }
  return d;
}

void read_schedule(Section& p, const Transformer& m, Strategy& s) {
  Layout& l = s.layout;
  const std::string name = p.text_or("pipeline_parallel_schedule", "1F1B");
  if (l.pipeline == 1) {
    p.pass({"pipeline_parallel_microbatch_size", "pipeline_parallel_layers_per_stage"});
    return;
  }
  static const std::map<std::string, PipelineSchedule> names{
      {"1F1B", PipelineSchedule::one_f_one_b},
      {"GPipe", PipelineSchedule::gpipe},
      {"Interleaved1F1B", PipelineSchedule::interleaved}};
  const auto at = names.find(name);
  if (at == names.end()) {
    p.expected("pipeline_parallel_schedule", "1F1B, GPipe or Interleaved1F1B");
    return;
  }
  s.schedule = at->second;
  if (s.schedule == PipelineSchedule::interleaved) l.virtual_stages = 2;
  const std::int64_t per_stage = p.integer_or("pipeline_parallel_layers_per_stage", 0);
  if (per_stage < 0) p.expected("pipeline_parallel_layers_per_stage", "a number from 1");
  if (per_stage > 0 && l.pipeline > 0) {
    l.virtual_stages = std::max<std::int64_t>(1, m.layers / per_stage / l.pipeline);
  }
  const std::int64_t stages = l.pipeline * l.virtual_stages;
  if (stages < 1 || stages > m.layers || m.layers % stages == 0) return;
  // As even as it goes; the first stage is not among those with one more.
  s.stage_layers.assign(static_cast<std::size_t>(stages), m.layers / stages);
  for (std::int64_t i = 0; i < m.layers % stages; ++i) {
    ++s.stage_layers[static_cast<std::size_t>((i + 1) % stages)];
  }
}

void read_recipe(Section& training, Section& parallelism, const Degrees& d, Strategy& s) {
  const bool pipelined = s.layout.pipeline > 1;
  const std::string reshard = parallelism.text_or("fsdp_reshard_after_forward", "default");
  if (reshard != "default" && reshard != "always" && reshard != "never") {
    parallelism.expected("fsdp_reshard_after_forward", "default, always or never");
  }
  const bool keep = reshard == "never" || (reshard == "default" && pipelined);
  s.recipe = find_recipe(keep && pipelined ? "fsdp2-keep" : "fsdp2");
  s.recipe.reshard_after_forward = !keep;
  const std::string compute = training.text_or("mixed_precision_param", "bfloat16");
  if (compute == "float32") {
    s.recipe.compute = StateType::f32;
  } else if (compute != "bfloat16") {
    training.expected("mixed_precision_param", "bfloat16 or float32");
  }
  if (training.text_or("mixed_precision_reduce", "float32") != "float32") {
    training.expected("mixed_precision_reduce", "float32");
  }
  if (training.flag_or("enable_cpu_offload", false)) {
    s.recipe.parameter.on_host = s.recipe.gradient.on_host = s.recipe.moments.on_host = true;
  }
  if (d.shard * s.layout.context > 1) return;
  parallelism.expected("data_parallel_shard_degree",
                       "above 1 (replicas under autocast are not reckoned with)");
}

void read_batch(Section& training, Section& parallelism, Strategy& s) {
  const std::int64_t local = training.integer_or({"local_batch_size", "batch_size"}, 8);
  const std::int64_t global = training.integer_or("global_batch_size", -1);
  const std::int64_t piece = parallelism.integer_or("pipeline_parallel_microbatch_size", 1);
  s.batch.sequence = training.integer_or("seq_len", 2048);
  const std::int64_t data = s.layout.data;
  if (local < 1 || local > (1 << 24)) training.expected("local_batch_size", "a number from 1");
  if (local < 1 || local > (1 << 24) || piece < 1 || data < 1) return;
  std::int64_t times = 1;
  if (global > 0) {
    times = global / (local * data);
    if (global % (local * data) != 0) {
      training.expected(
          "global_batch_size",
          fmt::format("a multiple of local_batch_size x ranks of data = {}", local * data));
    }
  }
  const bool pipelined = s.layout.pipeline > 1;
  if (pipelined && local % piece != 0) {
    parallelism.expected("pipeline_parallel_microbatch_size",
                         fmt::format("a divisor of local_batch_size = {}", local));
  }
  s.batch.micro_batch = pipelined ? piece : local;
  s.batch.micro_batches = std::max<std::int64_t>(1, pipelined ? local / piece * times : times);
}

void read_recompute(Section& f, Strategy& s) {
  const std::string mode = f.text_or("mode", "selective");
  const std::string option = f.text_or("selective_ac_option", "2");
  if (mode == "full" || (mode == "selective" && option == "1")) {
    s.recompute = {Recompute::full};
  } else if (mode == "selective" && option == "op") {
    s.recompute = {Recompute::alternate_products};
  } else if (mode == "selective") {
    f.expected("selective_ac_option", "op or 1 (every n-th layer is not reckoned with)");
  } else if (mode != "none") {
    f.expected("mode", "none, selective or full");
  }
  f.pass({"early_stop", "per_op_sac_force_recompute_mm_shapes_by_fqns", "preserve_rng_state"});
}

/// Kernels: compiled layers fuse the gate, a compiled loss holds nothing beside the logits.
void read_kernels(Section& root, Strategy& s) {
  Section compile = root.section("compile");
  const bool enabled = compile.flag_or("enable", false);
  bool layers = enabled;
  bool loss = enabled;
  if (const Section::Json* parts = compile.take("components"); parts != nullptr && enabled) {
    layers = std::find(parts->begin(), parts->end(), "model") != parts->end();
    loss = std::find(parts->begin(), parts->end(), "loss") != parts->end();
  }
  s.kernels.fused_gate = layers;
  s.kernels.loss = loss                  ? LossLowering::fused
                   : s.layout.tensor > 1 ? LossLowering::eager_parallel
                                         : LossLowering::eager;
  const std::string optimizer = root.section("optimizer").text_or("name", "AdamW");
  if (optimizer != "Adam" && optimizer != "AdamW") {
    root.section("optimizer").expected("name", "Adam or AdamW");
  }
  if (root.section("optimizer").flag_or("early_step_in_backward", false)) {
    root.section("optimizer").expected("early_step_in_backward", "false");
  }
}

}  // namespace

Description read_torchtitan(const std::string& text, const std::string& file,
                            const DescriptionContext& context) {
  const Document source = toml_document(text, file);
  std::vector<std::string> problems;
  Section root(source, problems);
  Description out{.file = file, .format = DescriptionFormat::torchtitan};
  Section model = root.section("model");
  Section training = root.section("training");
  Section parallelism = root.section("parallelism");
  Section checkpoints = root.section("activation_checkpoint");
  if (const NamedTransformer* named = model_of(model)) out.model = *named;
  Strategy s;
  const Degrees d = read_degrees(parallelism, context, s.layout, out);
  if (__builtin_mul_overflow(d.replicate, d.shard, &s.layout.data)) s.layout.data = -1;
  if (d.replicate > 1 && __builtin_mul_overflow(d.shard, s.layout.context, &s.layout.shard)) {
    s.layout.shard = -1;
  }
  s.layout.sequence_parallel = s.layout.tensor > 1;
  read_schedule(parallelism, out.model ? out.model->model : Transformer{}, s);
  read_recipe(training, parallelism, d, s);
  read_batch(training, parallelism, s);
  read_recompute(checkpoints, s);
  read_kernels(root, s);
  for (const char* name : {"job", "profiling", "metrics", "checkpoint", "lr_scheduler", "comm",
                           "validation", "debug"}) {
    if (root.has(name)) root.section(name).pass_all();
  }
  if (parallelism.flag_or("disable_loss_parallel", false)) {
    parallelism.expected("disable_loss_parallel", "false (whole logits are not reckoned with)");
  }
  parallelism.pass({"enable_async_tensor_parallel", "context_parallel_rotate_method",
                    "enable_compiled_autograd"});
  require_none(problems);
  out.ignored = root.unread();
  out.strategy = std::move(s);
  return out;
}

}  // namespace tidemark
