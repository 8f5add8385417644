#include "sim/config.h"

#include <fmt/format.h>

#include <filesystem>

#include "sim/config_checks.h"
#include "sim/llama_config.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

using namespace config_checks;

void validate_mlp(const MlpConfig& m, std::int64_t batch) {
  want_between("model widths", static_cast<std::int64_t>(m.widths.size()), 2, k_most_layers);
  for (std::size_t i = 0; i < m.widths.size(); ++i) {
    want_between(fmt::format("model widths[{}]", i), m.widths[i], 1, k_largest_extent);
    want_product("batch x width", {batch, m.widths[i]});
    if (i > 0) want_product("width x width", {m.widths[i - 1], m.widths[i]});
  }
}

void validate_gpt2(const Gpt2Config& g, std::int64_t batch, std::int64_t sequence) {
  want_between("model layers", g.layers, 1, k_most_layers);
  want_between("model channels", g.channels, 1, k_largest_extent);
  want_between("model heads", g.heads, 1, g.channels);
  want_between("model vocabulary", g.vocabulary, 2, k_largest_extent);
  want_between("model positions", g.positions, 1, k_largest_extent);
  want_between("--seq", sequence, 1, g.positions);
  if (g.channels % g.heads != 0) {
    bad("model heads", fmt::format("a divisor of channels = {}", g.channels),
        std::to_string(g.heads));
  }
  want_product("batch x sequence x 4 channels", {batch, sequence, 4, g.channels});
  want_product("batch x heads x sequence x sequence", {batch, g.heads, sequence, sequence});
  want_product("batch x sequence x vocabulary", {batch, sequence, g.vocabulary});
  want_product("vocabulary x channels", {g.vocabulary, g.channels});
  want_product("4 channels x channels", {4, g.channels, g.channels});
}

void validate_image(const ModelConfig& model, std::int64_t batch) {
  const ImageConfig& m = model.image;
  constexpr std::int64_t k_largest_side = 4096;
  const bool residual = model.family == ModelFamily::resnet;
  const std::int64_t smallest = residual ? 8 : 12;  // so that nothing is left of a smaller image
  want_between("model channels", m.channels, 1, k_largest_side);
  want_between("model height", m.height, smallest, k_largest_side);
  want_between("model width", m.width, smallest, k_largest_side);
  want_between("model classes", m.classes, 2, k_largest_extent);
  if (residual) {
    want_between("model blocks", m.blocks, 1, k_most_layers / 6);
    want_between("model filters", m.filters, 1, k_largest_side);
  }
  const std::int64_t filters = residual ? m.filters : 6;
  want_product("batch x height x width x filters", {batch, m.height, m.width, filters});
  want_product("batch x channels x height x width", {batch, m.channels, m.height, m.width});
  want_product("columns of a convolution", {m.channels, 25, m.height, m.width});
  want_product("columns of a convolution", {filters, 9, m.height, m.width});
}

void validate_inference(const RunConfig& config) {
  if (config.model.family != ModelFamily::gpt2) {
    bad("--phase inference", "a model of family gpt2",
        fmt::format("family {}", to_string(config.model.family)));
  }
  want_between("--prompt", config.prompt, 1, k_largest_extent);
  want_between("--generate", config.generate, 1, k_largest_extent);
  const std::int64_t tokens = config.prompt + config.generate;
  want_between("--prompt + --generate", tokens, 2, config.model.gpt2.positions);
  want_between("sequence of inference", config.sequence, tokens, tokens);
  want_between("--accumulate", config.accumulation, 1, 1);
  want_between("--eval-every", config.eval_every, 0, 0);
}

void validate_optimizer(const OptimizerConfig& o) {
  if (!(o.learning_rate > 0 && o.learning_rate <= 1e3)) {
    bad("--lr", "a number above 0 and at most 1000", fmt::format("{}", o.learning_rate));
  }
  constexpr double k_below_one = 1 - 1e-12;  // 1 would divide by zero in AdamW
  want_real("optimizer beta1", o.beta1, 0, k_below_one);
  want_real("optimizer beta2", o.beta2, 0, k_below_one);
  want_real("optimizer epsilon", o.epsilon, 0, 1);
  want_real("optimizer weight_decay", o.weight_decay, 0, 1e3);
  want_real("optimizer momentum", o.momentum, 0, k_below_one);
  want_real("--clip", o.clip_norm, 0, 1e30);
}

