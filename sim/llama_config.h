// The Llama family in configurations: its keys, its limits, and the config.json of others.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "sim/config.h"

namespace tidemark {

/// Throws InputError when a size is not positive, does not divide, or would overflow.
void validate_llama(const LlamaConfig& model, std::int64_t batch, std::int64_t sequence);

/// Keys of a model of this family, in our own form; those with a default may be absent.
[[nodiscard]] std::set<std::string> llama_keys();
[[nodiscard]] LlamaConfig llama_from(const nlohmann::json& model);
void add_llama(const LlamaConfig& config, nlohmann::json& model);

/// Tokens that an expert has room for, of `tokens` of a micro-batch: the factor times those that
/// all experts would get if all got as many, rounded up. Choices beyond it are dropped.
[[nodiscard]] std::int64_t expert_capacity(const LlamaConfig& model, std::int64_t tokens);

/// LlamaConfig or MixtralConfig of the transformers library. What changes no shape and no result is
/// passed over; what we cannot compute is refused by name. The room of experts, which it does not
/// name, has our default.
[[nodiscard]] LlamaConfig llama_from_huggingface(const nlohmann::json& model, bool is_mixtral);

}  // namespace tidemark
