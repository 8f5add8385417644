// `tidemark estimate` of a transformer on many ranks: level B of capacity planning.
#pragma once

#include "sim/estimate_input.h"
#include "sim/site.h"

namespace tidemark {

/// Prints the peak of every pipeline rank, what the device needs beside it, step time and cost;
/// returns the exit code. Throws InputError with a line for everything that is wrong.
[[nodiscard]] int estimate_strategy(const DescribedModel& model, const StrategyOptions& options,
                                    const Site& site);

}  // namespace tidemark
