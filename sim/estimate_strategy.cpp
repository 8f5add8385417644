#include "sim/estimate_strategy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "sim/allocator_replay.h"
#include "sim/capacity_trace.h"
#include "sim/capacity_walk.h"
#include "sim/exit_code.h"
#include "sim/strategy_text.h"
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

/// All that is known of one strategy.
struct Estimated {
  std::vector<WalkedPeak> ranks;
  MemoryDemand demand;           // of the largest
  std::optional<StepTime> time;  // none: links not known
  double tokens_per_s = 0;       // of all ranks together
  double utilization = 0;        // of the model's flops
  double price_per_billion_tokens = 0;
  std::int64_t traced_rank = -1;    // whose trace was written; -1 = none
  std::int64_t reserved_bytes = 0;  // for its tensors, by PyTorch's allocator, replayed
};

/// Level C: the events of one rank, with an allocator on them.
void write_rank(const NamedTransformer& model, const Strategy& s, const StrategyOptions& o,
                const Site& site, Estimated& e) {
  const auto most =
      std::ranges::max_element(e.ranks, {}, [](const WalkedPeak& p) { return p.memory.total(); });
  e.traced_rank = o.rank >= 0 ? o.rank : most - e.ranks.begin();
  if (e.traced_rank >= s.layout.pipeline) {
    throw InputError(
        InputError::Parts{.place = "--rank",
                          .expected = fmt::format("a pipeline rank below {}", s.layout.pipeline),
                          .found = std::to_string(o.rank)});
  }
  Trace trace = strategy_trace(model.model, s, e.traced_rank, StepTimes(model.model, site).pace(s));
  trace.meta.device = site.device.name;
  trace.meta.device_memory_bytes = site.device.memory_bytes;
  write_trace(trace, o.output);
  e.reserved_bytes = replay_allocator(trace, {}).peak_reserved_bytes;
}

