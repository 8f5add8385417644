// The page: one file, no scripts, nothing from outside.
#include <fmt/format.h>

#include <cmath>

#include "sim/html_text.h"
#include "sim/report.h"
#include "sim/report_plots.h"
#include "sim/units.h"
#include "sim/version.h"

namespace tidemark {
namespace {

constexpr const char* k_style = R"(<style>
:root{color-scheme:light dark;--ink:#1d232a;--paper:#fff;--line:#d8dde3;--soft:#f4f6f8;
  --good:#e2f3ea;--may:#fdf3d3;--bad:#fbe6df;--dim:#5d6874}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ec;--paper:#14181d;--line:#353d46;
  --soft:#1c2229;--good:#14382a;--may:#3d3412;--bad:#45221a;--dim:#9aa6b2}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
  max-width:1040px;margin:2em auto;padding:0 1.2em}
h1{font-size:1.7em;margin:0 0 .2em}h2{font-size:1.2em;margin:2em 0 .4em}
h3{font-size:1em;margin:1.4em 0 .3em}
p{margin:.4em 0}.dim{color:var(--dim)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.5em 0}
th,td{padding:.35em .7em;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{font-weight:600;background:var(--soft)}td.n,th.n{text-align:right;white-space:nowrap}
td.fits{background:var(--good)}td.may_fit{background:var(--may)}
td.too_large{background:var(--bad)}
td.not_possible{color:var(--dim)}td.fits,td.may_fit,td.too_large{min-width:8.5em}
td:first-child,td.d{white-space:nowrap}td small{color:var(--dim)}
svg{display:block;width:100%;height:auto;margin:.6em 0}
li{margin:.25em 0}
@media print{:root{--ink:#000;--paper:#fff;--line:#bbb;--soft:#f2f2f2;--good:#e6f4ec;--may:#fdf6e0;
  --bad:#fbe6df;--dim:#444}body{font-size:10.5pt;max-width:none;margin:0;padding:0}
  h2,h3,h3+p,thead{break-after:avoid}svg,tr{break-inside:avoid}.wide{overflow:visible}
  *{print-color-adjust:exact;-webkit-print-color-adjust:exact}@page{margin:15mm}}
</style>
)";

std::string bytes_text(double bytes) {
  return format_bytes(std::llround(bytes));
}

std::string cell(const std::string& html, const char* kind = "") {
  return fmt::format("<td{}>{}</td>", *kind == 0 ? "" : fmt::format(" class=\"{}\"", kind), html);
}

std::string step_text(const ReportRow& row) {
  return row.step_s ? format_ns(std::llround(*row.step_s * 1e9)) : "";
}

std::string grid_cell(const Report& report, const ReportCell& c) {
  const std::string kind(to_string(c.verdict));
  if (!c.best) {
    return fmt::format("<td class=\"{}\">not possible<br><small>{}</small></td>", kind,
                       escaped(c.reason));
  }
  const ReportEntry& e = report.entries[*c.best];
  const double bytes = e.demand.expected_bytes();
  const auto memory =
      static_cast<double>(report.spec.devices[e.part.device].site.device.memory_bytes);
  std::string what;
  std::string small;
  if (e.verdict == Verdict::too_large) {
    what = "&#10007; too large";
    small = fmt::format("{}, short by {}", bytes_text(bytes), bytes_text(bytes - memory));
  } else {
    const bool fits = e.verdict == Verdict::fits;
    what = fmt::format("{} {}, {:.0f} %", fits ? "&#10003;" : "?", verdict_text(e.verdict),
                       100 * e.fits_probability);
    small = fmt::format("{} of {}", bytes_text(bytes), bytes_text(memory));
    if (e.row.step_s) small += ", " + step_text(e.row);
  }
  return fmt::format("<td class=\"{}\">{}<br><small>{}</small></td>", kind, what, small);
}

std::string grids(const Report& report) {
  std::string out = "<h2>What fits</h2>\n";
  const std::size_t columns = report.spec.strategies.size();
  for (std::size_t m = 0; m < report.spec.models.size(); ++m) {
    out += fmt::format("<h3>{}</h3>\n<div class=\"wide\"><table><tr><th>devices</th>",
                       escaped(report.spec.models[m].model.name));
    for (const ReportStrategy& s : report.spec.strategies) {
      out += fmt::format("<th>{}</th>", escaped(s.name));
    }
    out += "</tr>\n";
    for (std::size_t d = 0; d < report.spec.devices.size(); ++d) {
      out += "<tr>" + cell(escaped(device_text(report.spec.devices[d])));
      for (std::size_t s = 0; s < columns; ++s) {
        out += grid_cell(report, report.cells[(m * report.spec.devices.size() + d) * columns + s]);
      }
      out += "</tr>\n";
    }
    out += "</table></div>\n";
  }
  return out;
}

/// Heading cells; those that begin with '>' are numbers.
std::string head(std::initializer_list<const char*> names) {
  std::string out = "<tr>";
  for (const char* name : names) {
    out += *name == '>' ? fmt::format("<th class=\"n\">{}</th>", name + 1)
                        : fmt::format("<th>{}</th>", name);
  }
  return out + "</tr>\n";
}

/// A figure and, small below it, the range in which it lies with a probability of 90 %.
std::string with_range(const std::string& figure, const std::string& range) {
  return cell(figure + (range.empty() ? "" : "<br><small>" + range + "</small>"), "n");
}

std::string entry_cells(const Report& report, const ReportEntry& e) {
  std::string out = cell(escaped(device_text(report.spec.devices[e.part.device])), "d") +
                    cell(escaped(strategy_label(e.row))) +
                    with_range(bytes_text(e.demand.expected_bytes()), need_range_text(e.demand));
  if (report.has_times) {
    out += with_range(step_text(e.row), step_range_text(e.row)) +
           cell(e.price ? fmt::format("{:.3g}", *e.price) : "", "n");
  }
  return out;
}

std::string best_table(const Report& report) {
  std::string out = fmt::format("<h2>Best strategy</h2>\n<p class=\"dim\">{} that fits.</p>\n",
                                report.has_times ? "The fastest" : "The one with least memory");
  out += "<div class=\"wide\"><table>" +
         (report.has_times ? head({"model", "devices", "strategy", ">needs", ">step",
                                   ">price of 1M tokens", "verdict"})
                           : head({"model", "devices", "strategy", ">needs", "verdict"}));
  for (const ReportDetail& detail : report.details) {
    const ReportEntry& e = report.entries[detail.entry];
    out += "<tr>" + cell(escaped(report.spec.models[e.part.model].model.name)) +
           entry_cells(report, e) +
           cell(fmt::format("{}, {:.0f} %", verdict_text(e.verdict), 100 * e.fits_probability),
                std::string(to_string(e.verdict)).c_str()) +
           "</tr>\n";
  }
  return out + "</table></div>\n";
}

std::string fronts(const Report& report) {
  std::string out = "<h2>Memory, time and price</h2>\n";
  if (!report.has_times) {
    return out + "<p>Times are not known for these devices.</p>\n";
  }
  out +=
      "<p class=\"dim\">Numbered: no other strategy of the model is better in one of them and as "
      "good in the rest.</p>\n";
  for (std::size_t m = 0; m < report.spec.models.size(); ++m) {
    const std::string plot = front_plot(report, m);
    if (plot.empty()) continue;
    out += fmt::format("<h3>{}</h3>\n", escaped(report.spec.models[m].model.name)) + plot +
           "<div class=\"wide\"><table>" +
           head({">", "devices", "strategy", ">needs", ">step", ">price of 1M tokens"});
    int number = 0;
    for (const std::size_t i : front_of(report, m)) {
      out += "<tr>" + cell(std::to_string(++number), "n") + entry_cells(report, report.entries[i]) +
             "</tr>\n";
    }
    out += "</table></div>\n";
  }
  return out;
}

std::string change_table(const Report& report, const ReportDetail& detail) {
  constexpr std::size_t k_most = 8;
  if (detail.changes.empty()) return "<p>No single change saves memory.</p>\n";
  std::string out =
      "<table>" + (report.has_times ? head({"change", ">saves", ">time", ">GiB per %", "then"})
                                    : head({"change", ">saves", "then"}));
  for (std::size_t i = 0; i < std::min(k_most, detail.changes.size()); ++i) {
    const Change& c = detail.changes[i];
    out += "<tr>" + cell(escaped(c.what)) + cell(bytes_text(c.saved_bytes), "n");
    if (report.has_times) {
      const bool costs = c.slower_pct && *c.slower_pct > 0;
      out +=
          cell(c.slower_pct ? percent_text(*c.slower_pct) : "", "n") +
          cell(costs ? fmt::format("{:.2g}", c.saved_bytes / *c.slower_pct / (1 << 30)) : "", "n");
    }
    out += cell(verdict_text(c.verdict)) + "</tr>\n";
  }
  return out + "</table>\n";
}

std::string details(const Report& report) {
  std::string out = "<h2>Where the memory goes, and what to change</h2>\n";
  for (const ReportDetail& detail : report.details) {
    const ReportEntry& e = report.entries[detail.entry];
    out += fmt::format("<h3>{} on {}</h3>\n<p>{}</p>\n",
                       escaped(report.spec.models[e.part.model].model.name),
                       escaped(device_text(report.spec.devices[e.part.device])),
                       escaped(strategy_label(e.row))) +
           ranks_plot(report, detail) + change_table(report, detail);
  }
  return out;
}

std::string summary(const Report& report) {
  std::int64_t visited = 0;
  std::int64_t refused = 0;
  std::size_t fits = 0;
  std::size_t may_fit = 0;
  for (const ReportCell& c : report.cells) {
    visited += c.visited;
    refused += c.refused;
    fits += c.verdict == CellVerdict::fits ? 1 : 0;
    may_fit += c.verdict == CellVerdict::may_fit ? 1 : 0;
  }
  return fmt::format(
      "<p>{} of {} combinations of model, devices and strategy fit, {} more may fit. {} strategies "
      "were looked at, {} of them refused by the closed form alone. Needs are those of the rank "
      "that "
      "needs most, with allocator, context and communicators; ranges hold in 90 of 100 "
      "cases.</p>\n",
      fits, report.cells.size(), may_fit, visited, refused);
}

}  // namespace

std::string report_html(const Report& report) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>{0}</title>\n{1}</head>\n<body>\n<h1>{0}</h1>\n",
      escaped(report.spec.title), k_style);
  out += summary(report) + grids(report) + best_table(report) + fronts(report) + details(report);
  out += "<h2>Assumptions</h2>\n<ul>\n";
  for (const std::string& line : report.assumptions) {
    out += fmt::format("<li>{}</li>\n", escaped(line));
  }
  return out + fmt::format("</ul>\n<p class=\"dim\">{}</p>\n</body></html>\n", k_tool);
}

}  // namespace tidemark
