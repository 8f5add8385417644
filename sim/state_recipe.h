// What each parameter costs beside itself: for parameter, gradients, master copy and moments its
// type, the group of ranks that shares it, and where it lies. A stage number of ZeRO is only the
// name of one such recipe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "traces/enums.h"

namespace tidemark {

enum class StateType : std::uint8_t { none, f32, bf16, f8, i8, nf4 };
/// `data`: all replicas of the model (data x context parallel). `shard`: the groups of
/// Layout::shard of them (hybrid sharding); the same as `data` where that is not given.
enum class ShardGroup : std::uint8_t { whole, data, shard };
/// Whose program keeps state so.
enum class TrainingLibrary : std::uint8_t { megatron, deepspeed, torchtitan, torchtune };

template <>
struct EnumNames<StateType> {
  static constexpr std::string_view k_type = "state type";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"none", "f32", "bf16", "f8", "i8", "nf4"});
};
template <>
struct EnumNames<ShardGroup> {
  static constexpr std::string_view k_type = "shard group";
  static constexpr auto k_names = std::to_array<std::string_view>({"whole", "data", "shard"});
};

struct StatePart {
  StateType type = StateType::none;
  ShardGroup group = ShardGroup::whole;
  bool on_host = false;
  bool operator==(const StatePart&) const = default;
};

struct StateRecipe {
  std::string name;
  StatePart parameter{StateType::bf16};
  StatePart gradient{StateType::bf16};      // as backward makes it and keeps it
  StatePart gradient_sum{StateType::none};  // kept beside `gradient`, over micro-batches
  StatePart master{StateType::f32};
  StatePart moments{StateType::f32};    // two per parameter
  StateType compute = StateType::bf16;  // of units that are gathered from their shards
  /// Of parameters of embedding, final norm and output layer, gathered too; none: as all others.
  StateType ends = StateType::none;
  std::int64_t prefetch = 1;  // units gathered ahead of the one that runs
  /// Between steps; false: freed by the optimizer and made anew by the first backward of each
  /// layer.
  bool gradients_stay = true;
  bool unit_gradients = false;        // a unit's gradient is whole until it is reduced or used
  bool reshard_after_forward = true;  // false: gathered units stay until their backward
  /// Of torchtitan with pipelines: what stages put out, and gradients of their inputs, stay until
  /// the step ends.
  bool keeps_outputs = false;
  TrainingLibrary library = TrainingLibrary::megatron;  // its measured constants are used
  std::string source;
  bool operator==(const StateRecipe&) const = default;
};

/// Bytes of one element. i8 with one f32 scale for 256 elements (bitsandbytes' block-wise
/// optimizers); nf4 with double quantization, 4.127 bits (QLoRA, arXiv 2305.14314, section 3).
[[nodiscard]] double element_bytes(StateType type);

/// Sizes of the groups for one kind of parameter (experts have smaller ones).
struct ShardSizes {
  std::int64_t data = 1;
  std::int64_t shard = 1;
  bool operator==(const ShardSizes&) const = default;
};

/// Bytes on the device for each parameter of a rank, sharded over `sizes`.
struct ParameterBytes {
  double gradient = 0;  // with its sum
  double other = 0;     // parameter, master, moments
  [[nodiscard]] double total() const { return gradient + other; }
};
[[nodiscard]] ParameterBytes bytes_per_parameter(const StateRecipe& recipe,
                                                 const ShardSizes& sizes);

/// On the device for each parameter, of one part.
[[nodiscard]] double device_bytes(const StatePart& part, const ShardSizes& sizes);

/// Whether parameters are gathered from shards before use.
[[nodiscard]] bool gathers(const StateRecipe& recipe, const ShardSizes& sizes);

/// "zero1" and so on, each with its source.
[[nodiscard]] const std::vector<StateRecipe>& named_recipes();

/// Throws InputError that lists the names.
[[nodiscard]] const StateRecipe& find_recipe(std::string_view name);

}  // namespace tidemark
