#include "sim/description.h"

#include <nlohmann/json.hpp>

#include "traces/error.h"

namespace tidemark {

Description read_description(const std::string& text, const std::string& file,
                             const DescriptionContext& context) {
  if (file.ends_with(".toml")) return read_torchtitan(text, file, context);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool json = first != std::string::npos && text[first] == '{';
  if (!json) return read_megatron(text, file, context);
  const auto parsed = nlohmann::json::parse(text, nullptr, false);
  if (parsed.is_object() && parsed.contains("model_type")) return read_huggingface(text, file);
  for (const char* field : {"zero_optimization", "train_batch_size", "gradient_accumulation_steps",
                            "train_micro_batch_size_per_gpu", "bf16", "fp16"}) {
    if (parsed.is_object() && parsed.contains(field)) return read_deepspeed(text, file, context);
  }
  throw InputError(InputError::Parts{
      .file = file,
      .expected = "model_type (config.json of HuggingFace), or zero_optimization, "
                  "train_batch_size, bf16 or fp16 (configuration of DeepSpeed)",
      .found = "neither"});
}

}  // namespace tidemark
