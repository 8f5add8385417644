// Descriptions that people already have, as model, strategy and recipe: config.json of HuggingFace,
// Megatron-LM arguments, ds_config.json of DeepSpeed, TOML of torchtitan.
//
// A field that changes memory in a way that is not reckoned with is an error. Fields that change no
// memory, or that are not known, are listed as ignored.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/strategy.h"

namespace tidemark {

enum class DescriptionFormat : std::uint8_t { huggingface, megatron, deepspeed, torchtitan };

template <>
struct EnumNames<DescriptionFormat> {
  static constexpr std::string_view k_type = "description format";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"huggingface", "megatron", "deepspeed", "torchtitan"});
};

struct Description {
  std::string file;
  DescriptionFormat format = DescriptionFormat::huggingface;
  std::optional<NamedTransformer> model{};  // none in a DeepSpeed configuration
  std::optional<Strategy> strategy{};       // none in a config.json; its sequence 0 when not said
  std::vector<std::string> ignored{};       // fields, in the order of the file
  std::vector<std::string> assumptions{};   // what the file leaves open, one sentence each
};

/// What a description takes from outside.
struct DescriptionContext {
  std::int64_t ranks = 0;     // 0 = as the file says; 1 where it says nothing
  std::int64_t sequence = 0;  // tokens, where the file says nothing
};

/// All four throw InputError with a line for every field that is missing, of a wrong type,
/// contradictory, or not reckoned with. Whether model and strategy go together is asked of
/// problems() (sim/strategy.h).
///
/// Decoders: llama, mistral, mixtral, qwen2, qwen3, qwen3_moe, deepseek_v2, deepseek_v3, gpt_oss,
/// gpt2, gpt_neox. Names and defaults: configuration classes of transformers 4.57.
[[nodiscard]] Description read_huggingface(const std::string& text, const std::string& file);

/// A shell script, a file of arguments, or YAML with their names. Names and defaults: megatron/
/// training/arguments.py of Megatron-LM core 0.14.
[[nodiscard]] Description read_megatron(const std::string& text, const std::string& file,
                                        const DescriptionContext& context);

/// Names and defaults: docs/config-json of DeepSpeed 0.17. "auto" is taken as not given.
[[nodiscard]] Description read_deepspeed(const std::string& text, const std::string& file,
                                         const DescriptionContext& context);

/// Names and defaults: torchtitan/config/job_config.py of 2025.
[[nodiscard]] Description read_torchtitan(const std::string& text, const std::string& file,
                                          const DescriptionContext& context);

/// By content: TOML; JSON with model_type, or with the fields of DeepSpeed; else arguments.
[[nodiscard]] Description read_description(const std::string& text, const std::string& file,
                                           const DescriptionContext& context);

/// The model of a config.json alone.
[[nodiscard]] NamedTransformer transformer_from_huggingface(const std::string& text,
                                                            const std::string& file);

}  // namespace tidemark
