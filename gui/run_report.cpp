#include "gui/run_report.h"

#include <fmt/format.h>

#include "gui/labels.h"
#include "sim/units.h"

namespace tidemark {
namespace {

constexpr std::size_t k_most_decisions = 200;

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// Names and figures are not broken into lines.
std::string unbroken(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == ' ' ? "&nbsp;" : std::string(1, c);
  return out;
}

std::string row(const std::string& name, const std::string& value) {
  return fmt::format("<tr><td>{}&nbsp;&nbsp;</td><td align=right>{}</td></tr>", unbroken(name),
                     unbroken(value));
}

std::string health_text(const Health& health) {
  std::string text;
  const auto count = [&text](std::int64_t n, const char* what) {
    if (n != 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", n, what);
  };
  count(health.dropped_events, "events dropped");
  count(health.unmatched_frees, "unmatched frees");
  count(health.damaged_blocks, "damaged blocks");
  count(health.skipped_blocks, "unknown blocks");
  count(health.truncated_bytes, "bytes cut off");
  if (!health.complete) text += text.empty() ? "not closed in order" : ", not closed in order";
  return text.empty() ? "complete" : text;
}

std::string facts(const Run& run) {
  const Trace& trace = run.trace();
  const Timeline& timeline = run.timeline();
  std::string html = fmt::format("<h3>{}</h3><table>",
                                 escaped(trace.meta.title.empty() ? run.file() : trace.meta.title));
  html += row("kind", fmt::format("{}, level {}", to_string(trace.meta.kind), trace.meta.level));
  if (!trace.meta.backend.empty()) html += row("backend", escaped(trace.meta.backend));
  if (!trace.meta.device.empty()) html += row("device", escaped(trace.meta.device));
  html += row("health", health_text(trace.health));
  html += row("peak of a step", fmt::format("<b>{}</b>", format_bytes(timeline.peak.bytes)));
  if (timeline.run_peak.bytes != timeline.peak.bytes) {
    html += row("peak of the run", format_bytes(timeline.run_peak.bytes));
  }
  html += row("steps", fmt::format("{}", timeline.step_begin_ns.size()));
  html += row("step time", format_ns(timeline.step_ns));
  html += row("allocations and frees", fmt::format("{}", timeline.changes.size()));
  return html + "</table>";
}

std::string peak_by_category(const Peak& peak) {
  std::string html = "<h4>At the peak</h4><table>";
  for (std::size_t c = 0; c < k_category_count; ++c) {
    const std::int64_t bytes = peak.by_category[c];
    if (bytes == 0) continue;
    const double share = 100.0 * static_cast<double>(bytes) / static_cast<double>(peak.bytes);
    html += fmt::format(
        "<tr><td>{}&nbsp;&nbsp;</td><td align=right>{}</td><td align=right>&nbsp;&nbsp;{:.1f} "
        "%</td>"
        "</tr>",
        to_string(static_cast<Category>(c)), format_bytes(bytes), share);
  }
  return html + "</table>";
}

/// "12.3 ms (+8.1 %)" against `whole_ns`, when both are known.
std::string time_against(std::int64_t ns, std::int64_t whole_ns) {
  if (whole_ns <= 0) return format_ns(ns);
  return fmt::format("{} ({})", format_ns(ns),
                     format_change(static_cast<double>(ns), static_cast<double>(whole_ns)));
}

std::string plan_facts(const PlanRecord& plan) {
  std::string html = "<h4>Plan</h4><table>";
  if (!plan.method.empty()) html += row("method", escaped(plan.method));
  const auto bytes = [&html](const char* name, std::int64_t value) {
    if (value >= 0) html += row(name, format_bytes(value));
  };
  bytes("budget", plan.budget_bytes);
  bytes("height of the placement", plan.height_bytes);
  bytes("live peak", plan.peak_bytes);
  bytes("no plan fits below", plan.bound_budget_bytes);
  if (plan.step_ns >= 0) {
    html += row("step, predicted", time_against(plan.step_ns, plan.keep_all_step_ns));
  }
  if (plan.bound_step_ns >= 0) {
    html += row("no plan is faster than", time_against(plan.bound_step_ns, plan.keep_all_step_ns));
  }
  return html + "</table>";
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

std::string plan_of(const Trace& trace) {
  const bool has_plan = trace.plan != PlanRecord{};
  return (has_plan ? plan_facts(trace.plan) : std::string{}) + decisions(trace);
}

}  // namespace

std::string run_report_html(const ViewState& state) {
  if (!state.run) return "<p>No run is open.</p>";
  std::string html = "<table cellspacing=0><tr><td valign=top>";
  html += facts(*state.run);
  if (state.budget_bytes >= 0) {
    const std::int64_t free_bytes = state.budget_bytes - state.run->timeline().peak.bytes;
    html += fmt::format("<p>Budget {}: {} {}.</p>", format_bytes(state.budget_bytes),
                        free_bytes < 0 ? "over by" : "fits, free",
                        format_bytes(free_bytes < 0 ? -free_bytes : free_bytes));
  }
  html += plan_of(state.run->trace()) + peak_by_category(state.run->timeline().peak);
  // Side by side, so that the same figures stand in the same line.
  for (const RunPtr& other : state.others) {
    html += "</td><td width=24>&nbsp;</td><td valign=top>" + facts(*other);
    html += plan_of(other->trace()) + peak_by_category(other->timeline().peak);
  }
  return html + "</td></tr></table>";
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
