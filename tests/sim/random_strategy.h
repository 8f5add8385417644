// Strategies for property tests of capacity planning.
#pragma once

#include "sim/random.h"
#include "sim/strategy.h"

namespace tidemark::test {

/// A valid strategy for `model`; every choice is drawn.
[[nodiscard]] Strategy random_strategy(Random& random, const Transformer& model);

/// A published model with another number of layers.
[[nodiscard]] Transformer with_layers(const char* name, std::int64_t layers);

}  // namespace tidemark::test