Estimated estimate_all(const NamedTransformer& model, const Strategy& s, const Site& site) {
  Estimated e;
  double most = 0;
  for (std::int64_t rank = 0; rank < s.layout.pipeline; ++rank) {
    e.ranks.push_back(walk_rank(model.model, s, rank));
    most = std::max(most, e.ranks.back().memory.total());
  }
  e.demand = demand_of(most, s);
  e.time = StepTimes(model.model, site).step(s);
  if (!e.time) return e;
  const double seconds = e.time->total_ns() / 1e9;
  e.tokens_per_s = static_cast<double>(s.batch.sequence * s.batch.micro_batch *
                                       s.batch.micro_batches * s.layout.data) /
                   seconds;
  e.utilization = model_flops_utilization(model.model, s, site.device, e.time->total_ns());
  const double hours = 1e9 / e.tokens_per_s / 3600;
  e.price_per_billion_tokens =
      site.device.price_per_hour * hours * static_cast<double>(s.layout.ranks());
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

void print_time(const Estimated& e, const Strategy& s, const Device& device) {
  if (!e.time) {
    fmt::print("  step       not known: no node of {} in the table (--devices adds one)\n\n",
               device.name);
    return;
  }
  const double total = e.time->total_ns();
  const Interval range = interval_90(total, k_time_spread);
  fmt::print("  step       {} (modelled), MFU {:.1f} %, {:.0f} tokens/s, {:.0f} per rank\n",
             format_ns(whole(total)), 100 * e.utilization, e.tokens_per_s,
             e.tokens_per_s / static_cast<double>(s.layout.ranks()));
  fmt::print("             90 % interval {} to {}\n", format_ns(whole(range.low)),
             format_ns(whole(range.high)));
  if (e.price_per_billion_tokens > 0) {
    fmt::print("  price      {:.2f} for a billion tokens\n", e.price_per_billion_tokens);
  }
  Table table({"of the step", ">time", ">share"});
  for (const TimePart& part : time_parts(*e.time)) {
    if (part.ns < total / 2000) continue;
    table.add(
        {part.name, format_ns(whole(part.ns)), fmt::format("{:.1f} %", 100 * part.ns / total)});
  }
  fmt::print("\n{}\n", table.text());
}

/// What the figures rest on, a sentence each.
std::vector<std::string> assumptions_of(const DescribedModel& described, const Strategy& s,
                                        const Site& site) {
  std::vector<std::string> out{
      "Values between layers are 16 bits wide; tokens spread evenly over experts.",
      fmt::format("Recipe {}: {}.", s.recipe.name, s.recipe.source)};
  for (std::string& line : site_assumptions(site, s.recipe)) out.push_back(std::move(line));
  out.insert(out.end(), described.notes.begin(), described.notes.end());
  return out;
}

void print_text(const DescribedModel& described, const Strategy& s, const Site& site,
                const Estimated& e) {
  const Transformer& model = described.model.model;
  fmt::print("{} ({:.2f} billion parameters) on {} x {}\n", model.name,
             static_cast<double>(parameter_count(model)) / 1e9, s.layout.ranks(),
             site.device.about);
  fmt::print("layout {}, recipe {}, recompute {}, {} micro-batches of {} x {} tokens\n\n",
             layout_text(s.layout).empty() ? "one rank" : layout_text(s.layout), s.recipe.name,
             recompute_text(s.recompute), s.batch.micro_batches, s.batch.micro_batch,
             s.batch.sequence);
  print_memory(e.demand, site.device);
  print_time(e, s, site.device);
  if (e.traced_rank >= 0) {
    fmt::print("  PyTorch's allocator reserves {} for the tensors of rank {} (replayed)\n\n",
               format_bytes(e.reserved_bytes), e.traced_rank);
  }
  Table table({">pipeline rank", ">tensors", ">states", ">layers", ">ends", ">working", "when"});
  for (const WalkedPeak& peak : e.ranks) {
    const RankMemory& m = peak.memory;
    table.add({std::to_string(m.rank), format_bytes(whole(m.total())),
               format_bytes(whole(m.states)), format_bytes(whole(m.layers)),
               format_bytes(whole(m.ends)), format_bytes(whole(m.working)),
               std::string(to_string(peak.moment))});
  }
  fmt::print("{}\nAssumed\n\n", table.text());
  for (const std::string& line : assumptions_of(described, s, site)) {
    fmt::print("  - {}\n", line);
  }
}

void add_time(const Estimated& e, Json& j) {
  if (!e.time) return;
  const double total = e.time->total_ns();
  const Interval range = interval_90(total, k_time_spread);
  j["step_ns"] = whole(total);
  j["step_low_ns"] = whole(range.low);
  j["step_high_ns"] = whole(range.high);
  j["time_source"] = "modelled";
  j["model_flops_utilization"] = e.utilization;
  j["tokens_per_s"] = e.tokens_per_s;
  for (const TimePart& part : time_parts(*e.time)) {
    j["step_parts_ns"][part.name] = whole(part.ns);
  }
  if (e.price_per_billion_tokens > 0) {
    j["price_per_billion_tokens"] = e.price_per_billion_tokens;
  }
}

Json estimate_json(const DescribedModel& described, const Strategy& s, const Site& site,
                   const Estimated& e) {
  const MemoryDemand& d = e.demand;
  const auto memory = static_cast<double>(site.device.memory_bytes);
  Json j{{"model", described.model.model.name},
         {"parameters", parameter_count(described.model.model)},
         {"device", site.device.name},
         {"node", site.cluster ? Json(site.cluster->name) : Json()},
         {"device_memory_bytes", site.device.memory_bytes},
         {"fits", d.verdict(memory) != Verdict::too_large},
         {"verdict", to_string(d.verdict(memory))},
         {"fits_probability", d.fits_probability(memory)},
         {"layout", layout_text(s.layout)},
         {"ranks", s.layout.ranks()},
         {"schedule", to_string(s.schedule)},
         {"recipe", s.recipe.name},
         {"recompute", recompute_text(s.recompute)},
         {"sequence", s.batch.sequence},
         {"micro_batch", s.batch.micro_batch},
         {"micro_batches", s.batch.micro_batches},
         {"peak_bytes", whole(d.tensor_bytes)},
         {"slack_bytes", whole(d.slack_bytes)},
         {"context_bytes", whole(d.context_bytes)},
         {"communicator_bytes", whole(d.communicator_bytes)},
         {"expected_bytes", whole(d.expected_bytes())},
         {"low_bytes", whole(d.quantile_bytes(0.05))},
         {"high_bytes", whole(d.quantile_bytes(0.95))}};
  add_time(e, j);
  for (const WalkedPeak& peak : e.ranks) j["pipeline_ranks"].push_back(rank_json(peak));
  if (e.traced_rank >= 0) {
    j["traced_rank"] = e.traced_rank;
    j["replayed_reserved_bytes"] = e.reserved_bytes;
  }
  j["assumptions"] = assumptions_of(described, s, site);
  return j;
}

}  // namespace

int estimate_strategy(const DescribedModel& model, const StrategyOptions& options,
                      const Site& site) {
  if (options.rank >= 0 && options.output.empty()) {
    throw InputError(InputError::Parts{
        .place = "--rank", .expected = "--output for its trace", .found = "none"});
  }
  const Strategy s = strategy_of(model, options);
  Estimated e = estimate_all(model.model, s, site);
  if (!options.output.empty()) write_rank(model.model, s, options, site, e);
  if (options.json) {
    fmt::print(
        "{}\n",
        estimate_json(model, s, site, e).dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    print_text(model, s, site, e);
    if (!options.output.empty()) {
      fmt::print("\n  written to {}\n  Next: tidemark show {} --by layer\n", options.output,
                 options.output);
    }
  }
  return verdict_of(e.demand, site) == Verdict::too_large ? k_exit_not_possible : k_exit_done;
}

}  // namespace tidemark
