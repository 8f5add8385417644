#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "sim/description.h"
#include "sim/megatron_words.h"
#include "sim/section.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_most = std::int64_t{1} << 24;

/// Sizes are multiplied below, before problems() can refuse them.
std::int64_t sane(MegatronWords& f, const char* name, std::int64_t otherwise) {
  const std::int64_t value = f.integer_or(name, otherwise);
  if (value >= 1 && value <= k_most) return value;
  f.expected(name, fmt::format("a number from 1 to {}", k_most));
  return 1;
}

std::int64_t sane(MegatronWords& f, const char* name) {
  if (!f.has(name)) {
    f.expected(name, "an integer");
    f.pass({name});
    return 1;
  }
  return sane(f, name, 1);
}

/// "([0]*3+[1]*58)" or a number: how many leading layers keep the dense MLP.
void read_expert_layers(MegatronWords& f, Transformer& m) {
  const std::string text = f.text_or("moe-layer-freq", "1");
  if (text == "1") return;
  std::int64_t dense = 0;
  std::int64_t routed = 0;
  char end = 0;
  long long zeros = 0;
  long long ones = 0;
  const bool leading =
      std::sscanf(text.c_str(), "([0]*%lld+[1]*%lld%c", &zeros, &ones, &end) == 3 && end == ')';
  dense = zeros;
  routed = ones;
  if (!leading || dense < 0 || routed < 0 || dense > m.layers || routed != m.layers - dense) {
    f.expected("moe-layer-freq", "1, or ([0]*D+[1]*N) with D + N layers");
    return;
  }
  m.experts.dense_layers = dense;
}

void read_experts(MegatronWords& f, Transformer& m) {
  if (!f.has("num-experts")) return;
  m.experts.count = sane(f, "num-experts");
  m.experts.per_token = f.integer_or("moe-router-topk", 2);
  m.experts.width = f.integer_or("moe-ffn-hidden-size", m.mlp);
  m.experts.shared_width = f.integer_or("moe-shared-expert-intermediate-size", 0);
  read_expert_layers(f, m);
}

void read_attention(MegatronWords& f, Transformer& m) {
  m.heads = sane(f, "num-attention-heads");
  m.kv_heads = f.flag("group-query-attention") ? f.integer_or("num-query-groups", 1) : m.heads;
  f.pass({"num-query-groups"});
  m.head_size = f.integer_or("kv-channels", m.hidden / m.heads);
  m.qk_norm = f.flag("qk-layernorm");
  if (!f.flag("multi-latent-attention")) return;
  m.latent = {.query_rank = f.integer_or("q-lora-rank", 0),
              .kv_rank = f.integer_or("kv-lora-rank", 32),
              .rope_size = f.integer_or("qk-pos-emb-head-dim", 64),
              .value_size = f.integer_or("v-head-dim", 128)};
  m.head_size = f.integer_or("qk-head-dim", 128);
  m.qk_norm = false;  // the norms of the compressions are always counted
}

void read_vocabulary(MegatronWords& f, std::int64_t tensor, Transformer& m) {
  const std::int64_t divisor = sane(f, "make-vocab-size-divisible-by", 128) * tensor;
  std::int64_t words = 0;
  if (f.has("padded-vocab-size")) {
    m.vocabulary = f.integer("padded-vocab-size");
    return;
  }
  if (f.has("vocab-size")) {
    words = sane(f, "vocab-size");
  } else {
    f.expected("vocab-size", "the size that the tokenizer has (its files are not read)");
  }
  m.vocabulary = (words + divisor - 1) / divisor * divisor;
}

NamedTransformer read_model(MegatronWords& f, const std::string& file, std::int64_t tensor) {
  NamedTransformer named;
  named.about = file;
  Transformer& m = named.model;
  m.name = "megatron";
  m.layers = sane(f, "num-layers");
  m.hidden = sane(f, "hidden-size");
  m.gated_mlp = f.flag("swiglu");
  const std::int64_t gated = m.hidden * 4 * 2 / 3 / 64 * 64;
  m.mlp = f.integer_or("ffn-hidden-size", m.gated_mlp ? gated : 4 * m.hidden);
  read_attention(f, m);
  read_experts(f, m);
  read_vocabulary(f, tensor, m);
  const std::string position = f.text_or("position-embedding-type", "learned_absolute");
  const bool rotary = f.flag("use-rotary-position-embeddings") || position != "learned_absolute";
  const std::int64_t positions = f.integer_or("max-position-embeddings", 0);
  if (!rotary && positions == 0) f.expected("max-position-embeddings", "an integer");
  m.positions = rotary || f.flag("no-position-embedding") ? 0 : positions;
  m.tied_head = !f.flag("untie-embeddings-and-output-weights");
  m.biases = !f.flag("disable-bias-linear");
  m.qkv_biases = f.flag("add-qkv-bias");
  const std::string norm = f.text_or("normalization", "LayerNorm");
  m.norm = norm == "LayerNorm" ? Norm::layer_norm : Norm::rms_norm;
  if (norm != "LayerNorm" && norm != "RMSNorm") f.expected("normalization", "LayerNorm or RMSNorm");
  named.sequence = f.integer("seq-length");
  return named;
}

