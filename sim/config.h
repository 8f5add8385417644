// What is trained: model, optimizer, batch, seed. A RunConfig rebuilds its program bit by bit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "traces/enums.h"

namespace tidemark {

enum class Activation : std::uint8_t { sigmoid, tanh, relu, gelu };
enum class ModelFamily : std::uint8_t { mlp, gpt2, lenet, resnet, llama };
enum class Optimizer : std::uint8_t { sgd, adamw, momentum, adam };
/// What attention keeps for backward: all probabilities, or one log-sum-exp per row (flash; cudnn:
/// with room for cuDNN, which multiplies in bf16 on a GPU).
enum class AttentionLowering : std::uint8_t { composite, flash, cudnn };
/// What linear layers multiply: values as they are, or rounded to bfloat16 with sums in f32. Then
/// activations that nothing else reads are stored in bfloat16, and a gradient is rounded once for
/// both of its products; weights, other activations and optimizer state stay as the dtype says.
enum class Precision : std::uint8_t { full, bf16 };
/// What the program does with the model.
enum class RunPhase : std::uint8_t { training, inference };

template <>
struct EnumNames<Activation> {
  static constexpr std::string_view k_type = "activation";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"sigmoid", "tanh", "relu", "gelu"});
};
template <>
struct EnumNames<ModelFamily> {
  static constexpr std::string_view k_type = "model family";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"mlp", "gpt2", "lenet", "resnet", "llama"});
};
template <>
struct EnumNames<Optimizer> {
  static constexpr std::string_view k_type = "optimizer";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"sgd", "adamw", "momentum", "adam"});
};
template <>
struct EnumNames<AttentionLowering> {
  static constexpr std::string_view k_type = "attention";
  static constexpr auto k_names = std::to_array<std::string_view>({"composite", "flash", "cudnn"});
};
template <>
struct EnumNames<Precision> {
  static constexpr std::string_view k_type = "precision";
  static constexpr auto k_names = std::to_array<std::string_view>({"full", "bf16"});
};
template <>
struct EnumNames<RunPhase> {
  static constexpr std::string_view k_type = "phase";
  static constexpr auto k_names = std::to_array<std::string_view>({"training", "inference"});
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

/// A Llama decoder (Touvron et al. 2023): normalisation by root mean square, rotary positions,
/// grouped keys and values, gated units, no biases, a head of its own.
struct LlamaConfig {
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;  // of keys and values; divides heads
  std::int64_t channels = 0;
  std::int64_t hidden = 0;  // of the gated unit
  std::int64_t vocabulary = 0;
  std::int64_t positions = 0;  // longest sequence
  double rotary_base = 10'000;
  double epsilon = 1e-5;  // of the normalisations
  /// Gated units per block, of which a router gives each token some (Jiang et al. 2024, "Mixtral of
  /// experts"); 0 = one unit for all tokens.
  std::int64_t experts = 0;
  std::int64_t experts_per_token = 2;
  /// Room of an expert, in tokens that it would get if all got as many (llama_config.h).
  double capacity_factor = 1.25;
  /// Weight of the load-balancing loss of each router beside the loss of the model (FORMAT.md,
  /// balance_backward); 0 = none. Only gradients have it: the loss of a step is the model's.
  double balance_loss = 0;
  bool operator==(const LlamaConfig&) const = default;
};

/// LeNet-5 with rectifiers and maximum pooling (after LeCun et al. 1998), or a residual network of
/// the CIFAR form (He et al. 2015, section 4.2) with 6 blocks + 2 layers and 1x1 convolutions where
/// the shape changes.
struct ImageConfig {
  std::int64_t channels = 0;  // of the input
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t classes = 0;
  std::int64_t blocks = 0;   // resnet: per stage, of three stages
  std::int64_t filters = 0;  // resnet: of the first stage; each further one has twice as many
  bool operator==(const ImageConfig&) const = default;
};

struct ModelConfig {
  std::string name;
  ModelFamily family = ModelFamily::mlp;
  MlpConfig mlp;
  Gpt2Config gpt2;
  ImageConfig image;
  LlamaConfig llama{};
  bool operator==(const ModelConfig&) const = default;

  /// True for models of tokens: inputs are text.
  [[nodiscard]] bool is_decoder() const {
    return family == ModelFamily::gpt2 || family == ModelFamily::llama;
  }
};

struct OptimizerConfig {
  Optimizer kind = Optimizer::adamw;
  double learning_rate = 1e-3;
  double momentum = 0.9;  // of kind momentum
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double clip_norm = 0;  // gradients are scaled down to this common norm; 0 = never
  bool operator==(const OptimizerConfig&) const = default;
};

struct RunConfig {
  ModelConfig model;
  OptimizerConfig optimizer;
  std::int64_t batch = 0;  // sequences or samples per step
  /// Tokens per sequence, 0 for the MLP; of inference prompt + generate, what a cache has room for.
  std::int64_t sequence = 0;
  std::int64_t seed = 1;
  DType dtype = DType::f32;       // f32 or f64
  std::int64_t accumulation = 1;  // micro-batches per step; divides batch
  double dropout = 0;  // after hidden activations (MLP), embedding and residual branches (decoders)
  AttentionLowering attention = AttentionLowering::composite;
  Precision precision = Precision::full;  // bf16 only with f32
  RunPhase phase = RunPhase::training;
  std::int64_t prompt = 0;       // inference: tokens that are given
  std::int64_t generate = 0;     // inference: steps, each makes one token
  std::int64_t eval_every = 0;   // training: steps from one evaluation to the next; 0 = none
  double attention_dropout = 0;  // of the probabilities (decoders)
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

/// `name_or_file`: a built-in name, a JSON file of our own ({"family": "mlp", "widths": [...],
/// ...}; docs/models.md), or config.json of a HuggingFace model of type gpt2, llama or mixtral.
/// Throws InputError that lists the names.
[[nodiscard]] RunConfig default_run(const std::string& name_or_file);

/// What inference with these many tokens is; sets the sequence, too.
void set_inference(RunConfig& config, std::int64_t prompt, std::int64_t generate);

/// Throws InputError when a size is not positive, does not divide, or would overflow.
void validate(const RunConfig& config);

[[nodiscard]] std::string to_json(const RunConfig& config);
[[nodiscard]] RunConfig run_config_from_json(const std::string& text);

/// "gpt2-tiny, batch 4, sequence 64, adamw, f32"
[[nodiscard]] std::string title(const RunConfig& config);

}  // namespace tidemark
