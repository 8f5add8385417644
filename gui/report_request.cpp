#include "gui/report_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "sim/units.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

std::vector<OfferedStrategy> make_offered() {
  std::vector<OfferedStrategy> offered = {
      {.name = "any layout",
       .about = "a search over layouts, batches and schedules with ZeRO-1 and ZeRO-3",
       .yaml = "{name: any layout, search: {recipes: [zero1, zero3], recomputes: [none, "
               "attention_core, full], most_tensor: 8}}"}};
  for (const StateRecipe& recipe : named_recipes()) {
    for (const char* recompute : {"none", "full"}) {
      const std::string name = recipe.name + ", recompute " + recompute;
      offered.push_back(
          {.name = name,
           .about = "data parallel; " + recipe.source,
           .yaml = fmt::format("{{name: \"{}\", recipe: {}, recompute: {}, micro_batch: 1}}", name,
                               recipe.name, recompute)});
    }
  }
  return offered;
}

}  // namespace

const std::vector<OfferedStrategy>& offered_strategies() {
  static const std::vector<OfferedStrategy> offered = make_offered();
  return offered;
}

std::string spec_of(const ReportRequest& request) {
  std::string spec =
      fmt::format("title: Capacity report\nglobal_batch: {}\n", request.global_batch);
  if (request.sequence > 0) spec += fmt::format("sequence: {}\n", request.sequence);
  const auto list = [&spec](const char* name, const auto& rows, auto text_of) {
    if (rows.empty()) return;
    spec += fmt::format("{}:\n", name);
    for (const auto& row : rows) spec += fmt::format("  - {}\n", text_of(row));
  };
  list("models", request.models, [](const std::string& name) { return name; });
  list("devices", request.devices, [&](const std::string& name) {
    return fmt::format("{{device: {}, ranks: [{}]}}", name, fmt::join(request.ranks, ", "));
  });
  std::vector<std::string> strategies;
  for (const OfferedStrategy& offered : offered_strategies()) {
    const bool wanted =
        std::ranges::find(request.strategies, offered.name) != request.strategies.end();
    if (wanted) strategies.push_back(offered.yaml);
  }
  list("strategies", strategies, [](const std::string& yaml) { return yaml; });
  return spec;
}

std::vector<std::int64_t> parse_ranks(const std::string& text) {
  std::vector<std::int64_t> ranks;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (at != end) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    std::int64_t value = 0;
    const auto [rest, error] = std::from_chars(at, end, value);
    const bool ends = rest == end || *rest == ' ' || *rest == ',';
    if (error != std::errc{} || value < 1 || !ends) {
      ranks.clear();
      break;
    }
    ranks.push_back(value);
    at = rest;
  }
  if (!ranks.empty()) return ranks;
  throw InputError({.file = "",
                    .place = "number of devices",
                    .expected = "numbers from 1 on, such as 8, 64",
                    .found = text.empty() ? "nothing" : text});
}

std::vector<ReportLine> report_lines(const Report& report) {
  std::vector<ReportLine> lines;
  for (const ReportCell& cell : report.cells) {
    ReportLine line{.model = report.spec.models[cell.model].model.name,
                    .devices = device_text(report.spec.devices[cell.device]),
                    .strategy = report.spec.strategies[cell.strategy].name,
                    .verdict = cell.verdict,
                    .best = cell.reason};
    if (cell.best) {
      const ReportEntry& entry = report.entries[*cell.best];
      line.needs_bytes = entry.demand.expected_bytes();
      line.fits_probability = entry.fits_probability;
      line.step_s = entry.row.step_s.value_or(-1);
      line.price = entry.price.value_or(-1);
      line.best = strategy_label(entry.row);
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string summary_of(const Report& report) {
  const auto fitting = std::ranges::count(report.cells, CellVerdict::fits, &ReportCell::verdict);
  const auto doubtful =
      std::ranges::count(report.cells, CellVerdict::may_fit, &ReportCell::verdict);
  std::string text = fmt::format("{} of {} fit", fitting, report.cells.size());
  if (doubtful > 0) text += fmt::format(", {} may fit", doubtful);
  const ReportEntry* fastest = nullptr;
  for (const ReportCell& cell : report.cells) {
    if (cell.verdict != CellVerdict::fits || !cell.best) continue;
    const ReportEntry& entry = report.entries[*cell.best];
    if (!entry.row.step_s) continue;
    if (fastest == nullptr || *entry.row.step_s < *fastest->row.step_s) fastest = &entry;
  }
  if (fastest == nullptr) return text;
  return text + fmt::format("; the fastest step is {}, of {} on {}",
                            format_ns(static_cast<std::int64_t>(*fastest->row.step_s * 1e9)),
                            report.spec.models[fastest->part.model].model.name,
                            device_text(report.spec.devices[fastest->part.device]));
}

void save_report(const Report& report, const std::string& path) {
  if (path.ends_with(".html")) return write_file(path, report_html(report));
  if (path.ends_with(".csv")) return write_file(path, report_csv(report));
  if (path.ends_with(".json")) return write_file(path, report_json(report));
  if (path.ends_with(".txt")) return write_file(path, report_text(report));
  throw InputError({.file = "",
                    .place = "export",
                    .expected = "a name that ends in .html, .csv, .json or .txt",
                    .found = path});
}

}  // namespace tidemark
