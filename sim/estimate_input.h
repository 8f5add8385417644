// What `tidemark estimate` is asked of many ranks: a model and a strategy, from words or from the
// files that people have.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sim/strategy.h"

namespace tidemark {

struct StrategyOptions {
  std::string layout;
  std::string recipe;
  std::string recompute;
  std::string schedule;          // "" = interleaved with vp, else 1F1B
  std::string file;              // a description; instead of the four above
  std::int64_t ranks = 0;        // 0 = as layout or file say
  std::int64_t micro_batch = 0;  // sequences; 0 = 1, or as the file says
  std::int64_t batch = 0;     // sequences per step, all replicas; 0 = as few as fill the pipeline
  std::int64_t sequence = 0;  // tokens; 0 = what the model was trained with
  std::string framework;      // "" = by the recipe
  std::string node;           // "" = the first of the table with the device
  double price = 0;           // of one device for an hour, in any currency; 0 = of the table
  std::string output;         // a trace of level C of one pipeline rank
  std::int64_t rank = -1;     // that one; -1 = the one that needs most
  bool json = false;
};

void add_strategy_options(CLI::App& verb, StrategyOptions& options);

/// Whether any of them asks for a strategy; batch and sequence do not.
[[nodiscard]] bool asks_for_strategy(const StrategyOptions& options);

/// A model, and what its file says of a strategy.
struct DescribedModel {
  NamedTransformer model;
  std::optional<Strategy> strategy{};
  std::string file{};                // of the strategy
  std::vector<std::string> notes{};  // what the file leaves open or is not read of it
};

/// A published model, config.json of a decoder that the reference trainer does not run, a file of
/// Megatron-LM or torchtitan; none for everything else. With --strategy its strategy too. Throws
/// InputError for what is wrong with a file.
[[nodiscard]] std::optional<DescribedModel> described_model(const std::string& name_or_file,
                                                            const StrategyOptions& options);

/// The model as it is, with the strategy of --strategy if there is one.
[[nodiscard]] DescribedModel with_strategy(NamedTransformer model, const StrategyOptions& options);

/// As file and words say. Throws InputError with a line for everything that is wrong, also with
/// model and strategy together.
[[nodiscard]] Strategy strategy_of(const DescribedModel& described, const StrategyOptions& options);

}  // namespace tidemark
