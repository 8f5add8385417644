// Strategies and transformers as people write them: "tp=8,pp=2,dp=4", "attention_core+norms", and
// config.json of HuggingFace.
#pragma once

#include <string>
#include <vector>

#include "sim/strategy.h"

namespace tidemark {

/// "tp=8,pp=2,vp=1,dp=4,cp=1,ep=1,etp=1,shard=8,sp": sizes of Layout in any order, each at most
/// once; what is not named is 1 (shard: 0, sp: off). Appends a line to `problems` for each word
/// that is not understood.
[[nodiscard]] Layout layout_from_text(const std::string& text, std::vector<std::string>& problems);

/// The same words; sizes of 1 are left out. "" for one rank.
[[nodiscard]] std::string layout_text(const Layout& layout);

/// Names of Recompute joined by '+'; "none" or "" = nothing. Lines as above.
[[nodiscard]] RecomputeSet recompute_from_text(const std::string& text,
                                               std::vector<std::string>& problems);

/// config.json of a decoder of HuggingFace (llama, mistral, mixtral, qwen2, qwen3, qwen3_moe,
/// deepseek_v2, deepseek_v3, gpt_oss). Fields that say nothing about shapes are passed over. Throws
/// InputError with a line for every field that is missing or no integer.
[[nodiscard]] NamedTransformer transformer_from_huggingface(const std::string& text,
                                                            const std::string& file);

}  // namespace tidemark
