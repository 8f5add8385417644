// The report as text, CSV and JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/csv_text.h"
#include "sim/report.h"
#include "sim/strategy_text.h"
#include "sim/table.h"
#include "sim/units.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

std::string bytes_text(double bytes) {
  return format_bytes(std::llround(bytes));
}

std::string step_text(const std::optional<double>& step_s) {
  return step_s ? format_ns(std::llround(*step_s * 1e9)) : "";
}

const std::string& model_name(const Report& report, std::size_t model) {
  return report.spec.models[model].model.name;
}

std::string cell_text(const Report& report, const ReportCell& c) {
  if (!c.best) return "-";
  const ReportEntry& e = report.entries[*c.best];
  const double bytes = e.demand.expected_bytes();
  if (c.verdict != CellVerdict::too_large) {
    return fmt::format("{} {}, {:.0f} %", verdict_text(e.verdict), bytes_text(bytes),
                       100 * e.fits_probability);
  }
  const auto memory =
      static_cast<double>(report.spec.devices[e.part.device].site.device.memory_bytes);
  return "short by " + bytes_text(bytes - memory);
}

std::string grid_text(const Report& report) {
  std::vector<std::string> headings{"model", "devices"};
  for (const ReportStrategy& s : report.spec.strategies) headings.push_back(s.name);
  Table table(headings);
  std::vector<std::string> reasons;
  const std::size_t columns = report.spec.strategies.size();
  for (std::size_t i = 0; i < report.cells.size(); i += columns) {
    const ReportCell& first = report.cells[i];
    std::vector<std::string> row{model_name(report, first.model),
                                 device_text(report.spec.devices[first.device])};
    for (std::size_t s = 0; s < columns; ++s) {
      const ReportCell& c = report.cells[i + s];
      row.push_back(cell_text(report, c));
      if (!c.reason.empty()) {
        reasons.push_back(fmt::format("  - {}, {}, {}: {}\n", row[0], row[1],
                                      report.spec.strategies[s].name, c.reason));
      }
    }
    table.add(row);
  }
  std::string out = table.text();
  if (!reasons.empty()) out += "\n" + fmt::format("{}", fmt::join(reasons, ""));
  return out;
}

std::string best_text(const Report& report) {
  Table table({"model", "devices", ">needs", ">90 % range", "", ">with", ">step", ">90 % range",
               "strategy"});
  for (const ReportDetail& d : report.details) {
    const ReportEntry& e = report.entries[d.entry];
    table.add({model_name(report, e.part.model), device_text(report.spec.devices[e.part.device]),
               bytes_text(e.demand.expected_bytes()), need_range_text(e.demand),
               verdict_text(e.verdict), fmt::format("{:.0f} %", 100 * e.fits_probability),
               step_text(e.row.step_s), step_range_text(e.row), strategy_label(e.row)});
  }
  return table.text();
}

std::string changes_text(const Report& report) {
  constexpr std::size_t k_most = 4;
  std::string out;
  for (const ReportDetail& d : report.details) {
    const ReportEntry& e = report.entries[d.entry];
    out += fmt::format("  {} on {}\n", model_name(report, e.part.model),
                       device_text(report.spec.devices[e.part.device]));
    Table table({"", ">", ">", ""});
    for (std::size_t i = 0; i < std::min(k_most, d.changes.size()); ++i) {
      const Change& c = d.changes[i];
      table.add({"  " + c.what, "-" + bytes_text(c.saved_bytes),
                 c.slower_pct ? percent_text(*c.slower_pct) + " time" : "",
                 verdict_text(c.verdict)});
    }
    out += table.text();
  }
  return out;
}

