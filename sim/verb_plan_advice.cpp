// `tidemark plan` of a trace without a program: advice in the words of the user's model.
#include "sim/verb_plan_advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sim/checkpoint_advice.h"
#include "sim/exit_code.h"
#include "sim/table.h"
#include "sim/units.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t k_most_lines = 15;

const ModuleAdvice& advice_of(const CheckpointAdvice& advice, LayerId module) {
  return *std::ranges::find(advice.modules(), module, &ModuleAdvice::module);
}

Json json_of(const Trace& source, const ModuleAdvice& m, std::int64_t peak_bytes) {
  return {{"module", source[m.module].name},
          {"calls", m.calls},
          {"held_bytes", m.held_bytes},
          {"saved_bytes", peak_bytes - m.peak_bytes},
          {"again_ns", m.again_ns}};
}

void print_json(const Trace& source, const Timeline& timeline, const CheckpointAdvice& advice,
                const CheckpointPlan* plan) {
  Json j{{"advice", "checkpoint"},
         {"time", "modelled"},
         {"peak_bytes", timeline.peak.bytes},
         {"step_ns", timeline.step_ns}};
  if (plan != nullptr) {
    j["feasible"] = plan->fits;
    j["planned_peak_bytes"] = plan->peak_bytes;
    j["again_ns"] = plan->again_ns;
    j["checkpoint"] = Json::array();
    for (const LayerId id : plan->modules) j["checkpoint"].push_back(source[id].name);
  }
  j["modules"] = Json::array();
  for (const ModuleAdvice& m : advice.modules()) {
    j["modules"].push_back(json_of(source, m, timeline.peak.bytes));
  }
  fmt::print("{}\n", j.dump(2));
}

/// "+12.3 ms (+4.0 % of a step)"
std::string time_text(std::int64_t again_ns, std::int64_t step_ns) {
  if (step_ns <= 0) return "+" + format_ns(again_ns);
  return fmt::format("+{} (+{:.1f} % of a step)", format_ns(again_ns),
                     100 * static_cast<double>(again_ns) / static_cast<double>(step_ns));
}

void print_modules(const Trace& source, const Timeline& timeline, const CheckpointAdvice& advice,
                   const std::vector<LayerId>& modules) {
  Table table({"module", ">calls", ">held at the peak", ">saved alone", "time, modelled"});
  for (const LayerId id : modules) {
    const ModuleAdvice& m = advice_of(advice, id);
    table.add({source[id].name, std::to_string(m.calls), format_bytes(m.held_bytes),
               format_bytes(timeline.peak.bytes - m.peak_bytes),
               time_text(m.again_ns, timeline.step_ns)});
  }
  fmt::print("{}", table.text());
}

void print_nothing_helps(const Trace& source) {
  const bool untold = source.layers.empty();
  fmt::print("  No module whose checkpointing would lower the peak{}.\n",
             untold ? ": the recording names no modules (record call stacks, or mark modules with "
                      "NVTX ranges)"
                    : "");
}

void print_plan(const Trace& source, const Timeline& timeline, const CheckpointAdvice& advice,
                const CheckpointPlan& plan, const AdviceOptions& options) {
  if (plan.modules.empty()) {
    if (!plan.fits) return print_nothing_helps(source);
    return fmt::print("  It fits in {} as it is.\n", format_bytes(options.budget_bytes));
  }
  fmt::print("  {} {} (torch.utils.checkpoint around their calls):\n",
             plan.fits ? "Checkpoint" : "Even with these checkpointed it does not fit in",
             plan.fits ? fmt::format("for {}", format_bytes(options.budget_bytes))
                       : format_bytes(options.budget_bytes));
  print_modules(source, timeline, advice, plan.modules);
  fmt::print(
      "\n  peak      {} -> {}, saved {}\n  time      {}, modelled: from the time between "
      "allocations of the forward calls\n",
      format_bytes(timeline.peak.bytes), format_bytes(plan.peak_bytes),
      format_bytes(timeline.peak.bytes - plan.peak_bytes),
      time_text(plan.again_ns, timeline.step_ns));
}

void print_all(const Trace& source, const Timeline& timeline, const CheckpointAdvice& advice) {
  if (advice.modules().empty()) return print_nothing_helps(source);
  std::vector<LayerId> modules;
  for (const ModuleAdvice& m : advice.modules()) modules.push_back(m.module);
  const std::size_t left = modules.size() - std::min(modules.size(), k_most_lines);
  modules.resize(modules.size() - left);
  fmt::print("  What checkpointing would save, one module at a time:\n");
  print_modules(source, timeline, advice, modules);
  if (left > 0) fmt::print("  and {} more, which --json lists\n", left);
}

}  // namespace

int advise_checkpoints(const Trace& source, const AdviceOptions& options) {
  const Timeline timeline = recorded_timeline(source, {SpaceKind::device, source.meta.rank});
  const CheckpointAdvice advice(source, timeline);
  const bool has_budget = options.budget_bytes > 0;
  const CheckpointPlan plan = has_budget ? advice.choose(options.budget_bytes) : CheckpointPlan{};
  const bool useful = has_budget ? plan.fits : !advice.modules().empty();
  if (options.json) {
    print_json(source, timeline, advice, has_budget ? &plan : nullptr);
    return useful ? k_exit_done : k_exit_not_possible;
  }
  fmt::print("  {}\n  Recorded elsewhere, without its dataflow: advice, not a program that runs.\n",
             source.meta.title);
  fmt::print("  peak      {}\n\n", format_bytes(timeline.peak.bytes));
  if (has_budget) {
    print_plan(source, timeline, advice, plan, options);
  } else {
    print_all(source, timeline, advice);
  }
  fmt::print("\n  Next: tidemark allocator {0}; tidemark pack {0}\n", options.file);
  return useful ? k_exit_done : k_exit_not_possible;
}

}  // namespace tidemark
