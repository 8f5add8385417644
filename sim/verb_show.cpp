// `tidemark show`: where the memory goes, and who holds the peak.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sim/breakdown.h"
#include "sim/compare.h"
#include "sim/exit_code.h"
#include "sim/html.h"
#include "sim/run_state.h"
#include "sim/table.h"
#include "sim/units.h"
#include "sim/verbs.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

struct ShowOptions {
  std::vector<std::string> files;
  std::string by = "category";
  std::string at = "peak";
  std::string html;
  int rows = 12;
  bool json = false;
  bool table = false;
};

std::vector<GroupBy> groups_of(const std::string& text) {
  std::vector<GroupBy> out;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    const auto group = parse_enum<GroupBy>(name);
    if (!group) {
      throw InputError(InputError::Parts{
          .place = "--by",
          .expected = fmt::format("names out of {}", fmt::join(EnumNames<GroupBy>::k_names, ", ")),
          .found = "'" + name + "'"});
    }
    out.push_back(*group);
    begin = end + 1;
  }
  return out;
}

Json categories_json(const CategoryBytes& bytes) {
  Json j = Json::object();
  for (std::size_t i = 0; i < k_category_count; ++i) {
    j[std::string(to_string(static_cast<Category>(i)))] = bytes[i];
  }
  return j;
}

Json show_json(const Trace& trace, const Timeline& timeline, const ShowOptions& options,
               std::int64_t change) {
  const RunFigures f = figures_of(trace);
  Json j{{"title", trace.meta.title},
         {"kind", to_string(trace.meta.kind)},
         {"level", trace.meta.level},
         {"backend", trace.meta.backend},
         {"peak_bytes", nullptr},
         {"peak_ns", timeline.peak.time_ns},
         {"run_peak_bytes", timeline.run_peak.bytes},
         {"reserved_bytes", f.reserved_bytes},
         {"host_peak_bytes", f.host_peak_bytes},
         {"step_ns", f.step_ns},
         {"time_source", to_string(f.step_source)},
         {"leaf_layer_bytes", leaf_bytes(trace, timeline.peak)},
         {"by_category", categories_json(timeline.peak.by_category)},
         {"events", trace.events.size()},
         {"complete", is_whole(trace.health)},
         {"out_of_memory", ending_shortage(trace) != nullptr},
         {"cancelled", was_cancelled(trace)}};
  if (timeline.eval_peak.change >= 0) {
    j["eval_peak_bytes"] = timeline.eval_peak.bytes;
    j["eval_every"] = trace.meta.eval_every;
    j["eval_losses"] = Json::array();
    for (const StepRecord& s : trace.steps) {
      if (s.has_eval_loss) j["eval_losses"].push_back({{"step", s.step}, {"loss", s.eval_loss}});
    }
  }
  if (const CacheFigures cache = cache_figures(trace); cache.bytes > 0) {
    j["cache_bytes"] = cache.bytes;
    j["cache_bytes_per_token"] = cache.bytes_per_token;
  }
  if (f.has_peak) j["peak_bytes"] = timeline.peak.bytes;
  if (f.steps > 0) j["steps"] = f.steps;
  if (f.has_loss) {
    j["first_loss"] = f.first_loss;
    j["last_loss"] = f.last_loss;
  }
  j["groups"] = Json::array();
  for (const Holding& h : breakdown(trace, timeline, change, groups_of(options.by))) {
    j["groups"].push_back({{"keys", h.keys}, {"bytes", h.bytes}, {"buffers", h.buffers}});
  }
  return j;
}

std::string op_at(const Trace& trace, const Timeline& timeline, std::int64_t change) {
  const OpId op = timeline.changes[static_cast<std::size_t>(change)].op;
  return op.valid() ? ", for '" + trace[op].name + "'" : "";
}

void print_eval_loss(const Trace& trace) {
  const StepRecord* last = nullptr;
  std::size_t count = 0;
  for (const StepRecord& s : trace.steps) {
    if (!s.has_eval_loss) continue;
    last = &s;
    ++count;
  }
  if (last == nullptr) return;
  fmt::print("  eval loss {:.4f} after step {}, {} evaluations\n", last->eval_loss, last->step,
             count);
}

