// The GPT-2 decoder (Radford et al. 2019): training, and inference with a key-value cache.
#pragma once

#include "sim/config.h"
#include "sim/program_builder.h"

namespace tidemark {

/// Forward and backward of all micro-batches of a valid configuration.
void build_gpt2(ProgramBuilder& p, const RunConfig& config);

/// Init reads the prompt into the caches and makes the first token; a step of the body appends that
/// token to the caches and makes the next one, each the most likely. At step s the caches hold
/// prompt + s + 1 tokens.
void build_gpt2_inference(ProgramBuilder& p, const RunConfig& config);

}  // namespace tidemark
