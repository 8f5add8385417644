// Every strategy of a model on a number of ranks, for screening by level A.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "sim/strategy.h"

namespace tidemark {

/// What may be chosen. Layouts are all products that make `ranks`.
struct SearchSpace {
  std::int64_t ranks = 1;
  std::int64_t global_batch = 1;  // sequences per step, over all replicas
  std::int64_t sequence = 0;
  std::vector<StateRecipe> recipes;
  std::vector<RecomputeSet> recomputes{RecomputeSet{}};
  Kernels kernels;
  std::int64_t most_tensor = 8;  // ranks of one node
  std::int64_t most_context = 1;
  std::int64_t most_virtual_stages = 1;
};

/// Calls `visit` with each valid layout, schedule and batch once, in a fixed order; recipe and
/// recomputation, on which validity does not depend, are as in Strategy{}. The object is reused.
/// Throws as for_each_strategy.
void for_each_shape(const Transformer& model, const SearchSpace& space,
                    const std::function<void(Strategy&)>& visit);

/// Calls `visit` with each valid strategy once, in a fixed order; the object is reused. Returns how
/// many there were. Throws InputError when the sizes of the space are not positive.
std::int64_t for_each_strategy(const Transformer& model, const SearchSpace& space,
                               const std::function<void(const Strategy&)>& visit);

}  // namespace tidemark
