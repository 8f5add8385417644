// `tidemark plan --shard` and `--layout`: a step on several ranks, as it is or planned for a
// budget.
#include "sim/verb_plan_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

#include "sim/exit_code.h"
#include "sim/rank_search.h"
#include "sim/shard_experts.h"
#include "sim/strategy_text.h"
#include "sim/table.h"
#include "sim/timeline.h"
#include "sim/units.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/rank_files.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const std::string& place, const std::string& expected,
                         const std::string& found) {
  throw InputError(InputError::Parts{.place = place, .expected = expected, .found = found});
}

/// "3,3,2"
std::vector<std::int64_t> layers_from(const std::string& text) {
  std::vector<std::int64_t> out;
  for (std::size_t begin = 0; begin <= text.size() && !text.empty();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::int64_t layers = 0;
    const auto read = std::from_chars(text.data() + begin, text.data() + end, layers);
    if (read.ec != std::errc{} || read.ptr != text.data() + end || layers < 1) {
      refuse("--stage-layers", "numbers from 1, with commas between", "'" + text + "'");
    }
    out.push_back(layers);
    begin = end + 1;
  }
  return out;
}

/// The layouts before anything is said of a pipeline; `experts` of a block there are to spread.
std::vector<RankLayout> spread_of(const RankWords& words, bool has_budget, std::int64_t experts) {
  const bool searched = words.shard == "auto" && has_budget;
  const auto stage = parse_enum<ShardStage>(words.shard.empty() ? "data" : words.shard);
  const std::string autos = has_budget ? "auto, " : "";
  if (!words.layout.empty()) {
    std::vector<std::string> problems;
    RankLayout layout{.sizes = layout_from_text(words.layout, problems)};
    if (!problems.empty()) throw InputError(fmt::format("{}", fmt::join(problems, "\n")));
    const bool of_states = stage && *stage >= ShardStage::data && *stage <= ShardStage::zero3;
    if (!searched && !of_states) {
      refuse("--shard beside --layout", autos + "data, zero1, zero2 or zero3",
             "'" + words.shard + "'");
    }
    if (!searched) layout.states = *stage;
    std::vector<RankLayout> out{layout};
    for (const ShardStage other : {ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
      if (!searched || layout.sizes.data * layout.sizes.context == 1) break;
      out.push_back(layout);
      out.back().states = other;
    }
    return out;
  }
  if (searched) return layouts_of(words.ranks, experts);
  if (words.shard == "pipeline") return {{.sizes = {.pipeline = words.ranks}}};
  if (!stage || *stage == ShardStage::none) {
    refuse("--shard",
           autos + "data, zero1, zero2, zero3, tensor or pipeline" +
               (has_budget ? "" : "; none for one rank; auto beside --budget"),
           "'" + words.shard + "'");
  }
  return {layout_of(*stage, words.ranks)};
}

/// How ranks exchange states, for all layouts in which they share any.
void set_exchange(const RankWords& words, bool has_budget, std::vector<RankLayout>& layouts) {
  if (!words.of_states()) return;
  const std::string place = !words.bucket.empty() ? "--bucket"
                            : words.keep_gathered ? "--keep-gathered"
                                                  : "--prefetch";
  if (!words.any()) refuse(place, "--shard or --layout beside it", "neither");
  StateExchange exchange;
  exchange.buckets.by_block = words.bucket == "block";
  if (!words.bucket.empty() && !exchange.buckets.by_block) {
    exchange.buckets.bytes = parse_size(words.bucket, "--bucket");
    if (exchange.buckets.bytes == 0) refuse("--bucket", "block, or a size above 0", "0");
  }
  exchange.buckets.reshard_after_forward = !words.keep_gathered;
  if (words.prefetch >= 0) exchange.prefetch = words.prefetch;
  if (has_budget && exchange.prefetch) {
    refuse("--prefetch", "no --budget: plans are searched for ranks that do one thing at a time",
           "one");
  }
  bool any = false;
  for (RankLayout& layout : layouts) {
    if (layout.sizes.data * layout.sizes.context == 1) continue;
    layout.exchange = exchange;
    any = any || !words.keep_gathered || layout.states == ShardStage::zero3;
  }
  if (any) return;
  refuse(words.keep_gathered ? "--keep-gathered" : place,
         words.keep_gathered ? "--shard zero3, on several dp ranks" : "several dp ranks",
         to_text(layouts.front()));
}

std::vector<RankLayout> layouts_from(const RankWords& words, bool has_budget,
                                     std::int64_t experts) {
  std::vector<RankLayout> out = spread_of(words, has_budget, experts);
  set_exchange(words, has_budget, out);
  const auto named = parse_enum<PipelineSchedule>(words.schedule);
  if (!named && !words.schedule.empty()) {
    refuse("--pipeline",
           fmt::format("one of {}", fmt::join(EnumNames<PipelineSchedule>::k_names, ", ")),
           "'" + words.schedule + "'");
  }
  const std::vector<std::int64_t> layers = layers_from(words.stage_layers);
  bool any = false;
  for (RankLayout& layout : out) {
    if (layout.sizes.pipeline == 1) continue;
    any = true;
    if (words.chunks > 1) layout.sizes.virtual_stages = words.chunks;
    if (layout.sizes.virtual_stages > 1) layout.schedule = PipelineSchedule::interleaved;
    if (named) layout.schedule = *named;
    layout.stage_layers = layers;
  }
  if (words.of_pipeline() && !any) {
    refuse("--pipeline, --chunks, --stage-layers",
           "--shard pipeline or a --layout with pp beside them",
           !words.any()           ? "neither"
           : words.layout.empty() ? "--shard " + words.shard
                                  : "--layout " + words.layout);
  }
  return out;
}

void write(const std::vector<Trace>& ranks, const std::string& output) {
  ranks.size() == 1 ? write_trace(ranks.front(), output) : write_ranks(ranks, output);
}

std::int64_t bytes_of(const Peak& peak, Category category) {
  return peak.by_category[static_cast<std::size_t>(category)];
}

/// Most of all ranks: those of a pipeline differ.
std::int64_t height_of(const std::vector<Trace>& ranks) {
  std::int64_t most = 0;
  for (const Trace& rank : ranks) most = std::max(most, rank.plan.height_bytes);
  return most;
}
std::int64_t peak_of(const std::vector<Trace>& ranks) {
  std::int64_t most = 0;
  for (const Trace& rank : ranks) most = std::max(most, rank.plan.peak_bytes);
  return most;
}

void print_ranks(const std::vector<Trace>& ranks, const RankPlanOptions& options) {
  fmt::print("  {}\n", ranks.front().meta.title);
  Table table({">rank", ">peak", ">fits in", ">weight", ">gradient", ">optimizer", ">activation"});
  for (const Trace& rank : ranks) {
    const Peak peak = replay(rank, {SpaceKind::device, rank.meta.rank}).peak;
    table.add({std::to_string(rank.meta.rank), format_bytes(peak.bytes),
               format_bytes(rank.plan.height_bytes), format_bytes(bytes_of(peak, Category::weight)),
               format_bytes(bytes_of(peak, Category::gradient)),
               format_bytes(bytes_of(peak, Category::optimizer_state)),
               format_bytes(bytes_of(peak, Category::activation))});
  }
  fmt::print("{}", table.text());
  std::size_t decisions = 0;
  for (const Trace& rank : ranks) decisions += rank.decisions.size();
  fmt::print("  step      {} (times of collectives are modelled), {} decisions\n",
             format_ns(ranks.front().plan.step_ns), decisions);
  fmt::print("\n  written to {}\n  Next: tidemark profile --schedule {} --device-memory {}\n",
             options.output, options.output, height_of(ranks));
}

Json ranks_json(const std::vector<Trace>& ranks) {
  const PlanRecord& plan = ranks.front().plan;
  Json j{{"feasible", true},
         {"ranks", ranks.size()},
         {"height_bytes", height_of(ranks)},
         {"peak_bytes", peak_of(ranks)},
         {"step_ns", plan.step_ns},
         {"keep_all_step_ns", plan.keep_all_step_ns},
         {"decisions", ranks.front().decisions.size()}};
  return j;
}

Json layout_json(const LayoutPlan& plan) {
  Json j{{"layout", to_text(plan.layout)}, {"feasible", plan.feasible}};
  if (!plan.refused.empty()) {
    j["refused"] = plan.refused;
    return j;
  }
  j["bound_step_ns"] = plan.bound_step_ns;
  j["searched"] = plan.searched;
  if (plan.searched) j["bound_budget_bytes"] = plan.bound_bytes;
  if (plan.feasible) {
    j["height_bytes"] = plan.height_bytes;
    j["step_ns"] = plan.step_ns;
    j["decisions"] = plan.decisions;
  } else if (plan.height_bytes > 0) {
    j["smallest_found_bytes"] = plan.height_bytes;
  }
  return j;
}

/// Layouts that were not searched: the nearest ones.
void print_passed(std::vector<const LayoutPlan*> passed, bool cancelled) {
  constexpr std::size_t k_shown = 3;
  if (passed.empty()) return;
  std::ranges::stable_sort(passed, {}, &LayoutPlan::bound_step_ns);
  std::vector<std::string> nearest;
  for (const LayoutPlan* plan : passed) {
    if (nearest.size() == k_shown) break;
    nearest.push_back(fmt::format("{} {}", to_text(plan->layout), format_ns(plan->bound_step_ns)));
  }
  fmt::print("  {} {}; nearest (--json: all): {}\n", passed.size(),
             cancelled ? "not searched" : "more take longer, whatever their plan",
             fmt::join(nearest, ", "));
}

void print_layouts(const RankSearchResult& result, const RankPlanOptions& options) {
  fmt::print("  Ways to spread the step, in {} per rank:\n",
             format_bytes(options.request.budget_bytes));
  Table table({"layout", ">fits in", ">step", ">decisions", ""});
  std::map<std::string, std::vector<std::string>> refused;  // layouts by reason
  std::vector<const LayoutPlan*> passed;
  for (std::size_t i = 0; i < result.layouts.size(); ++i) {
    const LayoutPlan& plan = result.layouts[i];
    const std::string name = to_text(plan.layout);
    const bool chosen = static_cast<std::ptrdiff_t>(i) == result.best;
    if (!plan.refused.empty()) {
      refused[plan.refused].push_back(name);
    } else if (plan.feasible) {
      table.add({name, format_bytes(plan.height_bytes), format_ns(plan.step_ns),
                 std::to_string(plan.decisions), chosen ? "chosen" : ""});
    } else if (plan.searched) {
      const bool some = plan.height_bytes > 0;
      table.add({name, "no plan", "", "",
                 (some ? "smallest found " : "none in less than ") +
                     format_bytes(some ? plan.height_bytes : plan.bound_bytes)});
    } else {
      passed.push_back(&plan);
    }
  }
  fmt::print("{}", table.text());
  print_passed(std::move(passed), result.cancelled);
  for (const auto& [why, names] : refused) {
    fmt::print("  {}: not possible: {}\n", fmt::join(names, "; "), why);
  }
  fmt::print("\n");
}

int search_and_write(const Trace& source, const RankPlanOptions& options) {
  RankSearchResult result = search_layouts(
      source, layouts_from(options.words, true, experts_of(source)), options.request);
  if (options.shows_progress) fmt::print(stderr, "\r{:78}\r", "");
  const bool found = result.best >= 0;
  for (Trace& rank : result.planned) rank.meta.source = options.file;
  if (found) write(result.planned, options.output);
  if (options.json) {
    Json j = found ? ranks_json(result.planned) : Json{{"feasible", false}};
    j["budget_bytes"] = options.request.budget_bytes;
    j["cancelled"] = result.cancelled;
    if (found) {
      j["layout"] = to_text(result.layouts[static_cast<std::size_t>(result.best)].layout);
    }
    for (const LayoutPlan& plan : result.layouts) j["layouts"].push_back(layout_json(plan));
    fmt::print("{}\n", j.dump(2));
  } else {
    print_layouts(result, options);
    if (result.cancelled && found) fmt::print("  Cancelled: this is the best plan so far.\n");
    if (found) print_ranks(result.planned, options);
  }
  if (result.cancelled) return k_exit_cancelled;
  return found ? k_exit_done : k_exit_not_possible;
}

}  // namespace

int plan_ranks(const Trace& source, const RankPlanOptions& options) {
  if (options.has_budget) return search_and_write(source, options);
  const RankWords& words = options.words;
  std::string name = words.shard;
  std::vector<Trace> ranks;
  if (words.layout.empty() && words.shard == to_string(ShardStage::none)) {
    ranks = shard_placed(source, ShardStage::none, words.ranks);
  } else {
    const RankLayout layout = layouts_from(words, false, 0).front();
    name = to_text(layout);
    ranks = layout_placed(source, layout);
  }
  for (Trace& rank : ranks) rank.meta.source = options.file;
  write(ranks, options.output);
  if (options.json) {
    Json j = ranks_json(ranks);
    j["layout"] = name;
    fmt::print("{}\n", j.dump(2));
  } else {
    print_ranks(ranks, options);
  }
  return k_exit_done;
}

}  // namespace tidemark