/// Sizes of groups; what is left of all ranks is data parallel.
void read_layout(MegatronWords& f, const DescriptionContext& context, Description& out, Layout& l) {
  l.tensor = sane(f, "tensor-model-parallel-size", 1);
  l.pipeline = sane(f, "pipeline-model-parallel-size", 1);
  l.context = sane(f, "context-parallel-size", 1);
  l.expert = sane(f, "expert-model-parallel-size", 1);
  l.expert_tensor = sane(f, "expert-tensor-parallel-size", f.has("num-experts") ? l.tensor : 1);
  l.sequence_parallel = f.flag("sequence-parallel");
  const std::int64_t own = sane(f, "nproc-per-node", 1) * sane(f, "nnodes", 1);
  const bool says = f.has("nproc-per-node");
  if (says && context.ranks > 0 && own != context.ranks) {
    f.expected("nproc-per-node",
               fmt::format("{} ranks in all, as asked for (its product with --nnodes is {})",
                           context.ranks, own));
  }
  const std::int64_t ranks = context.ranks > 0 ? context.ranks : says ? own : 0;
  const double model = static_cast<double>(l.tensor) * static_cast<double>(l.pipeline) *
                       static_cast<double>(l.context);
  if (ranks == 0) {
    out.assumptions.push_back(out.file + ": one model replica, as ranks are not known");
    return;
  }
  if (model > static_cast<double>(ranks) || ranks % static_cast<std::int64_t>(model) != 0) {
    f.expected("tensor-model-parallel-size",
               fmt::format("tensor x pipeline x context to divide {} ranks", ranks));
    return;
  }
  l.data = ranks / static_cast<std::int64_t>(model);
}

void read_stages(MegatronWords& f, const Transformer& m, Strategy& s) {
  Layout& l = s.layout;
  if (f.has("num-layers-per-virtual-pipeline-stage")) {
    const std::int64_t each = sane(f, "num-layers-per-virtual-pipeline-stage");
    l.virtual_stages = std::max<std::int64_t>(1, m.layers / l.pipeline / each);
  }
  if (f.has("num-virtual-stages-per-pipeline-rank")) {
    l.virtual_stages = sane(f, "num-virtual-stages-per-pipeline-rank");
  }
  if (l.virtual_stages > 1) s.schedule = PipelineSchedule::interleaved;
  const std::int64_t first = f.integer_or("decoder-first-pipeline-num-layers", -1);
  const std::int64_t last = f.integer_or("decoder-last-pipeline-num-layers", -1);
  if (first < 0 && last < 0) return;
  const std::int64_t ends = (first >= 0 ? 1 : 0) + (last >= 0 ? 1 : 0);
  const std::int64_t middle = l.pipeline - ends;
  const std::int64_t rest =
      m.layers - std::max<std::int64_t>(first, 0) - std::max<std::int64_t>(last, 0);
  if (l.virtual_stages > 1 || middle < 1 || rest < 0 || rest % middle != 0 || l.pipeline > 10'000) {
    f.expected(
        first >= 0 ? "decoder-first-pipeline-num-layers" : "decoder-last-pipeline-num-layers",
        "layers that leave the other stages the same number each, one stage per rank");
    return;
  }
  s.stage_layers.assign(static_cast<std::size_t>(l.pipeline), rest / middle);
  if (first >= 0) s.stage_layers.front() = first;
  if (last >= 0) s.stage_layers.back() = last;
}

StateType type_of(MegatronWords& f, const char* name, StateType otherwise) {
  static const std::map<std::string, StateType> types{{"fp32", StateType::f32},
                                                      {"bf16", StateType::bf16},
                                                      {"fp16", StateType::bf16},
                                                      {"fp8", StateType::f8}};
  if (!f.has(name)) return otherwise;
  const auto at = types.find(f.text_or(name, ""));
  if (at != types.end()) return at->second;
  f.expected(name, "fp32, bf16, fp16 or fp8");
  return otherwise;
}

