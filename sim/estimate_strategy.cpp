#include "sim/estimate_strategy.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "sim/capacity_walk.h"
#include "sim/description.h"
#include "sim/exit_code.h"
#include "sim/table.h"
#include "sim/units.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

std::int64_t whole(double bytes) {
  return std::llround(bytes);
}

/// As the words say; `problems` gets what they do not say.
Strategy strategy_of(const NamedTransformer& model, const StrategyOptions& o,
                     std::vector<std::string>& problems) {
  Strategy s;
  s.layout = layout_from_text(o.layout, problems);
  s.recompute = recompute_from_text(o.recompute, problems);
  try {
    s.recipe = find_recipe(o.recipe.empty() ? "zero1" : o.recipe);
  } catch (const InputError& e) {
    problems.emplace_back(fmt::format("--recipe: {}", e.what()));
  }
  if (s.layout.virtual_stages > 1) s.schedule = Schedule::interleaved;
  s.batch.sequence = o.sequence > 0 ? o.sequence : model.sequence;
  s.batch.micro_batch = o.micro_batch;
  const std::int64_t at_once = s.layout.data < 1 ? 1 : s.layout.data * o.micro_batch;
  s.batch.micro_batches = o.batch == 0 ? s.layout.pipeline : o.batch / at_once;
  if (o.batch % at_once != 0) {
    problems.push_back(fmt::format(
        "--batch: expected a multiple of dp x micro-batch = {}, found {}", at_once, o.batch));
  }
  return s;
}

Json rank_json(const WalkedPeak& peak) {
  const RankMemory& m = peak.memory;
  return {{"rank", m.rank},
          {"peak_bytes", whole(m.total())},
          {"states_bytes", whole(m.states)},
          {"layers_bytes", whole(m.layers)},
          {"ends_bytes", whole(m.ends)},
          {"working_bytes", whole(m.working)},
          {"moment", to_string(peak.moment)}};
}

void print_text(const NamedTransformer& model, const Strategy& s, const Device& device,
                const std::vector<WalkedPeak>& ranks, double most) {
  const bool fits = most <= static_cast<double>(device.memory_bytes);
  fmt::print("{} ({:.2f} billion parameters) on {} x {}\n", model.model.name,
             static_cast<double>(parameter_count(model.model)) / 1e9, s.layout.ranks(),
             device.about);
  fmt::print("layout {}, recipe {}, {} micro-batches of {} x {} tokens\n\n",
             layout_text(s.layout).empty() ? "one rank" : layout_text(s.layout), s.recipe.name,
             s.batch.micro_batches, s.batch.micro_batch, s.batch.sequence);
  fmt::print("  {}  the largest rank needs {} of {}\n\n", fits ? "FITS     " : "TOO LARGE",
             format_bytes(whole(most)), format_bytes(device.memory_bytes));
  Table table({">pipeline rank", ">peak", ">states", ">layers", ">ends", ">working", "when"});
  for (const WalkedPeak& peak : ranks) {
    const RankMemory& m = peak.memory;
    table.add({std::to_string(m.rank), format_bytes(whole(m.total())),
               format_bytes(whole(m.states)), format_bytes(whole(m.layers)),
               format_bytes(whole(m.ends)), format_bytes(whole(m.working)),
               std::string(to_string(peak.moment))});
  }
  fmt::print("{}\n  states: {}\n", table.text(), s.recipe.source);
  fmt::print(
      "  Assumed: 16-bit values, flash attention, equal stages; tokens spread evenly over experts."
      "\n  Not counted: context, communicators (1 to 6 GiB together) and allocator slack.\n");
}

}  // namespace

void add_strategy_options(CLI::App& verb, StrategyOptions& options) {
  verb.add_option("--layout", options.layout,
                  "of a transformer on many ranks: tp=8,pp=2,vp=1,dp=4,cp=1,ep=1,etp=1,shard=8,sp");
  verb.add_option("--recipe", options.recipe,
                  "what each parameter costs: zero1, zero3, megatron-distributed, fsdp2, ...");
  verb.add_option("--recompute", options.recompute, "full, or parts: attention_core+norms");
  verb.add_option("--micro-batch", options.micro_batch, "sequences per rank at a time")
      ->check(CLI::PositiveNumber);
}

std::optional<NamedTransformer> transformer_of(const std::string& name_or_file) {
  if (const NamedTransformer* named = find_transformer(name_or_file)) return *named;
  if (!std::filesystem::is_regular_file(name_or_file)) return std::nullopt;
  const std::string text = read_file(name_or_file);
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const bool foreign = json.is_object() && json.contains("model_type");
  if (!foreign || json["model_type"] == "gpt2") return std::nullopt;
  return transformer_from_huggingface(text, name_or_file);
}

void require_no_strategy(const StrategyOptions& o, const std::string& model) {
  if (o.layout.empty() && o.recipe.empty() && o.recompute.empty()) return;
  std::string names;
  for (const NamedTransformer& named : named_transformers()) names += named.model.name + ", ";
  throw InputError(InputError::Parts{.place = "--layout, --recipe, --recompute",
                                     .expected = "one of " + names + "or a config.json",
                                     .found = "'" + model + "'"});
}

int estimate_strategy(const NamedTransformer& model, const StrategyOptions& options,
                      const Device& device) {
  std::vector<std::string> lines;
  const Strategy s = strategy_of(model, options, lines);
  for (const std::string& line : problems(model.model, s)) lines.push_back(line);
  if (!lines.empty()) throw InputError(fmt::format("{}", fmt::join(lines, "\n")));
  std::vector<WalkedPeak> ranks;
  double most = 0;
  for (std::int64_t rank = 0; rank < s.layout.pipeline; ++rank) {
    ranks.push_back(walk_rank(model.model, s, rank));
    most = std::max(most, ranks.back().memory.total());
  }
  const bool fits = most <= static_cast<double>(device.memory_bytes);
  if (options.json) {
    Json j{{"model", model.model.name},
           {"parameters", parameter_count(model.model)},
           {"device", device.name},
           {"device_memory_bytes", device.memory_bytes},
           {"fits", fits},
           {"layout", layout_text(s.layout)},
           {"ranks", s.layout.ranks()},
           {"recipe", s.recipe.name},
           {"peak_bytes", whole(most)}};
    for (const WalkedPeak& peak : ranks) j["pipeline_ranks"].push_back(rank_json(peak));
    fmt::print("{}\n", j.dump(2));
  } else {
    print_text(model, s, device, ranks, most);
  }
  return fits ? k_exit_done : k_exit_not_possible;
}

}  // namespace tidemark
