#include "sim/config.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t k_largest_extent = std::int64_t{1} << 24;  // of one dimension
constexpr std::int64_t k_most_layers = 10'000;
constexpr std::int64_t k_most_elements = std::int64_t{1} << 40;  // of one tensor

BuiltinModel mlp(std::string name, std::vector<std::int64_t> widths, std::int64_t batch,
                 std::string about) {
  BuiltinModel m{
      .model = {.name = std::move(name), .family = ModelFamily::mlp, .mlp = {}, .gpt2 = {}},
      .batch = batch,
      .sequence = 0,
      .about = std::move(about)};
  m.model.mlp.widths = std::move(widths);
  return m;
}

BuiltinModel gpt2(std::string name, Gpt2Config shape, std::int64_t batch, std::string about) {
  BuiltinModel m{
      .model = {.name = std::move(name), .family = ModelFamily::gpt2, .mlp = {}, .gpt2 = shape},
      .batch = batch,
      .sequence = shape.positions,
      .about = std::move(about)};
  return m;
}

[[noreturn]] void bad(const std::string& place, const std::string& expected,
                      const std::string& found) {
  throw InputError(
      InputError::Parts{.file = {}, .place = place, .expected = expected, .found = found});
}

void want_between(const std::string& place, std::int64_t value, std::int64_t low,
                  std::int64_t high) {
  if (value >= low && value <= high) return;
  bad(place, fmt::format("a number from {} to {}", low, high), std::to_string(value));
}

void want_product(const std::string& place, std::initializer_list<std::int64_t> extents) {
  std::int64_t product = 1;
  for (std::int64_t extent : extents) {
    if (__builtin_mul_overflow(product, extent, &product) || product > k_most_elements) {
      bad(place, fmt::format("a tensor of at most {} elements", k_most_elements), "more");
    }
  }
}

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

void want_real(const std::string& place, double value, double low, double high) {
  if (value >= low && value <= high) return;  // false for NaN
  bad(place, fmt::format("a number from {} to {}", low, high), fmt::format("{}", value));
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
}

// ---- JSON. Every key is known or an error, so that a typing error cannot pass silently.

void only_keys(const Json& object, const std::string& place, const std::set<std::string>& known) {
  if (!object.is_object()) bad(place, "a JSON object", object.type_name());
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key)) {
      bad(place, fmt::format("only the keys {}", fmt::join(known, ", ")), "'" + key + "'");
    }
  }
}

bool is_integer(const Json& j) {
  const bool huge = j.is_number_unsigned() && j.get<std::uint64_t>() > INT64_MAX;
  return j.is_number_integer() && !huge;
}

void get(const Json& object, const char* key, std::int64_t& out) {
  if (!object.contains(key)) return;
  if (!is_integer(object[key])) bad(key, "an integer of 64 bits", object[key].dump());
  out = object[key].get<std::int64_t>();
}
void get(const Json& object, const char* key, double& out) {
  if (!object.contains(key)) return;
  if (!object[key].is_number()) bad(key, "a number", object[key].dump());
  out = object[key].get<double>();
}
void get(const Json& object, const char* key, std::string& out) {
  if (!object.contains(key)) return;
  if (!object[key].is_string()) bad(key, "a string", object[key].dump());
  out = object[key].get<std::string>();
}
template <NamedEnum E>
void get(const Json& object, const char* key, E& out) {
  if (!object.contains(key)) return;
  std::string name;
  get(object, key, name);
  const auto value = parse_enum<E>(name);
  if (!value) {
    bad(key, fmt::format("one of {}", fmt::join(EnumNames<E>::k_names, ", ")), "'" + name + "'");
  }
  out = *value;
}

Json model_json(const ModelConfig& m) {
  Json j{{"name", m.name}, {"family", to_string(m.family)}};
  if (m.family == ModelFamily::mlp) {
    j["widths"] = m.mlp.widths;
    j["activation"] = to_string(m.mlp.activation);
  } else {
    j["layers"] = m.gpt2.layers;
    j["heads"] = m.gpt2.heads;
    j["channels"] = m.gpt2.channels;
    j["vocabulary"] = m.gpt2.vocabulary;
    j["positions"] = m.gpt2.positions;
  }
  return j;
}

/// `more`: keys that may stand beside those of the model.
ModelConfig model_from(const Json& j, const std::set<std::string>& more) {
  if (!j.is_object()) bad("model", "a JSON object", j.type_name());
  if (!j.contains("family")) bad("model", "a key 'family' (mlp or gpt2)", "none");
  ModelConfig m;
  get(j, "family", m.family);
  std::set<std::string> known =
      m.family == ModelFamily::mlp
          ? std::set<std::string>{"widths", "activation"}
          : std::set<std::string>{"layers", "heads", "channels", "vocabulary", "positions"};
  known.insert({"name", "family"});
  known.insert(more.begin(), more.end());
  only_keys(j, fmt::format("model of family {}", to_string(m.family)), known);
  get(j, "name", m.name);
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
  get(j, "channels", m.gpt2.channels);
  get(j, "vocabulary", m.gpt2.vocabulary);
  get(j, "positions", m.gpt2.positions);
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
    config.model = model_from(j, {"batch", "sequence"});
    if (config.model.name.empty()) config.model.name = std::filesystem::path(path).stem().string();
    config.batch = config.model.family == ModelFamily::mlp ? 64 : 8;
    config.sequence = config.model.family == ModelFamily::mlp ? 0 : config.model.gpt2.positions;
    get(j, "batch", config.batch);
    get(j, "sequence", config.sequence);
    validate(config);
    return config;
  } catch (const InputError& e) {
    throw e.in_file(path);
  }
}

}  // namespace