void read_precise_optimizer(MegatronWords& f, StateRecipe& r) {
  if (!f.flag("use-precision-aware-optimizer")) return;
  r.gradient.type = type_of(f, "main-grads-dtype", r.gradient.type);
  r.master.type = type_of(f, "main-params-dtype", StateType::f32);
  const StateType first = type_of(f, "exp-avg-dtype", StateType::f32);
  r.moments.type = first;
  if (type_of(f, "exp-avg-sq-dtype", StateType::f32) != first) {
    f.expected("exp-avg-sq-dtype", "the type of --exp-avg-dtype");
  }
}

/// Which part of the state each replica keeps a share of.
void read_sharding(MegatronWords& f, StateRecipe& r, Layout& l) {
  const bool own = f.flag("use-megatron-fsdp") || f.flag("use-custom-fsdp");
  const bool torch = f.flag("use-torch-fsdp2");
  const bool optimizer = f.flag("use-distributed-optimizer");
  const std::string strategy = f.text_or("data-parallel-sharding-strategy", "no_shard");
  static const std::vector<std::string> levels{"no_shard", "optim", "optim_grads",
                                               "optim_grads_params"};
  const auto found = std::find(levels.begin(), levels.end(), strategy);
  if (found == levels.end()) {
    f.expected("data-parallel-sharding-strategy", fmt::format("{}", fmt::join(levels, ", ")));
  }
  const std::int64_t level = torch ? 3 : own ? found - levels.begin() : optimizer ? 1 : 0;
  ShardGroup group = ShardGroup::data;
  const std::int64_t instances = sane(f, "num-distributed-optimizer-instances", 1);
  if (instances > 1) {
    if ((l.data * l.context) % instances != 0) {
      f.expected("num-distributed-optimizer-instances",
                 fmt::format("a divisor of data x context = {}", l.data * l.context));
    }
    group = ShardGroup::shard;
    l.shard = l.data * l.context / instances;
  }
  if (level >= 1) r.master.group = r.moments.group = group;
  if (level >= 2) r.gradient.group = group;
  if (level >= 3) r.parameter.group = group;
  r.unit_gradients = level >= 2;
}

StateRecipe read_recipe(MegatronWords& f, Layout& l) {
  const bool bf16 = f.flag("bf16");
  const bool fp16 = f.flag("fp16");
  if (bf16 && fp16) f.expected("fp16", "one of --bf16 and --fp16");
  StateRecipe r = find_recipe(bf16 || fp16 ? "megatron" : "f32");
  r.gradients_stay = true;
  // Gradients are summed in f32 with bf16, unless asked otherwise; with fp16 only when asked.
  const bool sums = f.flag("accumulate-allreduce-grads-in-fp32");
  if (fp16 && !sums) r.gradient.type = StateType::bf16;
  if (f.flag("grad-reduce-in-bf16")) {
    if (sums) f.expected("grad-reduce-in-bf16", "not with --accumulate-allreduce-grads-in-fp32");
    r.gradient.type = StateType::bf16;
  }
  read_precise_optimizer(f, r);
  read_sharding(f, r, l);
  if (f.text_or("optimizer", "adam") != "adam") f.expected("optimizer", "adam");
  if (f.flag("optimizer-cpu-offload")) {
    if (f.real_or("optimizer-offload-fraction", 1) != 1) {
      f.expected("optimizer-offload-fraction", "1 (a part is not reckoned with)");
    }
    r.master.on_host = r.moments.on_host = true;
  }
  r.name = "megatron arguments";
  r.source = "megatron/training/arguments.py, " + find_recipe("megatron").source;
  return r;
}

void read_recompute(MegatronWords& f, const Transformer& m, Strategy& s) {
  const std::string granularity =
      f.text_or("recompute-granularity", f.flag("recompute-activations") ? "selective" : "none");
  if (f.flag("distribute-saved-activations")) {
    f.expected("distribute-saved-activations", "none (it is not reckoned with)");
  }
  if (f.flag("cpu-offloading")) f.expected("cpu-offloading", "none (it is not reckoned with)");
  if (granularity == "none") return;
  if (granularity == "full") {
    s.recompute = {Recompute::full};
    const std::string method = f.text_or("recompute-method", "uniform");
    const std::int64_t layers = sane(f, "recompute-num-layers", 1);
    const std::int64_t stage =
        std::max<std::int64_t>(1, m.layers / s.layout.pipeline / s.layout.virtual_stages);
    if (method == "uniform" && layers != 1) {
      f.expected("recompute-num-layers", "1 with --recompute-method uniform");
    } else if (method == "block" && layers < stage) {
      f.expected("recompute-num-layers", fmt::format("all {} layers of a stage", stage));
    } else if (method != "uniform" && method != "block") {
      f.expected("recompute-method", "uniform or block");
    }
    return;
  }
  if (granularity != "selective") f.expected("recompute-granularity", "full or selective");
  static const std::map<std::string, Recompute> parts{{"core_attn", Recompute::attention_core},
                                                      {"layernorm", Recompute::norms},
                                                      {"moe_act", Recompute::activation},
                                                      {"mlp", Recompute::mlp},
                                                      {"moe", Recompute::experts},
                                                      {"mla_up_proj", Recompute::latent_up}};
  std::vector<std::string> words = f.list("recompute-modules");
  if (words.empty()) words = {"core_attn"};
  for (const std::string& word : words) {
    if (const auto at = parts.find(word); at != parts.end()) {
      s.recompute.add(at->second);
    } else {
      f.expected("recompute-modules",
                 "core_attn, layernorm, moe_act, mlp, moe or mla_up_proj, and no '" + word + "'");
    }
  }
}

