#include "gui/run_report.h"

#include <fmt/format.h>

#include <utility>

#include "gui/filter.h"
#include "gui/labels.h"
#include "gui/legend.h"
#include "sim/compare.h"
#include "sim/html_text.h"
#include "sim/run_state.h"
#include "sim/units.h"

namespace tidemark {
namespace {

constexpr std::size_t k_most_decisions = 200;

using Runs = std::vector<const Run*>;

/// A line for each figure, a column for each run.
class FigureTable {
 public:
  explicit FigureTable(const Runs& runs) : runs_(runs) {}

  void head(const std::string& text) {
    section_ = fmt::format("<tr><td colspan={}><br><b>{}</b></td></tr>", runs_.size() + 1, text);
  }

  /// `value_of`: what a run has to say; a line without any value is left out.
  template <class ValueOf>
  void line(const std::string& name, ValueOf value_of) {
    std::string cells;
    bool any = false;
    for (const Run* run : runs_) {
      const std::string value = value_of(*run);
      any = any || !value.empty();
      // Names and figures are not broken into lines.
      cells += "<td align=right style='white-space:nowrap'>&nbsp;&nbsp;&nbsp;" + value + "</td>";
    }
    if (!any) return;
    html_ += std::exchange(section_, {}) + "<tr><td style='white-space:nowrap'>" + name + "</td>" +
             cells + "</tr>";
  }

  [[nodiscard]] std::string html() const { return "<table>" + html_ + "</table>"; }

