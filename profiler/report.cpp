#include "profiler/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "sim/bound.h"
#include "sim/units.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

Space device_space(const Trace& trace) {
  return {SpaceKind::device, trace.meta.rank};
}

/// Categories that hold something, most bytes first, ties in the order of the enumeration.
std::vector<Category> used_categories(const CategoryBytes& bytes) {
  std::vector<Category> used;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != 0) used.push_back(static_cast<Category>(i));
  }
  std::stable_sort(used.begin(), used.end(), [&bytes](Category a, Category b) {
    return bytes[static_cast<std::size_t>(a)] > bytes[static_cast<std::size_t>(b)];
  });
  return used;
}

std::int64_t bytes_of(const CategoryBytes& bytes, Category category) {
  return bytes[static_cast<std::size_t>(category)];
}

std::string category_table(const CategoryBytes& bytes, std::int64_t total) {
  std::string out;
  for (const Category category : used_categories(bytes)) {
    const double share =
        100.0 * static_cast<double>(bytes_of(bytes, category)) / static_cast<double>(total);
    out += fmt::format("  {:<22}{:>12}{:>8.1f} %\n", to_string(category),
                       format_bytes(bytes_of(bytes, category)), share);
  }
  return out;
}

Json category_json(const CategoryBytes& bytes) {
  Json out = Json::object();
  for (const Category category : used_categories(bytes)) {
    out[std::string(to_string(category))] = bytes_of(bytes, category);
  }
  return out;
}

std::string plan_name(const std::string& output) {
  const bool plain = output.ends_with(".tmk");
  return (plain ? output.substr(0, output.size() - 4) : output) + ".plan.tmk";
}

/// `wish_bytes`, or the least that a plan of this program may fit in when that is more.
std::int64_t possible_budget(const Trace& trace, std::int64_t wish_bytes) {
  if (trace.program.body.empty()) return wish_bytes;
  return std::max(wish_bytes, round_up(budget_bound(trace).bound_bytes, k_granule_bytes));
}

/// A round figure below the peak, for the command to try next.
std::int64_t budget_to_try(std::int64_t peak_bytes) {
  constexpr std::int64_t k_mib = std::int64_t{1} << 20;
  const std::int64_t wish = peak_bytes / 10 * 6;
  return wish > 4 * k_mib ? wish / k_mib * k_mib : round_up(wish, k_granule_bytes);
}

/// Keys and values are kept, not activations: there is nothing to recompute.
bool infers(const Trace& trace) {
  return std::any_of(trace.buffers.begin(), trace.buffers.end(),
                     [](const Buffer& b) { return b.category == Category::kv_cache; });
}

/// As in a string of C.
std::string escaped(const std::vector<std::int32_t>& bytes) {
  std::string out;
  for (const std::int32_t byte : bytes) {
    const auto c = static_cast<char>(byte);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte >= ' ' && byte <= '~') {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", byte & 0xFF);
    }
  }
  return out;
}

}  // namespace

std::string generated_text(const Generated& g) {
  if (g.tokens.empty()) return {};
  constexpr std::size_t k_shown = 8;
  std::string out = fmt::format("generated              {} tokens for each of {} sequences\n",
                                g.tokens[0].size(), g.tokens.size());
  for (std::size_t i = 0; i < std::min(k_shown, g.tokens.size()); ++i) {
    out += g.is_text ? fmt::format("  \"{}\"\n", escaped(g.tokens[i]))
                     : fmt::format("  {}\n", fmt::join(g.tokens[i], " "));
  }
  if (g.tokens.size() > k_shown) {
    out += fmt::format("  [{} others: --json has all]\n", g.tokens.size() - k_shown);
  }
  return out;
}

std::string exact_size(std::int64_t bytes) {
  for (const auto& [unit, shift] : {std::pair{"GiB", 30}, {"MiB", 20}, {"KiB", 10}}) {
    const std::int64_t size = std::int64_t{1} << shift;
    if (bytes >= size && bytes % size == 0) return fmt::format("{}{}", bytes / size, unit);
  }
  return std::to_string(bytes);
}

RunSummary summarise(const Trace& trace) {
  RunSummary s;
  const Timeline timeline = recorded_timeline(trace, device_space(trace));
  s.peak_bytes = timeline.peak.bytes;
  s.by_category = timeline.peak.by_category;
  s.eval_peak_bytes = timeline.eval_peak.bytes;
  for (const StepRecord& step : trace.steps) {
    if (step.has_eval_loss) s.eval_losses.push_back(step.eval_loss);
  }
  for (const ArenaRecord& arena : trace.arenas) {
    if (arena.space != device_space(trace)) continue;
    s.high_water_bytes = arena.high_water_bytes;
    s.capacity_bytes = arena.capacity_bytes;
  }
  s.steps = static_cast<std::int64_t>(trace.steps.size());
  if (trace.steps.empty()) return s;
  std::vector<std::int64_t> times;
  for (std::size_t i = trace.steps.size() > 1 ? 1 : 0; i < trace.steps.size(); ++i) {
    times.push_back(trace.steps[i].wall_ns);
  }
  std::sort(times.begin(), times.end());
  s.step_ns = times[times.size() / 2];
  s.has_loss = trace.steps.front().has_loss;
  s.first_loss = trace.steps.front().loss;
  s.last_loss = trace.steps.back().loss;
  return s;
}