Json model_json(const ModelConfig& m) {
  Json j{{"name", m.name}, {"family", to_string(m.family)}};
  if (m.family == ModelFamily::mlp) {
    j["widths"] = m.mlp.widths;
    j["activation"] = to_string(m.mlp.activation);
  } else if (m.family == ModelFamily::llama) {
    add_llama(m.llama, j);
  } else if (m.family != ModelFamily::gpt2) {
    j["channels"] = m.image.channels;
    j["height"] = m.image.height;
    j["width"] = m.image.width;
    j["classes"] = m.image.classes;
    if (m.family == ModelFamily::resnet) {
      j["blocks"] = m.image.blocks;
      j["filters"] = m.image.filters;
    }
  } else {
    j["layers"] = m.gpt2.layers;
    j["heads"] = m.gpt2.heads;
    j["channels"] = m.gpt2.channels;
    j["vocabulary"] = m.gpt2.vocabulary;
    j["positions"] = m.gpt2.positions;
  }
  return j;
}

std::set<std::string> keys_of(ModelFamily family) {
  switch (family) {
    case ModelFamily::mlp:
      return {"widths", "activation"};
    case ModelFamily::gpt2:
      return {"layers", "heads", "channels", "vocabulary", "positions"};
    case ModelFamily::lenet:
      return {"channels", "height", "width", "classes"};
    case ModelFamily::llama:
      return llama_keys();
    case ModelFamily::resnet:
      break;
  }
  return {"channels", "height", "width", "classes", "blocks", "filters"};
}

/// `more`: keys that may stand beside those of the model.
ModelConfig model_from(const Json& j, const std::set<std::string>& more) {
  if (!j.is_object()) bad("model", "a JSON object", j.type_name());
  if (!j.contains("family"))
    bad("model", "a key 'family' (mlp, gpt2, llama, lenet or resnet)", "none");
  ModelConfig m;
  get(j, "family", m.family);
  std::set<std::string> known = keys_of(m.family);
  known.insert({"name", "family"});
  known.insert(more.begin(), more.end());
  only_keys(j, fmt::format("model of family {}", to_string(m.family)), known);
  get(j, "name", m.name);
  if (m.family == ModelFamily::llama) {
    m.llama = llama_from(j);
    return m;
  }
  get(j, "activation", m.mlp.activation);
  if (j.contains("widths")) {
    if (!j["widths"].is_array()) bad("widths", "an array of integers", j["widths"].dump());
    for (const Json& width : j["widths"]) {
      if (!is_integer(width)) bad("widths", "an array of integers", j["widths"].dump());
      m.mlp.widths.push_back(width.get<std::int64_t>());
    }
  }
  get(j, "layers", m.gpt2.layers);
  get(j, "heads", m.gpt2.heads);
  get(j, "channels", m.family == ModelFamily::gpt2 ? m.gpt2.channels : m.image.channels);
  get(j, "vocabulary", m.gpt2.vocabulary);
  get(j, "positions", m.gpt2.positions);
  get(j, "height", m.image.height);
  get(j, "width", m.image.width);
  get(j, "classes", m.image.classes);
  get(j, "blocks", m.image.blocks);
  get(j, "filters", m.image.filters);
  return m;
}

/// GPT2Config of the transformers library. What changes no shape and no result is passed over; what
/// we cannot compute is refused.
ModelConfig model_from_huggingface(const Json& j) {
  std::string type;
  get(j, "model_type", type);
  ModelConfig m;
  if (type == "llama" || type == "mixtral") {
    m.family = ModelFamily::llama;
    m.llama = llama_from_huggingface(j, type == "mixtral");
    return m;
  }
  if (type != "gpt2") bad("model_type", "gpt2, llama or mixtral", "'" + type + "'");
  m.family = ModelFamily::gpt2;
  m.gpt2 = {.layers = 12, .heads = 12, .channels = 768, .vocabulary = 50257, .positions = 1024};
  get(j, "n_layer", m.gpt2.layers);
  get(j, "n_head", m.gpt2.heads);
  get(j, "n_embd", m.gpt2.channels);
  get(j, "vocab_size", m.gpt2.vocabulary);
  get(j, "n_positions", m.gpt2.positions);
  const auto only = [&j](const char* key, const Json& wanted) {
    if (!j.contains(key) || j[key] == wanted || j[key].is_null()) return;
    bad(key, wanted.dump(), j[key].dump());
  };
  only("activation_function", "gelu_new");
  if (m.gpt2.channels > 0 && m.gpt2.channels <= k_largest_extent) {
    only("n_inner", 4 * m.gpt2.channels);
  }
  only("layer_norm_epsilon", 1e-5);
  only("tie_word_embeddings", true);
  only("scale_attn_weights", true);
  only("scale_attn_by_inverse_layer_idx", false);
  only("add_cross_attention", false);
  return m;
}