 private:
  const Runs& runs_;
  std::string section_;  // written before its first line
  std::string html_;
};

std::string bytes_or_nothing(std::int64_t bytes) {
  return bytes < 0 ? "" : format_bytes(bytes);
}

std::string peak_text(const Run& run) {
  if (run.timeline().peak.change < 0) return "not known";
  const bool cut_short = ending_shortage(run.trace()) != nullptr;
  return fmt::format("<b>{}</b>{}", format_bytes(run.timeline().peak.bytes),
                     cut_short ? " so far" : "");
}

/// The figure of every report (RunFigures::step_ns): the median of the steps that ran, without the
/// first; the replayed step of a plan.
std::int64_t typical_step_ns(const Run& run) {
  const Trace& trace = run.trace();
  const bool ran = !trace.events.empty() && trace.meta.kind != TraceKind::planned;
  return ran && !trace.steps.empty() ? median_step_ns(trace) : run.timeline().step_ns;
}

void add_facts(FigureTable& table, bool has_steps) {
  table.line("kind", [](const Run& run) { return std::string(to_string(run.trace().meta.kind)); });
  table.line("level", [](const Run& run) { return fmt::format("{}", run.trace().meta.level); });
  table.line("backend", [](const Run& run) { return escaped(run.trace().meta.backend); });
  table.line("device", [](const Run& run) { return escaped(run.trace().meta.device); });
  table.line("state", [](const Run& run) {
    const Trace& trace = run.trace();
    if (ending_shortage(trace) != nullptr) return "OUT OF MEMORY";
    return is_whole(trace.health) ? "complete" : "NOT COMPLETE";
  });
  table.line(has_steps ? "peak of a step" : "peak", peak_text);
  table.line("peak of the run", [](const Run& run) {
    const RunTimeline& timeline = run.timeline();
    const bool same = timeline.run_peak.bytes == timeline.peak.bytes;
    return same ? std::string() : format_bytes(timeline.run_peak.bytes);
  });
  table.line("steps", [](const Run& run) {
    const std::size_t steps = run.timeline().step_begin_ns.size();
    return steps == 0 ? std::string() : fmt::format("{}", steps);
  });
  table.line("step time", [](const Run& run) {
    const std::int64_t ns = typical_step_ns(run);
    return ns <= 0 ? std::string() : format_ns(ns);
  });
  table.line("events", [](const Run& run) {
    const std::int64_t events = run.timeline().event_count;
    return events == 0 ? std::string() : fmt::format("{}", events);
  });
  table.line("allocations and frees",
             [](const Run& run) { return fmt::format("{}", run.timeline().changes.size()); });
}

/// "12.3 ms (+8.1 %)" against `whole_ns`, when both are known.
std::string time_against(std::int64_t ns, std::int64_t whole_ns) {
  if (ns < 0) return {};
  if (whole_ns <= 0) return format_ns(ns);
  return fmt::format("{} ({})", format_ns(ns),
                     format_change(static_cast<double>(ns), static_cast<double>(whole_ns)));
}

void add_plan(FigureTable& table) {
  table.head("Plan");
  const auto line = [&table](const char* name, auto value_of) {
    table.line(name, [&value_of](const Run& run) {
      const PlanRecord& plan = run.trace().plan;
      return plan == PlanRecord{} ? std::string() : value_of(plan);
    });
  };
  using Plan = const PlanRecord&;
  line("method", [](Plan plan) { return escaped(plan.method); });
  line("budget", [](Plan plan) { return bytes_or_nothing(plan.budget_bytes); });
  line("height of the placement", [](Plan plan) { return bytes_or_nothing(plan.height_bytes); });
  line("live peak", [](Plan plan) { return bytes_or_nothing(plan.peak_bytes); });
  line("no plan fits below", [](Plan plan) { return bytes_or_nothing(plan.bound_budget_bytes); });
  line("step, predicted",
       [](Plan plan) { return time_against(plan.step_ns, plan.keep_all_step_ns); });
  line("no plan is faster than",
       [](Plan plan) { return time_against(plan.bound_step_ns, plan.keep_all_step_ns); });
}

void add_peak(FigureTable& table) {
  table.head("At the peak");
  for (std::size_t c = 0; c < k_category_count; ++c) {
    table.line(spoken(to_string(static_cast<Category>(c))), [c](const Run& run) {
      const Peak& peak = run.timeline().peak;
      const std::int64_t bytes = peak.by_category[c];
      if (bytes == 0) return std::string();
      const double share = 100.0 * static_cast<double>(bytes) / static_cast<double>(peak.bytes);
      return fmt::format("{}&nbsp;&nbsp;{:.1f} %", format_bytes(bytes), share);
    });
  }
}

std::string decisions(const Trace& trace) {
  if (trace.decisions.empty()) return {};
  std::string html = fmt::format("<h4>{} decisions</h4><ol>", trace.decisions.size());
  for (std::size_t i = 0; i < trace.decisions.size() && i < k_most_decisions; ++i) {
    const Decision& decision = trace.decisions[i];
    const bool known = decision.buffer.valid() && decision.buffer.index() < trace.buffers.size();
    html += fmt::format("<li>{} {}: {}</li>", to_string(decision.kind),
                        known ? escaped(trace[decision.buffer].name) : "-",
                        decision.reason.empty() ? "no reason given" : escaped(decision.reason));
  }
  html += "</ol>";
  if (trace.decisions.size() > k_most_decisions) {
    html += fmt::format("<p>and {} more</p>", trace.decisions.size() - k_most_decisions);
  }
  return html;
}

std::string title_of(const Run& run) {
  return escaped(run.trace().meta.title.empty() ? run.file() : run.trace().meta.title);
}

std::string warning_of(const ViewState& state, const Run& run) {
  const std::string warning = warning_line(run.trace());
  if (warning.empty()) return {};
  const std::string whose = state.others.empty() ? "" : label_of(state, run) + ": ";
  return fmt::format("<p><b>{}</b></p>", escaped(whose + warning));
}

std::string budget_line(const ViewState& state) {
  if (state.budget_bytes < 0) return {};
  const std::int64_t free_bytes = state.budget_bytes - whole_of(state.run)->timeline().peak.bytes;
  return fmt::format("<p>Budget {}: {} {}.</p>", format_bytes(state.budget_bytes),
                     free_bytes < 0 ? "over by" : "fits, free",
                     format_bytes(free_bytes < 0 ? -free_bytes : free_bytes));
}

}  // namespace

std::string run_report_html(const ViewState& state) {
  if (!state.run) return "<p>No run is open.</p>";
  Runs runs = {whole_of(state.run).get()};  // a filter is about the picture
  for (const Overlay& other : state.others) runs.push_back(whole_of(other.run).get());
  std::string html = fmt::format("<h3>{}</h3>", title_of(*state.run));
  for (const Run* run : runs) html += warning_of(state, *run);
  html += budget_line(state);
  FigureTable table(runs);
  if (runs.size() > 1) {
    table.line("", [&](const Run& run) { return "<b>" + escaped(label_of(state, run)) + "</b>"; });
    table.line("title", [&](const Run& run) {
      const bool same = title_of(run) == title_of(*state.run);
      return same ? std::string() : title_of(run);
    });
  }
  add_facts(table, !state.run->timeline().step_begin_ns.empty());
  add_peak(table);
  add_plan(table);
  html += table.html();
  for (const Run* run : runs) html += decisions(run->trace());
  return html;
}

std::string describe(const ViewState& state, const RangeStatistics& s) {
  const std::string span = state.axis == Axis::time ? format_time_ns(s.range.span())
                                                    : fmt::format("{} events", s.range.span());
  const Instant peak = instant_at(*state.run, s.peak_change, s.range.begin, state.axis);
  const std::int64_t zero_ns = state.one_step ? state.run->steady_step(Axis::time).begin : 0;
  return fmt::format("Range of {}: peak {} at {}, mean {}, least {}, {} allocations ({}), {} frees",
                     span, format_bytes(s.peak_bytes), format_time_ns(peak.time_ns - zero_ns),
                     format_bytes(static_cast<std::int64_t>(s.mean_bytes)),
                     format_bytes(s.min_bytes), s.alloc_count, format_bytes(s.allocated_bytes),
                     s.free_count);
}

}  // namespace tidemark