void read_kernels(MegatronWords& f, Strategy& s, Description& out) {
  const double hidden = f.real_or("hidden-dropout", 0.1);
  const double scores = f.real_or("attention-dropout", 0.1);
  s.kernels.dropout = hidden > 0 || scores > 0;
  if ((hidden > 0) != (scores > 0)) {
    out.assumptions.push_back(out.file + ": dropout both of scores and of rows, as one of them is");
  }
  const std::string backend = f.text_or("attention-backend", "auto");
  const bool legacy = f.text_or("transformer-impl", "transformer_engine") == "local";
  const bool flash = f.flag("use-flash-attn");
  const bool composite =
      backend == "unfused" || backend == "local" || (backend == "auto" && legacy && !flash);
  s.kernels.attention = composite ? AttentionLowering::composite : AttentionLowering::flash;
  s.kernels.f8_products = !f.text_or("fp8-format", "").empty();
  if (f.flag("fp8-param-gather")) f.expected("fp8-param-gather", "none (it is not reckoned with)");
  s.kernels.loss =
      f.flag("cross-entropy-loss-fusion") ? LossLowering::fused : LossLowering::in_place;
}

void read_batch(MegatronWords& f, Strategy& s) {
  s.batch.micro_batch = sane(f, "micro-batch-size");
  const std::int64_t at_once = s.batch.micro_batch * s.layout.data;
  const std::int64_t total = f.integer_or("global-batch-size", at_once);
  if (total < 1 || total % at_once != 0) {
    f.expected("global-batch-size",
               fmt::format("a multiple of micro-batch-size x data parallel = {}", at_once));
  }
  s.batch.micro_batches = std::max<std::int64_t>(1, total / at_once);
}

/// Arguments that change memory and have no place in a Strategy.
void refuse_unknown_memory(MegatronWords& f) {
  for (const char* name :
       {"mtp-num-layers", "pipeline-model-parallel-layout", "hybrid-override-pattern",
        "encoder-num-layers", "standalone-embedding-stage", "heterogeneous-layers-config-path"}) {
    if (f.has(name)) f.expected(name, "none (it changes memory and is not reckoned with)");
    f.pass({name});
  }
  for (const char* name :
       {"account-for-embedding-in-pipeline-split", "account-for-loss-in-pipeline-split"}) {
    if (f.flag(name)) f.expected(name, "none (it changes memory and is not reckoned with)");
  }
}

}  // namespace

Description read_megatron(const std::string& text, const std::string& file,
                          const DescriptionContext& context) {
  MegatronWords f(text, file);
  if (!f.has("num-layers")) {
    throw InputError(InputError::Parts{.file = file,
                                       .place = "--num-layers",
                                       .expected = "arguments of Megatron-LM",
                                       .found = "none of that name"});
  }
  Description out{.file = file, .format = DescriptionFormat::megatron};
  Strategy s;
  read_layout(f, context, out, s.layout);
  out.model = read_model(f, file, s.layout.tensor);
  const Transformer& m = out.model->model;
  read_stages(f, m, s);
  s.recipe = read_recipe(f, s.layout);
  read_recompute(f, m, s);
  read_kernels(f, s, out);
  read_batch(f, s);
  s.batch.sequence = out.model->sequence;
  refuse_unknown_memory(f);
  f.pass({"node-rank",
          "master-addr",
          "master-port",
          "use-mcore-models",
          "train-iters",
          "lr",
          "train-samples",
          "min-lr",
          "lr-decay-style",
          "lr-warmup-iters",
          "weight-decay",
          "clip-grad",
          "adam-beta1",
          "adam-beta2",
          "init-method-std",
          "log-interval",
          "save-interval",
          "eval-interval",
          "eval-iters",
          "save",
          "load",
          "data-path",
          "split",
          "tokenizer-type",
          "tokenizer-model",
          "overlap-grad-reduce",
          "overlap-param-gather",
          "distributed-backend"});
  require_none(f.problems());
  out.ignored = f.unread();
  out.strategy = std::move(s);
  return out;
}

}  // namespace tidemark
