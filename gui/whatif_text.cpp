#include "gui/whatif_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "gui/labels.h"
#include "sim/html_text.h"
#include "sim/units.h"

namespace tidemark {
namespace {

std::string change(std::int64_t part, std::int64_t whole) {
  return format_change(static_cast<double>(part), static_cast<double>(whole));
}

class Lines {
 public:
  void add(const std::string& name, const std::string& value) {
    html_ += fmt::format("<tr><td style='white-space:nowrap'>{}&nbsp;&nbsp;</td><td>{}</td></tr>",
                         name, value);
  }
  [[nodiscard]] std::string html() const { return "<table>" + html_ + "</table>"; }

 private:
  std::string html_;
};

std::string verdict(const WhatIfResult& r) {
  const std::int64_t budget = r.asked.budget_bytes;
  const std::string needs = fmt::format("needs {}", format_bytes(r.needed_bytes()));
  if (budget < 0) return fmt::format("No budget: {}", needs);
  if (r.fits) {
    return fmt::format("Fits: {} of {}, {} free", needs, format_bytes(budget),
                       format_bytes(budget - r.needed_bytes()));
  }
  const char* what = budget < r.bound.bound_bytes ? "Cannot fit" : "Does not fit";
  return fmt::format("{}: {}, short by {}", what, needs, format_bytes(r.needed_bytes() - budget));
}

/// Why nothing fits: the op that is in the way and the largest of what it needs.
std::string obstacle(const WhatIfResult& r) {
  if (r.fits || r.asked.budget_bytes < 0) return {};
  const Trace& trace = r.planned->trace();
  const std::string proof =
      fmt::format("No plan of this run fits in less than {}", format_bytes(r.bound.bound_bytes));
  if (!r.bound.binding_op.valid()) return proof + ".";
  std::string text =
      fmt::format("{}: while <i>{}</i> runs,", proof, escaped(trace[r.bound.binding_op].name));
  const std::size_t most = 3;
  for (std::size_t i = 0; i < std::min(most, r.bound.binding_buffers.size()); ++i) {
    const Buffer& buffer = trace[r.bound.binding_buffers[i]];
    text += fmt::format("{} {} ({})", i == 0 ? "" : ",", escaped(buffer.name),
                        format_bytes(counted_bytes(buffer)));
  }
  if (r.bound.binding_buffers.size() > most) {
    text += fmt::format(" and {} more", r.bound.binding_buffers.size() - most);
  }
  return text + " must be on the device.";
}

std::string gap_text(const WhatIfResult& r) {
  if (r.bound_step_ns < 0) return r.refined ? "no bound is known" : "the search is not done yet";
  const std::int64_t step_ns = r.plan().step_ns;
  if (step_ns <= r.bound_step_ns) return "optimal: no plan in this budget is faster";
  return fmt::format("no plan in this budget is faster than {}: at most {} above the optimum",
                     format_ns(r.bound_step_ns), change(step_ns, r.bound_step_ns));
}

std::string how_text(const WhatIfResult& r) {
  if (!r.refined) return "quick plan, by one walk";
  return fmt::format("{}{}", escaped(r.plan().method),
                     r.reproducible ? "" : ", cut short: not reproducible");
}

/// "861.5 KiB weight, 64.0 KiB gradient, …": what a rank has at its peak, the most first.
std::string at_peak_text(const WhatIfResult& r) {
  const CategoryBytes& bytes = r.planned->timeline().peak.by_category;
  std::vector<Category> used;
  for (std::size_t c = 0; c < bytes.size(); ++c) {
    if (bytes[c] > 0) used.push_back(static_cast<Category>(c));
  }
  const auto of = [&bytes](Category c) { return bytes[static_cast<std::size_t>(c)]; };
  std::ranges::stable_sort(used, std::ranges::greater(), of);
  std::string text;
  for (const Category c : used) {
    text += fmt::format("{}{}&nbsp;{}", text.empty() ? "" : ", ", spoken(to_string(c)),
                        format_bytes(of(c)));
  }
  return text;
}

std::int64_t count_of(const WhatIfResult& r, DecisionKind kind) {
  return std::ranges::count(r.planned->trace().decisions, kind, &Decision::kind);
}

std::string decisions_text(const WhatIfResult& r) {
  return fmt::format("{} recompute, {} offload", count_of(r, DecisionKind::recompute),
                     count_of(r, DecisionKind::offload));
}

}  // namespace

std::string rate_text(const WhatIfResult& r) {
  const double rate = r.samples_per_s();
  return rate >= 1000 ? fmt::format("{:.0f}", rate) : fmt::format("{:.4g}", rate);
}

std::string card_html(const WhatIfResult& r) {
  const PlanRecord& plan = r.plan();
  Lines lines;
  lines.add("peak", fmt::format("{} &rarr; <b>{}</b> ({})", format_bytes(r.recorded_peak_bytes),
                                format_bytes(plan.peak_bytes),
                                change(plan.peak_bytes, r.recorded_peak_bytes)));
  lines.add("step",
            fmt::format("<b>{}</b> ({} against keeping everything)", format_ns(plan.step_ns),
                        change(plan.step_ns, plan.keep_all_step_ns)));
  lines.add("bound", gap_text(r));
  lines.add("samples", rate_text(r) + (r.spread ? " per second, by all ranks" : " per second"));
  if (r.spread) lines.add("each rank", at_peak_text(r));
  if (r.reserved_bytes >= 0) lines.add("reserved", format_bytes(r.reserved_bytes));
  if (r.host_peak_bytes > 0) lines.add("host", format_bytes(r.host_peak_bytes));
  if (r.copied_bytes > 0) lines.add("link", format_bytes(r.copied_bytes) + " per step");
  for (const std::string& text : r.changes) lines.add("changed", escaped(text));
  lines.add("plan", fmt::format("{} ({})", decisions_text(r), how_text(r)));
  lines.add("times", escaped(r.timing));
  const std::string why = obstacle(r);
  return fmt::format("<b>{}</b>{}{}", escaped(verdict(r)), lines.html(),
                     why.empty() ? "" : "<p>" + why + "</p>");
}

std::string card_line(const WhatIfResult& r) {
  return fmt::format("{}; peak {}, step {}, {}", verdict(r), format_bytes(r.plan().peak_bytes),
                     format_ns(r.plan().step_ns), decisions_text(r));
}

std::string progress_text(const WhatIfProgress& progress) {
  const SearchProgress& s = progress.search;
  std::string text = progress.total > 0
                         ? fmt::format("{} of {} tried", progress.done, progress.total)
                         : fmt::format("{} tried", progress.done);
  if (s.best_step_ns < 0) return text;
  text += fmt::format(", best {}", format_ns(s.best_step_ns));
  if (s.bound_step_ns < 0) return text;
  return text + fmt::format(", bound {}, gap {}", format_ns(s.bound_step_ns),
                            change(s.best_step_ns, s.bound_step_ns));
}

std::string fit_html(const WhatIf& before, const WhatIf& after, const WhatIfResult& r) {
  std::string html = fmt::format("<b>{}</b><ul>", escaped(verdict(r)));
  if (before.recompute != after.recompute || before.offload != after.offload) {
    html += "<li>recompute and offload were left to the planner</li>";
  }
  if (before.layers != after.layers) html += "<li>layers that had been decided are open</li>";
  for (const std::string& text : r.changes) html += "<li>" + escaped(text) + "</li>";
  const PlanRecord& plan = r.plan();
  if (!r.planned->trace().decisions.empty()) {
    html += fmt::format("<li>{}: {} more time per step; the reasons are in the tab Decisions</li>",
                        decisions_text(r), format_ns(plan.step_ns - plan.keep_all_step_ns));
  } else if (r.changes.empty()) {
    html += "<li>nothing has to be given up</li>";
  }
  html += "</ul>";
  return html + obstacle(r);
}

}  // namespace tidemark
