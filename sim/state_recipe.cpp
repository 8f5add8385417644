#include "sim/state_recipe.h"

#include <algorithm>

#include "traces/error.h"

namespace tidemark {
namespace {

std::int64_t ranks_of(ShardGroup group, const ShardSizes& sizes) {
  switch (group) {
    case ShardGroup::whole:
      return 1;
    case ShardGroup::data:
      return sizes.data;
    case ShardGroup::shard:
      break;
  }
  return sizes.shard;
}

std::vector<StateRecipe> distinct_recipes() {
  using enum StateType;
  using enum ShardGroup;
  const std::string zero = "ZeRO, arXiv 1910.02054, section 3 and table 1: 2 + 2 + 12 bytes";
  const std::string megatron = "Megatron-LM docs, distributed optimizer: 18, or 6 + 12/N bytes";
  const std::string fsdp = "torchtitan docs: f32 shards, bf16 compute";
  const std::string deepspeed = "DeepSpeed docs, memory.rst and its estimators";
  // clang-format off: a table
  return {
      {.name = "ddp", .source = zero},
      {.name = "zero1", .master = {f32, data}, .moments = {f32, data}, .source = zero},
      {.name = "zero2",
       .gradient = {bf16, data},
       .master = {f32, data},
       .moments = {f32, data},
       .unit_gradients = true,
       .source = zero},
      {.name = "zero3",
       .parameter = {bf16, shard},
       .gradient = {bf16, shard},
       .master = {f32, shard},
       .moments = {f32, shard},
       .unit_gradients = true,
       .source = zero},
      {.name = "megatron", .gradient = {f32}, .source = megatron},
      {.name = "megatron-distributed",
       .gradient = {f32},
       .master = {f32, data},
       .moments = {f32, data},
       .source = megatron},
      {.name = "fsdp2",
       .parameter = {f32, shard},
       .gradient = {f32, shard},
       .master = {},
       .moments = {f32, shard},
       .gradients_stay = false,
       .unit_gradients = true,
       .library = TrainingLibrary::torchtitan,
       .source = fsdp},
      {.name = "deepspeed-zero2",
       .gradient_sum = {f32, data},
       .master = {f32, data},
       .moments = {f32, data},
       .library = TrainingLibrary::deepspeed,
       .source = deepspeed},
      {.name = "deepspeed-zero3",
       .parameter = {bf16, shard},
       .gradient = {},
       .gradient_sum = {f32, shard},
       .master = {f32, shard},
       .moments = {f32, shard},
       .prefetch = 0,
       .unit_gradients = true,
       .library = TrainingLibrary::deepspeed,
       .source = deepspeed},
      {.name = "bf16",
       .master = {},
       .moments = {bf16},
       .gradients_stay = false,
       .library = TrainingLibrary::torchtune,
       .source = "arithmetic: 2 + 2 + 4"},
      {.name = "f32",
       .parameter = {f32},
       .gradient = {f32},
       .master = {},
       .compute = f32,
       .gradients_stay = false,
       .library = TrainingLibrary::torchtune,
       .source = "arithmetic: 4 + 4 + 8"},
      {.name = "adam8bit",
       .master = {},
       .moments = {i8},
       .gradients_stay = false,
       .library = TrainingLibrary::torchtune,
       .source = "arithmetic: 2 + 2 + 2"},
      {.name = "frozen",
       .gradient = {},
       .master = {},
       .moments = {},
       .library = TrainingLibrary::torchtune,
       .source = "the base of an adapter; the adapters themselves are not counted"},
  };
}
// clang-format on

std::vector<StateRecipe> make_recipes() {
  std::vector<StateRecipe> recipes = distinct_recipes();
  const auto variant = [&recipes](std::string_view of, std::string name, std::string why) {
    const auto base = std::find_if(recipes.begin(), recipes.end(),
                                   [of](const StateRecipe& r) { return r.name == of; });
    StateRecipe made = *base;
    made.name = std::move(name);
    made.source += "; " + why;
    return made;
  };
  StateRecipe keep = variant("fsdp2", "fsdp2-keep",
                             "with pipelines: no resharding, and gradients reduced only after the "
                             "last micro-batch (torch.distributed.pipelining)");
  keep.reshard_after_forward = false;
  keep.unit_gradients = false;
  keep.gradient.group = ShardGroup::whole;
  keep.gradient_sum = {StateType::f32, ShardGroup::shard};  // what they are reduced into
  recipes.push_back(keep);
  StateRecipe outputs = variant("fsdp2-keep", "fsdp2-keep-outputs",
                                "outputs of stages stay until the step ends (PyTorch before 2.10)");
  outputs.keeps_outputs = true;
  StateRecipe half = variant("megatron-distributed", "megatron-bf16-gradients",
                             "Megatron-Bridge's grad_reduce_in_fp32=False");
  half.gradient.type = StateType::bf16;
  recipes.push_back(half);
  StateRecipe aware = variant("megatron-bf16-gradients", "megatron-precision-aware",
                              "moments in 16 bits (Megatron Core's precision-aware optimizer)");
  aware.moments.type = StateType::bf16;
  StateRecipe fused = variant("bf16", "bf16-fused-optimizer",
                              "the optimizer runs in backward, gradient by gradient");
  fused.gradient = {};
  fused.unit_gradients = true;
  StateRecipe quantized = variant("frozen", "frozen-nf4",
                                  "linear layers in 4 bits, embedding and output layer in 16 "
                                  "(QLoRA, arXiv 2305.14314; torchtune)");
  quantized.parameter.type = quantized.compute = StateType::nf4;
  quantized.ends = StateType::bf16;
  recipes.insert(recipes.end(), {outputs, aware, fused, quantized});
  return recipes;
}

}  // namespace

double element_bytes(StateType type) {
  switch (type) {
    case StateType::none:
      return 0;
    case StateType::f32:
      return 4;
    case StateType::bf16:
      return 2;
    case StateType::f8:
      return 1;
    case StateType::i8:
      return 1 + 4.0 / 256;
    case StateType::nf4:
      break;
  }
  return 4.127 / 8;
}

double device_bytes(const StatePart& part, const ShardSizes& sizes) {
  if (part.on_host) return 0;
  return element_bytes(part.type) / static_cast<double>(ranks_of(part.group, sizes));
}

ParameterBytes bytes_per_parameter(const StateRecipe& recipe, const ShardSizes& sizes) {
  return {
      .gradient = device_bytes(recipe.gradient, sizes) + device_bytes(recipe.gradient_sum, sizes),
      .other = device_bytes(recipe.parameter, sizes) + device_bytes(recipe.master, sizes) +
               2 * device_bytes(recipe.moments, sizes)};
}

bool gathers(const StateRecipe& recipe, const ShardSizes& sizes) {
  return recipe.parameter.on_host || ranks_of(recipe.parameter.group, sizes) > 1;
}

const std::vector<StateRecipe>& named_recipes() {
  static const std::vector<StateRecipe> table = make_recipes();
  return table;
}

const StateRecipe& find_recipe(std::string_view name) {
  std::string names;
  for (const StateRecipe& recipe : named_recipes()) {
    if (recipe.name == name) return recipe;
    names += (names.empty() ? "" : ", ") + recipe.name;
  }
  throw InputError({.file = {},
                    .place = "recipe",
                    .expected = "one of " + names,
                    .found = "'" + std::string(name) + "'"});
}

}  // namespace tidemark
