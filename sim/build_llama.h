// The Llama family (Touvron et al. 2023; grouped keys and values of Ainslie et al. 2023).
#pragma once

#include "sim/config.h"
#include "sim/program_builder.h"

namespace tidemark {

/// Forward, loss and backward of every micro-batch. The layers of a transformer block are the
/// children of its layer.
void build_llama(ProgramBuilder& p, const RunConfig& config);

}  // namespace tidemark
