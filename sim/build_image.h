// Convolutional models: LeNet-5 and residual networks.
#pragma once

#include "sim/config.h"
#include "sim/program_builder.h"

namespace tidemark {

/// Forward and backward of all micro-batches of a valid configuration.
void build_lenet(ProgramBuilder& p, const RunConfig& config);
void build_resnet(ProgramBuilder& p, const RunConfig& config);

}  // namespace tidemark
