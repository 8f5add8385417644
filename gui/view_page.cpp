#include "gui/view_page.h"

#include <fmt/format.h>

#include "gui/instant_report.h"
#include "gui/labels.h"
#include "gui/run_report.h"
#include "gui/view_export.h"
#include "sim/html_text.h"
#include "sim/units.h"

namespace tidemark {
namespace {

constexpr std::size_t k_most_rows = 100;

constexpr const char* k_head =
    "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>{0}</title><style>"
    "body{{font:14px sans-serif;margin:2em auto;max-width:76em;padding:0 1em;background:{1};"
    "color:{2}}}td,th{{padding:1px 12px 1px 0;text-align:left;vertical-align:top}}"
    "td.n{{text-align:right;font-variant-numeric:tabular-nums}}svg{{max-width:100%;height:auto}}"
    "</style></head><body>\n";

std::string time_cell(std::int64_t time_ns, std::int64_t zero_ns) {
  return time_ns < 0 ? "-" : format_time_ns(time_ns - zero_ns);
}

std::string alive_table(const ViewState& state, const Instant& instant) {
  const Run& run = *state.run;
  const std::int64_t zero_ns = state.one_step ? run.steady_step(Axis::time).begin : 0;
  const auto all = run.alive().alive_after(instant.change).size();
  std::string html = fmt::format(
      "<h2>{}</h2><p>{} in {} buffers at {}{}</p><table><tr><th>buffer</th><th>layer</th>"
      "<th>category</th><th>size</th><th>first use</th><th>last use</th><th>longest idle</th>"
      "</tr>\n",
      state.pinned ? "At the pinned instant" : "At the peak", format_bytes(instant.total_bytes),
      all, format_time_ns(instant.time_ns - zero_ns),
      all > k_most_rows ? fmt::format("; the {} largest:", k_most_rows) : std::string(":"));
  for (const AliveRow& row : alive_rows(run, instant.change, k_most_rows)) {
    const Buffer& buffer = run.trace()[row.buffer];
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td class=n>{}</td><td class=n>{}</td>"
        "<td class=n>{}</td><td class=n>{}</td></tr>\n",
        escaped(buffer.name), escaped(layer_name(run.trace(), buffer.layer)),
        spoken(to_string(buffer.category)), format_bytes(row.bytes),
        time_cell(row.first_use_ns, zero_ns), time_cell(row.last_use_ns, zero_ns),
        time_cell(row.idle_ns, 0));
  }
  return html + "</table>\n";
}

}  // namespace

std::string view_page(const ViewState& state, const CanvasColours& colours, int width_px,
                      int height_px) {
  const std::string title = state.run ? state.run->file() : std::string("Tidemark");
  std::string html = fmt::format(fmt::runtime(k_head), escaped(title),
                                 css_colour(colours.background), css_colour(colours.text));
  html += view_svg(state, colours, width_px, height_px) + run_report_html(state);
  if (state.run) {
    const std::int64_t peak_change = state.run->timeline().peak.change;
    const Instant instant =
        state.pinned ? *state.pinned : instant_of_change(*state.run, peak_change);
    html += alive_table(state, instant);
    if (!state.others.empty()) html += "<h2>Difference</h2>" + difference_html(state, instant);
    html += fmt::format("<h2>{}</h2>", state.selection ? "Selected range" : "Range in view");
    html += range_html(state, state.selection.value_or(state.range));
  }
  return html + "</body></html>\n";
}

}  // namespace tidemark