Json entry_json(const Report& report, const ReportEntry& e) {
  const RankMemory& m = e.row.peak.memory;
  const ReportDevice& device = report.spec.devices[e.part.device];
  Json j{{"model", model_name(report, e.part.model)},
         {"device", device.site.device.name},
         {"ranks", device.ranks},
         {"strategy", report.spec.strategies[e.part.strategy].name},
         {"layout", layout_text(e.row.layout)},
         {"schedule", to_string(e.row.schedule)},
         {"recipe", e.row.recipe},
         {"recompute", e.row.recompute},
         {"sequence", e.row.batch.sequence},
         {"micro_batch", e.row.batch.micro_batch},
         {"micro_batches", e.row.batch.micro_batches},
         {"fits", e.verdict != Verdict::too_large},
         {"verdict", to_string(e.verdict)},
         {"fits_probability", e.fits_probability},
         {"expected_bytes", std::llround(e.demand.expected_bytes())},
         {"low_bytes", std::llround(e.demand.quantile_bytes(0.05))},
         {"high_bytes", std::llround(e.demand.quantile_bytes(0.95))},
         {"peak_bytes", std::llround(m.total())},
         {"usable_bytes", std::llround(e.usable_bytes)},
         {"states_bytes", std::llround(m.states)},
         {"layers_bytes", std::llround(m.layers)},
         {"ends_bytes", std::llround(m.ends)},
         {"working_bytes", std::llround(m.working)},
         {"pipeline_rank", m.rank},
         {"moment", to_string(e.row.peak.moment)},
         {"on_front", e.on_front}};
  if (e.row.step_s) {
    const Interval range = interval_90(*e.row.step_s, k_time_spread);
    j["step_s"] = *e.row.step_s;
    j["step_low_s"] = range.low;
    j["step_high_s"] = range.high;
  }
  if (e.price) j["price_per_million_tokens"] = *e.price;
  return j;
}

Json detail_json(const Report& report, const ReportDetail& d) {
  Json j{{"best", entry_json(report, report.entries[d.entry])},
         {"pipeline_ranks", Json::array()},
         {"changes", Json::array()}};
  for (const WalkedPeak& p : d.ranks) {
    j["pipeline_ranks"].push_back({{"rank", p.memory.rank},
                                   {"peak_bytes", std::llround(p.memory.total())},
                                   {"states_bytes", std::llround(p.memory.states)},
                                   {"layers_bytes", std::llround(p.memory.layers)},
                                   {"ends_bytes", std::llround(p.memory.ends)},
                                   {"working_bytes", std::llround(p.memory.working)}});
  }
  for (const Change& c : d.changes) {
    Json change{{"what", c.what},
                {"saved_bytes", std::llround(c.saved_bytes)},
                {"verdict", to_string(c.verdict)}};
    if (c.slower_pct) change["slower_pct"] = *c.slower_pct;
    j["changes"].push_back(change);
  }
  return j;
}

}  // namespace

std::string report_text(const Report& report) {
  std::string out = fmt::format(
      "{}\n\n{}\nBest, {} that fits\n\n{}\nWhat to change, best first\n\n{}", report.spec.title,
      grid_text(report), report.has_times ? "the fastest" : "the one with least memory",
      best_text(report), changes_text(report));
  out += "\nAssumed\n\n";
  for (const std::string& line : report.assumptions) out += "  - " + line + "\n";
  return out;
}

std::string report_csv(const Report& report) {
  // The columns are the fields of the rows in JSON; those that some rows lack stand last.
  static const std::vector<std::string> k_optional{"step_s", "step_low_s", "step_high_s",
                                                   "price_per_million_tokens"};
  std::vector<std::string> columns;
  std::string out;
  for (const ReportEntry& e : report.entries) {
    const Json row = entry_json(report, e);
    if (columns.empty()) {
      for (const auto& field : row.items()) {
        if (std::ranges::find(k_optional, field.key()) == k_optional.end()) {
          columns.push_back(field.key());
        }
      }
      columns.insert(columns.end(), k_optional.begin(), k_optional.end());
      out += fmt::format("{}\n", fmt::join(columns, ","));
    }
    std::vector<std::string> fields;
    for (const std::string& column : columns) {
      const auto at = row.find(column);
      fields.push_back(at == row.end()   ? ""
                       : at->is_string() ? csv_field(at->get<std::string>())
                                         : at->dump());
    }
    out += fmt::format("{}\n", fmt::join(fields, ","));
  }
  return out;
}

std::string report_json(const Report& report) {
  Json j{{"title", report.spec.title}, {"has_times", report.has_times},
         {"cells", Json::array()},     {"rows", Json::array()},
         {"best", Json::array()},      {"assumptions", report.assumptions}};
  for (const ReportCell& c : report.cells) {
    const ReportDevice& device = report.spec.devices[c.device];
    Json cell{{"model", model_name(report, c.model)},
              {"device", device.site.device.name},
              {"ranks", device.ranks},
              {"strategy", report.spec.strategies[c.strategy].name},
              {"verdict", to_string(c.verdict)},
              {"visited", c.visited},
              {"refused", c.refused}};
    if (!c.reason.empty()) cell["reason"] = c.reason;
    if (c.best) cell["row"] = *c.best;
    j["cells"].push_back(cell);
  }
  for (const ReportEntry& e : report.entries) j["rows"].push_back(entry_json(report, e));
  for (const ReportDetail& d : report.details) j["best"].push_back(detail_json(report, d));
  return j.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tidemark
