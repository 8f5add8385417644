#include "sim/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "sim/strategy_text.h"
#include "sim/units.h"

namespace tidemark {
namespace {

double tokens(const ReportRow& r) {
  return static_cast<double>(r.batch.sequence) * static_cast<double>(r.batch.micro_batch) *
         static_cast<double>(r.batch.micro_batches) * static_cast<double>(r.layout.data);
}

std::optional<double> price_of(const ReportDevice& device, const ReportRow& row) {
  if (!row.step_s || device.site.device.price_per_hour == 0) return std::nullopt;
  const double hours = *row.step_s / 3600 * static_cast<double>(device.ranks);
  return hours * device.site.device.price_per_hour / tokens(row) * 1e6;
}

/// Memory, time, price: less is better; what is not known is equal for all.
std::tuple<double, double, double> cost(const ReportEntry& e) {
  return {e.demand.expected_bytes(), e.row.step_s.value_or(0), e.price.value_or(0)};
}

bool dominates(const ReportEntry& a, const ReportEntry& b) {
  const auto [am, as, ap] = cost(a);
  const auto [bm, bs, bp] = cost(b);
  return a.verdict <= b.verdict && am <= bm && as <= bs && ap <= bp && cost(a) != cost(b);
}

/// Better first: what fits, then what may fit, of these the fastest, then the smallest.
bool better(const ReportEntry& a, const ReportEntry& b) {
  const auto key = [](const ReportEntry& e) {
    const bool large = e.verdict == Verdict::too_large;
    return std::tuple(e.verdict, large ? 0.0 : e.row.step_s.value_or(0), e.demand.expected_bytes());
  };
  return key(a) < key(b);
}

void mark_front(std::vector<ReportEntry>& entries) {
  for (ReportEntry& e : entries) {
    const auto beats = [&e](const ReportEntry& other) {
      return other.part.model == e.part.model && dominates(other, e);
    };
    e.on_front =
        e.verdict != Verdict::too_large && std::none_of(entries.begin(), entries.end(), beats);
  }
}

ReportDetail detail_of(const ReportSpec& spec, const ReportEntry& entry, std::size_t index) {
  const Transformer& model = spec.models[entry.part.model].model;
  const Strategy s = strategy_of(spec, entry.part, entry.row);
  ReportDetail out{.entry = index, .ranks = {}, .changes = {}};
  for (std::int64_t rank = 0; rank < s.layout.pipeline; ++rank) {
    out.ranks.push_back(walk_rank(model, s, rank));
  }
  out.changes = changes_of(model, s, spec.devices[entry.part.device].site);
  return out;
}

/// All parts of one cell together.
void add_part(Report& report, const ReportPart& part, const PartResult& result) {
  const bool same = !report.cells.empty() && report.cells.back().model == part.model &&
                    report.cells.back().device == part.device &&
                    report.cells.back().strategy == part.strategy;
  if (!same) {
    report.cells.push_back({.model = part.model,
                            .device = part.device,
                            .strategy = part.strategy,
                            .best = std::nullopt,
                            .reason = {}});
  }
  ReportCell& cell = report.cells.back();
  cell.visited += result.visited;
  cell.refused += result.refused;
  if (cell.reason.empty()) cell.reason = result.reason;
  const ReportDevice& device = report.spec.devices[part.device];
  for (const ReportRow& row : result.rows) {
    const Strategy s = strategy_of(report.spec, part, row);
    const MemoryDemand demand = demand_of(row.peak.memory.total(), s);
    const auto memory_bytes = static_cast<double>(device.site.device.memory_bytes);
    report.entries.push_back({.part = part,
                              .row = row,
                              .demand = demand,
                              .verdict = verdict_of(demand, device.site),
                              .fits_probability = demand.fits_probability(memory_bytes),
                              .usable_bytes = usable_bytes(device.site, s),
                              .price = price_of(device, row)});
    report.has_times |= row.step_s.has_value();
    const std::size_t index = report.entries.size() - 1;
    if (!cell.best || better(report.entries[index], report.entries[*cell.best])) cell.best = index;
  }
  if (!cell.best) return;
  const Verdict verdict = report.entries[*cell.best].verdict;
  cell.verdict = verdict == Verdict::fits      ? CellVerdict::fits
                 : verdict == Verdict::may_fit ? CellVerdict::may_fit
                                               : CellVerdict::too_large;
  cell.reason.clear();
}

/// The cells of one model and one kind of devices follow each other.
void add_details(Report& report) {
  const std::size_t none = report.entries.size();
  std::size_t best = none;
  for (std::size_t i = 0; i < report.cells.size(); ++i) {
    const ReportCell& cell = report.cells[i];
    const std::size_t own = cell.best.value_or(none);
    if (own != none && (best == none || better(report.entries[own], report.entries[best]))) {
      best = own;
    }
    const bool last = i + 1 == report.cells.size() || report.cells[i + 1].device != cell.device ||
                      report.cells[i + 1].model != cell.model;
    if (!last) continue;
    if (best != none) {
      report.details.push_back(detail_of(report.spec, report.entries[best], best));
    }
    best = none;
  }
}

std::vector<StateRecipe> recipes_of(const Report& report, std::size_t strategy) {
  if (const auto* space = std::get_if<SearchSpace>(&report.spec.strategies[strategy].what)) {
    return space->recipes;
  }
  const auto& fixed = std::get<FixedStrategy>(report.spec.strategies[strategy].what);
  if (!fixed.text) return {fixed.strategy.recipe};
  for (const ReportEntry& e : report.entries) {  // what a description says, where it is possible
    if (e.part.strategy == strategy) return {strategy_of(report.spec, e.part, e.row).recipe};
  }
  return {};
}

std::vector<std::string> assumptions_of(const Report& report) {
  std::vector<std::string> out{
      "Values between layers are 16 bits wide; tokens spread evenly over experts.",
      "Level A (closed form) refuses, level B (every tensor, event by event) decides.",
      "Fits: with a probability of 90 % or more; may fit: of 10 % or more. Ranges are of 90 %."};
  const auto add = [&out](std::string line) {
    if (std::ranges::find(out, line) == out.end()) out.push_back(std::move(line));
  };
  for (std::size_t i = 0; i < report.spec.strategies.size(); ++i) {
    for (const StateRecipe& r : recipes_of(report, i)) {
      add(fmt::format("Recipe {}: {}.", r.name, r.source));
      for (const ReportDevice& d : report.spec.devices) {
        for (std::string& line : site_assumptions(d.site, r)) add(std::move(line));
      }
    }
  }
  for (const ReportDevice& d : report.spec.devices) {
    add(fmt::format("{}: figures from {}.", d.site.device.name, d.site.device.source));
  }
  for (const std::string& line : report.spec.assumptions) add(line);
  return out;
}

}  // namespace

std::string device_text(const ReportDevice& device) {
  return fmt::format("{} x {}", device.ranks, device.site.device.name);
}

std::string verdict_text(Verdict verdict) {
  std::string out(to_string(verdict));
  std::ranges::replace(out, '_', ' ');
  return out;
}

std::string need_range_text(const MemoryDemand& demand) {
  return fmt::format("{} to {}", format_bytes(std::llround(demand.quantile_bytes(0.05))),
                     format_bytes(std::llround(demand.quantile_bytes(0.95))));
}

std::string step_range_text(const ReportRow& row) {
  if (!row.step_s) return "";
  const Interval range = interval_90(*row.step_s * 1e9, k_time_spread);
  return fmt::format("{} to {}", format_ns(std::llround(range.low)),
                     format_ns(std::llround(range.high)));
}

std::string percent_text(double percent) {
  std::string text = fmt::format("{:+.1f} %", percent);
  return text == "+0.0 %" || text == "-0.0 %" ? text.substr(1) : text;
}

std::string strategy_label(const ReportRow& row) {
  std::string out = layout_text(row.layout);
  if (out.empty()) out = "one rank";
  out += ", " + row.recipe;
  if (row.recompute != "none") out += ", recompute " + row.recompute;
  if (row.layout.pipeline > 1) out += fmt::format(", {}", to_string(row.schedule));
  return out + fmt::format(", {} x {} sequences", row.batch.micro_batches, row.batch.micro_batch);
}

Report make_report(const ReportSpec& spec, const std::vector<PartResult>& results) {
  Report report{.spec = spec, .cells = {}, .entries = {}, .details = {}, .assumptions = {}};
  const std::vector<ReportPart> parts = report_parts(spec);
  for (std::size_t i = 0; i < parts.size(); ++i) add_part(report, parts[i], results.at(i));
  mark_front(report.entries);
  add_details(report);
  report.assumptions = assumptions_of(report);
  return report;
}

}  // namespace tidemark
