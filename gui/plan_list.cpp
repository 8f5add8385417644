#include "gui/plan_list.h"

#include <fmt/format.h>

#include <algorithm>

#include "gui/whatif_text.h"
#include "sim/compare.h"
#include "sim/units.h"

namespace tidemark {
namespace {

std::string bytes_text(std::int64_t bytes) {
  return bytes <= 0 ? "" : format_bytes(bytes);
}

std::string against(std::int64_t part, std::int64_t whole) {
  if (part == whole) return "equal";
  return format_change(static_cast<double>(part), static_cast<double>(whole));
}

std::string budget_text(const WhatIfResult& r) {
  if (r.asked.budget_bytes < 0) return "none";
  return fmt::format("{}, {}", format_bytes(r.asked.budget_bytes),
                     r.fits ? "fits" : "DOES NOT FIT");
}

std::string decisions_text(const WhatIfResult& r) {
  const auto& decisions = r.planned->trace().decisions;
  const auto count = [&decisions](DecisionKind kind) {
    return std::ranges::count(decisions, kind, &Decision::kind);
  };
  return fmt::format("{} recompute, {} offload", count(DecisionKind::recompute),
                     count(DecisionKind::offload));
}

std::string changes_text(const WhatIfResult& r) {
  return fmt::format("{}", fmt::join(r.changes, "; "));
}

std::string peak_measured(const ListedPlan& plan) {
  if (!plan.measured) return {};
  const std::int64_t measured = plan.measured->timeline().peak.bytes;
  return fmt::format("{} ({})", format_bytes(measured),
                     against(measured, plan.result->plan().peak_bytes));
}

std::string step_measured(const ListedPlan& plan) {
  if (!plan.measured) return {};
  const std::int64_t measured = median_step_ns(plan.measured->trace());
  return fmt::format("{} ({})", format_ns(measured),
                     against(measured, plan.result->plan().step_ns));
}

}  // namespace

const ListedPlan* PlanList::find(int id) const {
  const auto found = std::ranges::find(plans, id, &ListedPlan::id);
  return found == plans.end() ? nullptr : &*found;
}

ListedPlan* PlanList::find(int id) {
  const auto found = std::ranges::find(plans, id, &ListedPlan::id);
  return found == plans.end() ? nullptr : &*found;
}

int PlanList::add(WhatIfResultPtr result, const std::string& name) {
  const int id = next_id++;
  plans.push_back({.id = id,
                   .name = name.empty() ? fmt::format("Plan {}", id) : name,
                   .result = std::move(result)});
  return id;
}

std::optional<int> PlanList::duplicate(int id) {
  const auto found = std::ranges::find(plans, id, &ListedPlan::id);
  if (found == plans.end()) return std::nullopt;
  ListedPlan copy{.id = next_id++, .name = found->name + " copy", .result = found->result};
  return plans.insert(found + 1, std::move(copy))->id;
}

void PlanList::remove(int id) {
  std::erase_if(plans, [id](const ListedPlan& plan) { return plan.id == id; });
  std::erase(compared, id);
}

void PlanList::rename(int id, const std::string& name) {
  ListedPlan* plan = find(id);
  const std::size_t begin = name.find_first_not_of(" \t\n");
  if (plan == nullptr || begin == std::string::npos) return;
  plan->name = name.substr(begin, name.find_last_not_of(" \t\n") - begin + 1);
}

void PlanList::set_compared(int id, bool wanted) {
  if (find(id) == nullptr || wanted == is_compared(id)) return;
  if (!wanted) {
    std::erase(compared, id);
    return;
  }
  if (compared.size() == k_most_compared) compared.erase(compared.begin());
  compared.push_back(id);
}

bool PlanList::is_compared(int id) const {
  return std::ranges::find(compared, id) != compared.end();
}

std::vector<ComparedFigure> comparison(const PlanList& list) {
  std::vector<ComparedFigure> figures;
  const auto line = [&](const char* name, auto text_of) {
    ComparedFigure figure{.name = name, .texts = {}};
    for (const int id : list.compared) {
      if (const ListedPlan* plan = list.find(id)) figure.texts.push_back(text_of(*plan));
    }
    const bool any =
        std::ranges::any_of(figure.texts, [](const std::string& text) { return !text.empty(); });
    if (any) figures.push_back(std::move(figure));
  };
  using Plan = const ListedPlan&;
  line("name", [](Plan p) { return p.name; });
  line("run", [](Plan p) { return changes_text(*p.result); });
  line("device", [](Plan p) { return p.result->asked.device; });
  line("budget", [](Plan p) { return budget_text(*p.result); });
  line("live peak", [](Plan p) { return format_bytes(p.result->plan().peak_bytes); });
  line("live peak, measured", peak_measured);
  line("needed", [](Plan p) { return format_bytes(p.result->needed_bytes()); });
  line("step", [](Plan p) { return format_ns(p.result->plan().step_ns); });
  line("step, measured", step_measured);
  line("no plan is faster than", [](Plan p) {
    return p.result->bound_step_ns < 0 ? std::string() : format_ns(p.result->bound_step_ns);
  });
  line("samples per second", [](Plan p) { return rate_text(*p.result); });
  line("decisions", [](Plan p) { return decisions_text(*p.result); });
  line("host memory", [](Plan p) { return bytes_text(p.result->host_peak_bytes); });
  line("copied per step", [](Plan p) { return bytes_text(p.result->copied_bytes); });
  return figures;
}

std::string measured_text(const ListedPlan& plan) {
  if (!plan.measured) return {};
  return fmt::format("peak {}, measured {}; step {}, measured {}",
                     format_bytes(plan.result->plan().peak_bytes), peak_measured(plan),
                     format_ns(plan.result->plan().step_ns), step_measured(plan));
}

std::vector<PlanPoint> points_of(const PlanList& list) {
  std::vector<PlanPoint> points;
  for (std::size_t row = 0; row < list.plans.size(); ++row) {
    const WhatIfResult& result = *list.plans[row].result;
    points.push_back({.kind = PlanPoint::Kind::listed,
                      .bytes = result.needed_bytes(),
                      .step_ns = result.plan().step_ns,
                      .name = list.plans[row].name,
                      .row = row});
  }
  return points;
}

}  // namespace tidemark
