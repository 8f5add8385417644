// What is trained: model, optimizer, batch, seed. A RunConfig rebuilds its program bit by bit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "traces/enums.h"

namespace tidemark {

enum class Activation : std::uint8_t { sigmoid, tanh, relu, gelu };
enum class ModelFamily : std::uint8_t { mlp, gpt2 };
enum class Optimizer : std::uint8_t { sgd, adamw };
/// What linear layers multiply: values as they are, or rounded to bfloat16 with sums in f32.
/// Weights, activations, gradients and optimizer state stay as the dtype says.
enum class Precision : std::uint8_t { full, bf16 };

template <>
struct EnumNames<Activation> {
  static constexpr std::string_view k_type = "activation";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"sigmoid", "tanh", "relu", "gelu"});
};
template <>
struct EnumNames<ModelFamily> {
  static constexpr std::string_view k_type = "model family";
  static constexpr auto k_names = std::to_array<std::string_view>({"mlp", "gpt2"});
};
template <>
struct EnumNames<Optimizer> {
  static constexpr std::string_view k_type = "optimizer";
  static constexpr auto k_names = std::to_array<std::string_view>({"sgd", "adamw"});
};
template <>
struct EnumNames<Precision> {
  static constexpr std::string_view k_type = "precision";
  static constexpr auto k_names = std::to_array<std::string_view>({"full", "bf16"});
};

/// The textbook network: `widths` are the neurons per layer, input first, classes last.
struct MlpConfig {
  std::vector<std::int64_t> widths;
  Activation activation = Activation::relu;
  bool operator==(const MlpConfig&) const = default;
};

/// A GPT-2 decoder with learned positions and tied embeddings (Radford et al. 2019).
struct Gpt2Config {
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t channels = 0;
  std::int64_t vocabulary = 0;
  std::int64_t positions = 0;  // longest sequence
  bool operator==(const Gpt2Config&) const = default;
};

struct ModelConfig {
  std::string name;
  ModelFamily family = ModelFamily::mlp;
  MlpConfig mlp;
  Gpt2Config gpt2;
  bool operator==(const ModelConfig&) const = default;
};

struct OptimizerConfig {
  Optimizer kind = Optimizer::adamw;
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  bool operator==(const OptimizerConfig&) const = default;
};

struct RunConfig {
  ModelConfig model;
  OptimizerConfig optimizer;
  std::int64_t batch = 0;     // sequences or samples per step
  std::int64_t sequence = 0;  // tokens per sequence; 0 for the MLP
  std::int64_t seed = 1;
  DType dtype = DType::f32;               // f32 or f64
  Precision precision = Precision::full;  // bf16 only with f32
  bool operator==(const RunConfig&) const = default;
};

/// A built-in model with its usual batch and sequence length.
struct BuiltinModel {
  ModelConfig model;
  std::int64_t batch = 0;
  std::int64_t sequence = 0;
  std::string about;  // one line
};

[[nodiscard]] const std::vector<BuiltinModel>& builtin_models();

/// `name_or_file`: a built-in name or a small JSON file ({"family": "mlp", "widths": [...], ...}).
/// Throws InputError that lists the names.
[[nodiscard]] RunConfig default_run(const std::string& name_or_file);

/// Throws InputError when a size is not positive, does not divide, or would overflow.
void validate(const RunConfig& config);

[[nodiscard]] std::string to_json(const RunConfig& config);
[[nodiscard]] RunConfig run_config_from_json(const std::string& text);

/// "gpt2-tiny, batch 4, sequence 64, adamw, f32"
[[nodiscard]] std::string title(const RunConfig& config);

}  // namespace tidemark
