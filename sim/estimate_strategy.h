// `tidemark estimate` of a transformer on many ranks: level B of capacity planning.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "sim/device.h"
#include "sim/strategy_text.h"

namespace tidemark {

struct StrategyOptions {
  std::string layout;
  std::string recipe;
  std::string recompute;
  std::int64_t micro_batch = 1;  // sequences
  std::int64_t batch = 0;     // sequences per step, all replicas; 0 = as few as fill the pipeline
  std::int64_t sequence = 0;  // tokens; 0 = what the model was trained with
  std::string framework;      // "" = by the recipe
  double price = 0;           // of one device for an hour, in any currency; 0 = not known
  bool json = false;
};

void add_strategy_options(CLI::App& verb, StrategyOptions& options);

/// A published model, or config.json of a decoder that the reference trainer does not run; none for
/// everything else. Throws InputError for a config.json that lacks something.
[[nodiscard]] std::optional<NamedTransformer> transformer_of(const std::string& name_or_file);

/// Throws InputError when `options` ask for a strategy: only transformers have one.
void require_no_strategy(const StrategyOptions& options, const std::string& model);

/// Prints the peak of every pipeline rank, what the device needs beside it, step time and cost;
/// returns the exit code. Throws InputError with a line for
/// everything that is wrong.
[[nodiscard]] int estimate_strategy(const NamedTransformer& model, const StrategyOptions& options,
                                    const Device& device);

}  // namespace tidemark
