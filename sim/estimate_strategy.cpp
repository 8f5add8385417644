#include "sim/estimate_strategy.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "sim/capacity_walk.h"
#include "sim/description.h"
#include "sim/exit_code.h"
#include "sim/memory_margin.h"
#include "sim/step_time.h"
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
  if (s.layout.virtual_stages > 1) s.schedule = PipelineSchedule::interleaved;
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

/// Whose constants fit programs that keep state by this recipe.
struct Program {
  const Framework* time = nullptr;
  const MemoryMargin* memory = nullptr;
};

Program program_of(const Strategy& s, const StrategyOptions& o) {
  const bool titan = s.recipe.name.starts_with("fsdp2");
  const bool tune = s.recipe.name.starts_with("bf16") || s.recipe.name.starts_with("adam8bit") ||
                    s.recipe.name.starts_with("f32") || s.recipe.name.starts_with("frozen");
  return {&find_framework(o.framework.empty() ? "megatron" : o.framework),
          &find_memory_margin(titan  ? "torchtitan"
                              : tune ? "torchtune"
                                     : "megatron")};
}

/// All that is known of one strategy.
struct Estimated {
  std::vector<WalkedPeak> ranks;
  MemoryDemand demand;  // of the largest
  StepTime time;
  double tokens_per_s = 0;  // of all ranks together
  double utilization = 0;   // of the model's flops
  double price_per_billion_tokens = 0;
};

Estimated estimate_all(const NamedTransformer& model, const Strategy& s, const StrategyOptions& o,
                       const Device& device) {
  Estimated e;
  double most = 0;
  for (std::int64_t rank = 0; rank < s.layout.pipeline; ++rank) {
    e.ranks.push_back(walk_rank(model.model, s, rank));
    most = std::max(most, e.ranks.back().memory.total());
  }
  const Program program = program_of(s, o);
  e.demand = memory_demand(most, s.layout, *program.memory);
  const Machine machine = machine_of(device, usual_topology());
  e.time = TimeModel(model.model, machine, *program.time).step(s);
  const double seconds = e.time.total_ns() / 1e9;
  e.tokens_per_s = static_cast<double>(s.batch.sequence * s.batch.micro_batch *
                                       s.batch.micro_batches * s.layout.data) /
                   seconds;
  e.utilization = model_flops_utilization(model.model, s, device, e.time.total_ns());
  const double hours = 1e9 / e.tokens_per_s / 3600;
  e.price_per_billion_tokens = o.price * hours * static_cast<double>(s.layout.ranks());
  return e;
}

struct TimePart {
  const char* name;
  double ns;
};

std::vector<TimePart> time_parts(const StepTime& t) {
  return {{"compute", t.compute_ns},
          {"recompute", t.recompute_ns},
          {"collectives", t.collectives_ns},
          {"gathers", t.gathers_ns},
          {"issue", t.issue_ns},
          {"messages", t.messages_ns},
          {"bubble", t.bubble_ns},
          {"gradients", t.gradients_ns},
          {"optimizer", t.optimizer_ns},
          {"transfers", t.transfers_ns},
          {"fixed", t.fixed_ns}};
}

void print_memory(const MemoryDemand& d, const Device& device) {
  const auto gib = [](double bytes) { return format_bytes(whole(bytes)); };
  static const std::map<Verdict, const char*> words{{Verdict::fits, "FITS     "},
                                                    {Verdict::may_fit, "MAY FIT  "},
                                                    {Verdict::too_large, "TOO LARGE"}};
  const auto memory = static_cast<double>(device.memory_bytes);
  fmt::print("  {}  the largest rank needs {} of {}; it fits with probability {:.0f} %\n",
             words.at(d.verdict(memory)), gib(d.expected_bytes()),
             format_bytes(device.memory_bytes), 100 * d.fits_probability(memory));
  fmt::print("             {} tensors, {} allocator slack, {} context, {} communicators\n",
             gib(d.tensor_bytes), gib(d.slack_bytes), gib(d.context_bytes),
             gib(d.communicator_bytes));
  fmt::print("             90 % interval {} to {}\n", gib(d.quantile_bytes(0.05)),
             gib(d.quantile_bytes(0.95)));
}

void print_time(const Estimated& e, const Strategy& s) {
  const double total = e.time.total_ns();
  fmt::print("  step       {} (modelled), MFU {:.1f} %, {:.0f} tokens/s, {:.0f} per rank\n",
             format_ns(whole(total)), 100 * e.utilization, e.tokens_per_s,
             e.tokens_per_s / static_cast<double>(s.layout.ranks()));
  if (e.price_per_billion_tokens > 0) {
    fmt::print("  price      {:.2f} for a billion tokens\n", e.price_per_billion_tokens);
  }
  Table table({"of the step", ">time", ">share"});
  for (const TimePart& part : time_parts(e.time)) {
    if (part.ns < total / 2000) continue;
    table.add(
        {part.name, format_ns(whole(part.ns)), fmt::format("{:.1f} %", 100 * part.ns / total)});
  }
  fmt::print("\n{}\n", table.text());
}