void print_figures(const Trace& trace, const Timeline& timeline) {
  const RunFigures f = figures_of(trace);
  const std::string scope = peak_scope(trace, timeline);
  if (f.has_peak) {
    fmt::print("\n  peak      {}  {}\n", format_bytes(timeline.peak.bytes), scope);
    fmt::print("            at {}{}\n", format_ns(timeline.peak.time_ns),
               op_at(trace, timeline, timeline.peak.change));
    fmt::print("  run peak  {}  with init\n", format_bytes(timeline.run_peak.bytes));
  } else {
    fmt::print("\n  peak      {}: no allocation is left of the recording\n", scope);
  }
  if (timeline.eval_peak.change >= 0) {
    fmt::print("  eval peak {}  of an evaluation, after every {} steps\n",
               format_bytes(timeline.eval_peak.bytes), trace.meta.eval_every);
  }
  if (const CacheFigures cache = cache_figures(trace); cache.bytes > 0) {
    fmt::print("  cache     {}, {} per token of a sequence\n", format_bytes(cache.bytes),
               format_bytes(cache.bytes_per_token));
  }
  if (f.reserved_bytes > 0)
    fmt::print("  reserved  {}  of the device\n", format_bytes(f.reserved_bytes));
  if (f.host_peak_bytes > 0) fmt::print("  host      {}\n", format_bytes(f.host_peak_bytes));
  if (f.step_ns > 0) fmt::print("  step      {}  {}\n", format_ns(f.step_ns), step_origin(f));
  if (const std::string load = load_warning(f); !load.empty()) fmt::print("  note      {}\n", load);
  if (f.has_loss) {
    fmt::print("  loss      {:.4f} -> {:.4f} in {} steps{}\n", f.first_loss, f.last_loss, f.steps,
               trace.meta.kind == TraceKind::planned ? " (expected)" : "");
    print_eval_loss(trace);
  }
}