Json parse(const std::string& text, const std::string& file) {
  // Deep nesting is refused before anything has to print it.
  const auto guard = [&file](int depth, Json::parse_event_t, Json&) {
    if (depth > 8) bad(file, "at most 8 levels of nesting", "more");
    return true;
  };
  try {
    return Json::parse(text, guard);
  } catch (const Json::exception& e) {
    throw InputError(InputError::Parts{
        .file = file, .place = {}, .expected = "a JSON model description", .found = e.what()});
  }
}

RunConfig run_of_file(const std::string& path) {
  const Json j = parse(read_file(path, 1 << 20), path);
  try {
    RunConfig config;
    const bool foreign = j.is_object() && j.contains("model_type");
    config.model = foreign ? model_from_huggingface(j) : model_from(j, {"batch", "sequence"});
    if (config.model.name.empty()) config.model.name = std::filesystem::path(path).stem().string();
    const bool text = config.model.is_decoder();
    config.batch = text ? 8 : 64;
    config.sequence = !text                                      ? 0
                      : config.model.family == ModelFamily::gpt2 ? config.model.gpt2.positions
                                                                 : config.model.llama.positions;
    if (!foreign) {
      get(j, "batch", config.batch);
      get(j, "sequence", config.sequence);
    }
    validate(config);
    return config;
  } catch (const InputError& e) {
    throw e.in_file(path);
  }
}

}  // namespace

RunConfig default_run(const std::string& name_or_file) {
  std::string names;
  for (const BuiltinModel& builtin : builtin_models()) {
    names += (names.empty() ? "" : ", ") + builtin.model.name;
    if (builtin.model.name != name_or_file) continue;
    RunConfig config;
    config.model = builtin.model;
    config.batch = builtin.batch;
    config.sequence = builtin.sequence;
    return config;
  }
  if (std::filesystem::is_regular_file(name_or_file)) return run_of_file(name_or_file);
  bad("model", "a JSON file or one of " + names, "'" + name_or_file + "'");
}

void set_inference(RunConfig& config, std::int64_t prompt, std::int64_t generate) {
  want_between("--prompt", prompt, 1, k_largest_extent);
  want_between("--generate", generate, 1, k_largest_extent);
  config.phase = RunPhase::inference;
  config.prompt = prompt;
  config.generate = generate;
  config.sequence = prompt + generate;
}

void validate(const RunConfig& config) {
  want_between("--batch", config.batch, 1, k_largest_extent);
  if (config.phase == RunPhase::inference) validate_inference(config);
  const ModelFamily family = config.model.family;
  if (family == ModelFamily::gpt2) {
    validate_gpt2(config.model.gpt2, config.batch, config.sequence);
  } else if (family == ModelFamily::llama) {
    validate_llama(config.model.llama, config.batch, config.sequence);
  } else {
    if (family == ModelFamily::mlp) validate_mlp(config.model.mlp, config.batch);
    if (family != ModelFamily::mlp) validate_image(config.model, config.batch);
    if (config.sequence != 0) {
      bad("--seq", fmt::format("none for family {}", to_string(family)),
          std::to_string(config.sequence));
    }
  }
  want_between("--accumulate", config.accumulation, 1, std::min<std::int64_t>(config.batch, 4096));
  if (config.batch % config.accumulation != 0) {
    bad("--accumulate", fmt::format("a divisor of the batch {}", config.batch),
        std::to_string(config.accumulation));
  }
  want_real("--dropout", config.dropout, 0, 0.999);
  if (config.dropout > 0 && family != ModelFamily::mlp && !config.model.is_decoder()) {
    bad("--dropout", fmt::format("0 for family {}", to_string(family)),
        fmt::format("{}", config.dropout));
  }
  want_real("--attention-dropout", config.attention_dropout, 0, 0.999);
  if (config.attention_dropout > 0 && !config.model.is_decoder()) {
    bad("--attention-dropout", fmt::format("0 for family {}", to_string(family)),
        fmt::format("{}", config.attention_dropout));
  }
  want_between("--eval-every", config.eval_every, 0, k_largest_extent);
  if (config.attention != AttentionLowering::composite && !config.model.is_decoder()) {
    bad("--attention", fmt::format("composite for family {}", to_string(family)),
        std::string(to_string(config.attention)));
  }
  if (config.attention == AttentionLowering::cudnn) {
    if (config.precision != Precision::bf16) {
      bad("--attention cudnn", "--precision bf16", std::string(to_string(config.precision)));
    }
    if (config.attention_dropout > 0) {
      bad("--attention cudnn", "--attention-dropout 0, whose mask it does not know",
          fmt::format("{}", config.attention_dropout));
    }
  }
  if (config.dtype != DType::f32 && config.dtype != DType::f64) {
    bad("--dtype", "f32 or f64", std::string(to_string(config.dtype)));
  }
  if (config.precision == Precision::bf16 && config.dtype != DType::f32) {
    bad("--precision bf16", "dtype f32", std::string(to_string(config.dtype)));
  }
  validate_optimizer(config.optimizer);
}