void print_text(const NamedTransformer& model, const Strategy& s, const StrategyOptions& o,
                const Device& device, const Estimated& e) {
  fmt::print("{} ({:.2f} billion parameters) on {} x {}\n", model.model.name,
             static_cast<double>(parameter_count(model.model)) / 1e9, s.layout.ranks(),
             device.about);
  fmt::print("layout {}, recipe {}, {} micro-batches of {} x {} tokens\n\n",
             layout_text(s.layout).empty() ? "one rank" : layout_text(s.layout), s.recipe.name,
             s.batch.micro_batches, s.batch.micro_batch, s.batch.sequence);
  print_memory(e.demand, device);
  print_time(e, s);
  Table table({">pipeline rank", ">tensors", ">states", ">layers", ">ends", ">working", "when"});
  for (const WalkedPeak& peak : e.ranks) {
    const RankMemory& m = peak.memory;
    table.add({std::to_string(m.rank), format_bytes(whole(m.total())),
               format_bytes(whole(m.states)), format_bytes(whole(m.layers)),
               format_bytes(whole(m.ends)), format_bytes(whole(m.working)),
               std::string(to_string(peak.moment))});
  }
  const Program program = program_of(s, o);
  fmt::print("{}\n  states: {}\n  time: {}\n  beside tensors: {}\n", table.text(), s.recipe.source,
             program.time->source, program.memory->source);
  fmt::print(
      "  Assumed: 16-bit values, flash attention, equal stages; tokens spread evenly over experts;"
      "\n  nodes of 8 ranks with 215 GB/s inside and 62 GB/s between them.\n");
}

Json estimate_json(const NamedTransformer& model, const Strategy& s, const Device& device,
                   const Estimated& e) {
  const MemoryDemand& d = e.demand;
  const auto memory = static_cast<double>(device.memory_bytes);
  Json j{{"model", model.model.name},
         {"parameters", parameter_count(model.model)},
         {"device", device.name},
         {"device_memory_bytes", device.memory_bytes},
         {"fits", d.verdict(memory) != Verdict::too_large},
         {"verdict", to_string(d.verdict(memory))},
         {"fits_probability", d.fits_probability(memory)},
         {"layout", layout_text(s.layout)},
         {"ranks", s.layout.ranks()},
         {"recipe", s.recipe.name},
         {"peak_bytes", whole(d.tensor_bytes)},
         {"slack_bytes", whole(d.slack_bytes)},
         {"context_bytes", whole(d.context_bytes)},
         {"communicator_bytes", whole(d.communicator_bytes)},
         {"expected_bytes", whole(d.expected_bytes())},
         {"low_bytes", whole(d.quantile_bytes(0.05))},
         {"high_bytes", whole(d.quantile_bytes(0.95))},
         {"step_ns", whole(e.time.total_ns())},
         {"time_source", "modelled"},
         {"model_flops_utilization", e.utilization},
         {"tokens_per_s", e.tokens_per_s}};
  for (const TimePart& part : time_parts(e.time)) {
    j["step_parts_ns"][part.name] = whole(part.ns);
  }
  if (e.price_per_billion_tokens > 0) {
    j["price_per_billion_tokens"] = e.price_per_billion_tokens;
  }
  for (const WalkedPeak& peak : e.ranks) j["pipeline_ranks"].push_back(rank_json(peak));
  return j;
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
  verb.add_option("--framework", options.framework,
                  "whose measured constants time follows: megatron, megatron-deepspeed");
  verb.add_option("--price", options.price, "of one device for an hour, in any currency")
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
  if (o.layout.empty() && o.recipe.empty() && o.recompute.empty() && o.framework.empty() &&
      o.price == 0) {
    return;
  }
  std::string names;
  for (const NamedTransformer& named : named_transformers()) names += named.model.name + ", ";
  throw InputError(
      InputError::Parts{.place = "--layout, --recipe, --recompute, --framework, --price",
                        .expected = "one of " + names + "or a config.json",
                        .found = "'" + model + "'"});
}

int estimate_strategy(const NamedTransformer& model, const StrategyOptions& options,
                      const Device& device) {
  std::vector<std::string> lines;
  const Strategy s = strategy_of(model, options, lines);
  for (const std::string& line : problems(model.model, s)) lines.push_back(line);
  if (!lines.empty()) throw InputError(fmt::format("{}", fmt::join(lines, "\n")));
  const Estimated e = estimate_all(model, s, options, device);
  if (options.json) {
    fmt::print("{}\n", estimate_json(model, s, device, e).dump(2));
  } else {
    print_text(model, s, options, device, e);
  }
  const Verdict verdict = e.demand.verdict(static_cast<double>(device.memory_bytes));
  return verdict == Verdict::too_large ? k_exit_not_possible : k_exit_done;
}

}  // namespace tidemark
