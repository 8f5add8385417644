// A decoder that the reference trainer runs, as capacity planning sees it.
#pragma once

#include <optional>

#include "sim/config.h"
#include "sim/transformer.h"

namespace tidemark {

/// With as many parameters as build_program() makes; none for what is no decoder.
[[nodiscard]] std::optional<NamedTransformer> trained_transformer(const RunConfig& config);

}  // namespace tidemark