const std::vector<BuiltinModel>& builtin_models() {
  static const std::vector<BuiltinModel> models{
      mlp("mlp-tiny", {64, 32, 10}, 64, "8x8 digits, one hidden layer"),
      mlp("mlp", {64, 512, 256, 10}, 512, "8x8 digits, two hidden layers"),
      mlp("mlp-wide", {784, 2048, 2048, 2048, 2048, 10}, 256, "28x28 images, four wide layers"),
      gpt2("gpt2-tiny",
           {.layers = 4, .heads = 4, .channels = 64, .vocabulary = 256, .positions = 64}, 8,
           "0.2 M parameters on bytes, trains in seconds"),
      gpt2("gpt-small",
           {.layers = 4, .heads = 4, .channels = 128, .vocabulary = 256, .positions = 64}, 12,
           "0.8 M parameters on bytes"),
      gpt2("gpt-baby",
           {.layers = 6, .heads = 6, .channels = 384, .vocabulary = 256, .positions = 256}, 4,
           "10.8 M parameters on bytes"),
      gpt2("gpt2-124M",
           {.layers = 12, .heads = 12, .channels = 768, .vocabulary = 50257, .positions = 1024}, 4,
           "GPT-2 small (Radford et al. 2019)"),
      gpt2("gpt2-350M",
           {.layers = 24, .heads = 16, .channels = 1024, .vocabulary = 50257, .positions = 1024}, 4,
           "GPT-2 medium"),
      gpt2("gpt2-774M",
           {.layers = 36, .heads = 20, .channels = 1280, .vocabulary = 50257, .positions = 1024}, 4,
           "GPT-2 large"),
      gpt2("gpt2-1558M",
           {.layers = 48, .heads = 25, .channels = 1600, .vocabulary = 50257, .positions = 1024}, 4,
           "GPT-2 XL"),
  };
  return models;
}

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

void validate(const RunConfig& config) {
  want_between("--batch", config.batch, 1, k_largest_extent);
  if (config.model.family == ModelFamily::mlp) {
    validate_mlp(config.model.mlp, config.batch);
    if (config.sequence != 0) bad("--seq", "none for an mlp", std::to_string(config.sequence));
  } else {
    validate_gpt2(config.model.gpt2, config.batch, config.sequence);
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
  return Json{{"model", model_json(config.model)},
              {"optimizer",
               {{"kind", to_string(o.kind)},
                {"learning_rate", o.learning_rate},
                {"beta1", o.beta1},
                {"beta2", o.beta2},
                {"epsilon", o.epsilon},
                {"weight_decay", o.weight_decay}}},
              {"batch", config.batch},
              {"sequence", config.sequence},
              {"seed", config.seed},
              {"dtype", to_string(config.dtype)},
              {"precision", to_string(config.precision)}}
      .dump();
}

RunConfig run_config_from_json(const std::string& text) {
  const Json j = parse(text, "run configuration");
  only_keys(j, "run configuration",
            {"model", "optimizer", "batch", "sequence", "seed", "dtype", "precision"});
  RunConfig config;
  if (!j.contains("model")) bad("run configuration", "a key 'model'", "none");
  config.model = model_from(j["model"], {});
  if (j.contains("optimizer")) {
    const Json& o = j["optimizer"];
    only_keys(o, "optimizer",
              {"kind", "learning_rate", "beta1", "beta2", "epsilon", "weight_decay"});
    get(o, "kind", config.optimizer.kind);
    get(o, "learning_rate", config.optimizer.learning_rate);
    get(o, "beta1", config.optimizer.beta1);
    get(o, "beta2", config.optimizer.beta2);
    get(o, "epsilon", config.optimizer.epsilon);
    get(o, "weight_decay", config.optimizer.weight_decay);
  }
  get(j, "batch", config.batch);
  get(j, "sequence", config.sequence);
  get(j, "seed", config.seed);
  get(j, "dtype", config.dtype);
  get(j, "precision", config.precision);
  validate(config);
  return config;
}

std::string title(const RunConfig& config) {
  std::string out = fmt::format("{}, batch {}", config.model.name, config.batch);
  if (config.sequence > 0) out += fmt::format(", sequence {}", config.sequence);
  out += fmt::format(", {}, {}", to_string(config.optimizer.kind), to_string(config.dtype));
  return config.precision == Precision::bf16 ? out + " with bf16 products" : out;
}

}  // namespace tidemark