std::string to_json(const RunConfig& config) {
  const OptimizerConfig& o = config.optimizer;
  Json j{{"model", model_json(config.model)},
         {"optimizer",
          {{"kind", to_string(o.kind)},
           {"learning_rate", o.learning_rate},
           {"momentum", o.momentum},
           {"beta1", o.beta1},
           {"beta2", o.beta2},
           {"epsilon", o.epsilon},
           {"weight_decay", o.weight_decay},
           {"clip_norm", o.clip_norm}}},
         {"batch", config.batch},
         {"sequence", config.sequence},
         {"seed", config.seed},
         {"dtype", to_string(config.dtype)},
         {"accumulation", config.accumulation},
         {"dropout", config.dropout},
         {"attention", to_string(config.attention)},
         {"precision", to_string(config.precision)}};
  // Absent where it is not needed: an older reader refuses keys that it does not know.
  if (config.phase == RunPhase::inference) {
    j["phase"] = to_string(config.phase);
    j["prompt"] = config.prompt;
    j["generate"] = config.generate;
  }
  if (config.eval_every != 0) j["eval_every"] = config.eval_every;
  if (config.attention_dropout != 0) j["attention_dropout"] = config.attention_dropout;
  return j.dump();
}

RunConfig run_config_from_json(const std::string& text) {
  const Json j = parse(text, "run configuration");
  only_keys(
      j, "run configuration",
      {"model", "optimizer", "batch", "sequence", "seed", "dtype", "accumulation", "dropout",
       "attention", "precision", "phase", "prompt", "generate", "eval_every", "attention_dropout"});
  RunConfig config;
  if (!j.contains("model")) bad("run configuration", "a key 'model'", "none");
  config.model = model_from(j["model"], {});
  if (j.contains("optimizer")) {
    const Json& o = j["optimizer"];
    only_keys(o, "optimizer",
              {"kind", "learning_rate", "momentum", "beta1", "beta2", "epsilon", "weight_decay",
               "clip_norm"});
    get(o, "kind", config.optimizer.kind);
    get(o, "learning_rate", config.optimizer.learning_rate);
    get(o, "momentum", config.optimizer.momentum);
    get(o, "beta1", config.optimizer.beta1);
    get(o, "beta2", config.optimizer.beta2);
    get(o, "epsilon", config.optimizer.epsilon);
    get(o, "weight_decay", config.optimizer.weight_decay);
    get(o, "clip_norm", config.optimizer.clip_norm);
  }
  get(j, "batch", config.batch);
  get(j, "sequence", config.sequence);
  get(j, "seed", config.seed);
  get(j, "dtype", config.dtype);
  get(j, "accumulation", config.accumulation);
  get(j, "dropout", config.dropout);
  get(j, "attention", config.attention);
  get(j, "precision", config.precision);
  get(j, "phase", config.phase);
  get(j, "prompt", config.prompt);
  get(j, "generate", config.generate);
  get(j, "eval_every", config.eval_every);
  get(j, "attention_dropout", config.attention_dropout);
  validate(config);
  return config;
}

std::string title(const RunConfig& config) {
  std::string out = fmt::format("{}, batch {}", config.model.name, config.batch);
  if (config.phase == RunPhase::inference) {
    return out + fmt::format(", inference, prompt {} + {} generated, {}{}", config.prompt,
                             config.generate, to_string(config.dtype),
                             config.precision == Precision::bf16 ? " with bf16 products" : "");
  }
  if (config.sequence > 0) out += fmt::format(", sequence {}", config.sequence);
  if (config.accumulation > 1) out += fmt::format(" in {} micro-batches", config.accumulation);
  if (config.dropout > 0) out += fmt::format(", dropout {}", config.dropout);
  if (config.attention != AttentionLowering::composite) {
    out += fmt::format(", {} attention", to_string(config.attention));
  }
  if (config.attention_dropout > 0) {
    out += fmt::format(", dropout {} in attention", config.attention_dropout);
  }
  if (config.eval_every > 0) out += fmt::format(", eval every {} steps", config.eval_every);
  out += fmt::format(", {}, {}", to_string(config.optimizer.kind), to_string(config.dtype));
  return config.precision == Precision::bf16 ? out + " with bf16 products" : out;
}

}  // namespace tidemark