std::string summary_text(const Trace& trace, const std::string& output) {
  const RunSummary s = summarise(trace);
  std::string out = fmt::format("\npeak of one step       {:>12}\n", format_bytes(s.peak_bytes));
  if (s.peak_bytes > 0) out += category_table(s.by_category, s.peak_bytes);
  out += fmt::format("arena high water       {:>12} of {}, allocator {}\n",
                     format_bytes(s.high_water_bytes), format_bytes(s.capacity_bytes),
                     trace.meta.allocator);
  out += fmt::format("step time              {:>12} ({}, {} steps)\n", format_ns(s.step_ns),
                     trace.meta.backend == "dry" ? "modelled" : "measured", s.steps);
  if (s.has_loss) {
    out += fmt::format("loss                       {:.6f} -> {:.6f}\n", s.first_loss, s.last_loss);
  }
  if (s.eval_peak_bytes > 0) {
    out += fmt::format("peak of an evaluation  {:>12}\n", format_bytes(s.eval_peak_bytes));
  }
  if (!s.eval_losses.empty()) {
    out += fmt::format("eval loss                  {:.6f} -> {:.6f}\n", s.eval_losses.front(),
                       s.eval_losses.back());
  }
  out += fmt::format("written to {}\n", output);
  if (trace.meta.kind == TraceKind::measured && !trace.meta.source.empty()) {
    return out + fmt::format("next: tidemark diff {} {}\n", trace.meta.source, output);
  }
  if (infers(trace)) return out + fmt::format("next: tidemark show {}\n", output);
  return out + fmt::format("next: tidemark plan {} --budget {} -o {}\n", output,
                           exact_size(possible_budget(trace, budget_to_try(s.peak_bytes))),
                           plan_name(output));
}

std::string summary_json(const Trace& trace, const std::string& output,
                         const Generated& generated) {
  const RunSummary s = summarise(trace);
  Json losses = Json::array();
  for (const StepRecord& step : trace.steps) {
    if (step.has_loss) losses.push_back(step.loss);
  }
  Json arenas = Json::array();
  for (const ArenaRecord& arena : trace.arenas) {
    arenas.push_back({{"space", to_string(arena.space.kind)},
                      {"rank", arena.space.rank},
                      {"capacity_bytes", arena.capacity_bytes},
                      {"high_water_bytes", arena.high_water_bytes},
                      {"peak_live_bytes", arena.peak_live_bytes}});
  }
  Json json{{"output", output},
            {"title", trace.meta.title},
            {"backend", trace.meta.backend},
            {"allocator", trace.meta.allocator},
            {"peak_bytes", s.peak_bytes},
            {"by_category", category_json(s.by_category)},
            {"high_water_bytes", s.high_water_bytes},
            {"step_ns", s.step_ns},
            {"steps", s.steps},
            {"losses", losses},
            {"arenas", arenas}};
  if (s.eval_peak_bytes > 0) {
    json["eval_peak_bytes"] = s.eval_peak_bytes;
    json["eval_losses"] = s.eval_losses;
  }
  if (!generated.tokens.empty()) json["tokens"] = generated.tokens;
  for (const std::vector<std::int32_t>& tokens : generated.tokens) {
    if (generated.is_text) json["texts"].push_back(escaped(tokens));
  }
  return json.dump(2) + "\n";
}

std::string shortage_text(const Trace& trace, const MemoryShortage& s, const std::string& output) {
  std::string asked = format_bytes(s.request_bytes);
  if (s.buffer.valid()) {
    const Buffer& buffer = trace[s.buffer];
    asked += fmt::format(" for '{}', layer {}, {}", buffer.name,
                         buffer.layer.valid() ? trace[buffer.layer].name : "none",
                         to_string(buffer.category));
  }
  std::string out = fmt::format("out of {} memory\n  asked for     {}\n",
                                s.space.kind == SpaceKind::device ? "device" : "host", asked);
  const std::int64_t slack_bytes = bytes_of(s.live_by_category, Category::allocator_slack);
  out += fmt::format("  capacity      {}\n  live          {}\n", format_bytes(s.capacity_bytes),
                     format_bytes(s.live_bytes - slack_bytes));
  if (slack_bytes > 0) {
    out += fmt::format("  slack         {}  set aside by the allocator, holds nothing\n",
                       format_bytes(slack_bytes));
  }
  out += fmt::format("  largest hole  {}{}\n", format_bytes(s.largest_hole_bytes),
                     trace.meta.kind == TraceKind::measured
                         ? "  of no use to a plan, whose addresses are fixed"
                         : "");
  if (s.live_bytes > 0) {
    out += "set aside, by category\n" + category_table(s.live_by_category, s.live_bytes);
  }
  out += fmt::format("what was recorded is in {}\n", output);
  if (s.space.kind != SpaceKind::device) {
    return out + "next: give it more with --host-memory SIZE\n";
  }
  if (trace.meta.kind == TraceKind::measured) {
    return out + fmt::format("next: give it --device-memory {} or more\n",
                             exact_size(std::max(trace.plan.height_bytes, s.capacity_bytes + 1)));
  }
  return out + fmt::format("next: tidemark plan {} --budget {} -o {}\n", output,
                           exact_size(possible_budget(trace, s.capacity_bytes)), plan_name(output));
}

std::string shortage_json(const Trace& trace, const MemoryShortage& s, const std::string& output) {
  const std::int64_t slack_bytes = bytes_of(s.live_by_category, Category::allocator_slack);
  const Json json{{"output", output},
                  {"out_of_memory",
                   {{"space", to_string(s.space.kind)},
                    {"buffer", s.buffer.valid() ? trace[s.buffer].name : ""},
                    {"request_bytes", s.request_bytes},
                    {"capacity_bytes", s.capacity_bytes},
                    {"live_bytes", s.live_bytes - slack_bytes},
                    {"slack_bytes", slack_bytes},
                    {"largest_hole_bytes", s.largest_hole_bytes},
                    {"live_by_category", category_json(s.live_by_category)}}}};
  return json.dump(2) + "\n";
}

}  // namespace tidemark