std::string percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? ""
                    : fmt::format("{:.1f} %",
                                  100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

void print_groups(const std::vector<Holding>& groups, const std::string& by, int rows) {
  std::int64_t total = 0;
  for (const Holding& h : groups) total += h.bytes;
  Table table({by, ">bytes", ">share", ">buffers"});
  std::int64_t shown = 0;
  for (const Holding& h : groups) {
    if (shown++ == rows) break;
    table.add({fmt::format("{}", fmt::join(h.keys, "  ")), format_bytes(h.bytes),
               percent(h.bytes, total), std::to_string(h.buffers)});
  }
  std::int64_t rest = 0;
  for (std::size_t i = static_cast<std::size_t>(rows); i < groups.size(); ++i)
    rest += groups[i].bytes;
  if (rest > 0) {
    table.add({fmt::format("[{} others]", groups.size() - static_cast<std::size_t>(rows)),
               format_bytes(rest), percent(rest, total), ""});
  }
  table.add({"total", format_bytes(total), "", ""});
  fmt::print("{}", table.text());
}

void print_plan_record(const Trace& trace) {
  const PlanRecord& p = trace.plan;
  if (p.method.empty()) return;
  const auto known = [](std::int64_t figure, const std::string& words) {
    return figure < 0 ? std::string() : words;
  };
  fmt::print("\n  plan      {}: {}fits in {}, {} decisions\n", p.method,
             known(p.budget_bytes, fmt::format("budget {}, ", format_bytes(p.budget_bytes))),
             format_bytes(p.height_bytes), trace.decisions.size());
  fmt::print("            step {} ({} of keep-all {}){}\n", format_ns(p.step_ns),
             format_change(static_cast<double>(p.step_ns), static_cast<double>(p.keep_all_step_ns)),
             format_ns(p.keep_all_step_ns),
             known(p.bound_step_ns, fmt::format(", no plan in this budget is below {}",
                                                format_ns(p.bound_step_ns))));
}

/// Everything is asked for before the first line is printed, so that a bad flag prints nothing.
void show_text(const Trace& trace, const Timeline& timeline, const ShowOptions& options,
               std::int64_t change) {
  const std::vector<Holding> groups = breakdown(trace, timeline, change, groups_of(options.by));
  fmt::print("{}\n{}\n", trace.meta.title.empty() ? options.files[0] : trace.meta.title,
             state_line(trace));
  print_figures(trace, timeline);
  print_plan_record(trace);
  if (timeline.changes.empty()) return;
  fmt::print("\n  Live {}:\n", options.at == "peak" ? "at the peak" : "at " + options.at);
  print_groups(groups, options.by, options.rows);
  if (options.at != "peak") return;
  fmt::print("\n  Largest at the peak:\n");
  print_groups(breakdown(trace, timeline, change, {GroupBy::buffer}), "buffer", 6);
  fmt::print("\n  {} of the bytes at the peak belong to a leaf layer.\n",
             percent(leaf_bytes(trace, timeline.peak), timeline.peak.bytes));
}

/// One row per run: the four big categories at the peak and their ratio to the weights.
void show_rows(const ShowOptions& options) {
  Table table({"run", ">weight", ">gradient", ">activation", ">optimizer", ">peak",
               ">activation : weight", ">from"});
  for (const std::string& file : options.files) {
    const Trace trace = read_single(file);
    const Timeline t = timeline_of(trace);
    const auto bytes = [&t](Category c) { return t.peak.by_category[static_cast<std::size_t>(c)]; };
    // Gradients and activations are largest at different instants: take each at its own maximum.
    const std::int64_t gradient = highest_bytes(trace, t, {Category::gradient});
    const std::int64_t activation =
        highest_bytes(trace, t, {Category::activation, Category::recomputed_activation});
    const std::int64_t weight = bytes(Category::weight);
    table.add(
        {trace.meta.title, format_bytes(weight), format_bytes(gradient), format_bytes(activation),
         format_bytes(bytes(Category::optimizer_state)), format_bytes(t.peak.bytes),
         weight == 0 ? "n/a"
                     : fmt::format("{:.2f} : 1",
                                   static_cast<double>(activation) / static_cast<double>(weight)),
         trace.meta.kind == TraceKind::dry ? "dry run" : std::string(to_string(trace.meta.kind))});
  }
  fmt::print(
      "{}\n  Gradient and activation are each at their own maximum: a row need not add up.\n",
      table.text());
}

std::int64_t change_of(const Timeline& timeline, const std::string& at) {
  if (at == "peak") return timeline.peak.change;
  const std::int64_t time_ns = parse_time_ns(at, "--at");
  if (time_ns > timeline.end_ns) {
    throw InputError(InputError::Parts{
        .place = "--at",
        .expected = "an instant of the run, which ends at " + format_ns(timeline.end_ns),
        .found = at});
  }
  return change_at(timeline, time_ns);
}

void show(const ShowOptions& options) {
  if (options.table) return show_rows(options);
  if (options.files.size() > 1) {
    throw InputError(InputError::Parts{.place = "show",
                                       .expected = "one trace, or --table for several",
                                       .found = fmt::format("{}", options.files.size())});
  }
  const std::vector<Trace> ranks = read_ranks(options.files[0]);
  if (!options.html.empty()) {
    require_other_file(options.html, options.files);
    if (ranks.size() > 1) {
      throw InputError(InputError::Parts{
          .place = "--html", .expected = "the trace of one rank", .found = "an index of several"});
    }
  }
  Json all = Json::array();
  for (const Trace& trace : ranks) {
    const Timeline timeline = timeline_of(trace, {SpaceKind::device, trace.meta.rank});
    const std::int64_t change = change_of(timeline, options.at);
    if (!options.html.empty()) write_file(options.html, html_page(trace));
    if (options.json) {
      all.push_back(show_json(trace, timeline, options, change));
    } else {
      if (trace.meta.rank > 0) fmt::print("\n");
      show_text(trace, timeline, options, change);
    }
  }
  if (!options.json) return;
  fmt::print("{}\n", (all.size() == 1 ? all[0] : Json{{"ranks", all}}).dump(2));
}

}  // namespace

void add_show(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* verb = app.add_subcommand("show", "where the memory goes; who holds the peak");
  verb->add_option("trace", options->files, "trace files (.tmk)")->required();
  verb->add_option("--by", options->by, "group by layer, category, phase, buffer (comma-separated)")
      ->capture_default_str();
  verb->add_option("--at", options->at, "instant: peak, or a time such as 12.5ms")
      ->capture_default_str();
  verb->add_option("--rows", options->rows, "most rows per table")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  CLI::Option* html =
      verb->add_option("--html", options->html, "also write a self-contained page of the run");
  CLI::Option* table =
      verb->add_flag("--table", options->table,
                     "one row per run: weights, gradients, activations, optimizer state");
  CLI::Option* json = verb->add_flag("--json", options->json, "figures as one JSON object");
  table->excludes(json)->excludes(html);
  verb->footer("Example: tidemark show run.tmk --by layer,category");
  verb->callback([options, &exit_code] {
    show(*options);
    exit_code = k_exit_done;
  });
}

}  // namespace tidemark
