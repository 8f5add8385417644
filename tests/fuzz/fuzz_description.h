// What is asked of every reader of descriptions under mutated input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sim/capacity.h"
#include "sim/description.h"
#include "traces/error.h"

namespace tidemark {

/// `read` gives a Description of "input" or throws an InputError that names it; what is valid has
/// parameters, and a peak.
template <class Read>
int fuzz_description(const Read& read) {
  try {
    const Description d = read();
    const Transformer model = d.model ? d.model->model : find_transformer("llama3-8b")->model;
    Strategy strategy;
    strategy.recipe = find_recipe("ddp");
    if (d.strategy) strategy = *d.strategy;
    if (strategy.batch.sequence == 0) strategy.batch.sequence = 16;
    if (!problems(model, strategy).empty()) return 0;
    if (parameter_count(model) <= 0) std::abort();
    if (!(CapacityModel(model).peak(strategy).total() > 0)) std::abort();
  } catch (const InputError& e) {
    if (!std::string(e.what()).starts_with("input")) std::abort();
  }
  return 0;
}

}  // namespace tidemark
