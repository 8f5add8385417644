#include "sim/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "sim/breakdown.h"
#include "sim/compare.h"
#include "sim/html_text.h"
#include "sim/run_state.h"
#include "sim/units.h"
#include "sim/version.h"

namespace tidemark {

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

namespace {

constexpr int k_columns = 900;  // time columns of the plot
constexpr int k_width_px = 900;
constexpr int k_height_px = 320;

struct Band {
  Category category;
  const char* colour;  // Okabe and Ito 2008
};
// From the steadiest to the most varying, so that the lower bands do not wobble.
constexpr Band k_bands[] = {
    {Category::weight, "#0072B2"},          {Category::optimizer_state, "#009E73"},
    {Category::kv_cache, "#A0522D"},        {Category::gradient, "#56B4E9"},
    {Category::activation, "#E69F00"},      {Category::recomputed_activation, "#B87A00"},
    {Category::communication, "#CC79A7"},   {Category::workspace, "#D55E00"},
    {Category::temporary, "#F0E442"},       {Category::input, "#999999"},
    {Category::allocator_slack, "#BBBBBB"}, {Category::framework, "#777777"},
    {Category::profiler, "#555555"},        {Category::unknown, "#DDDDDD"}};

/// The composition at the highest instant of every time column of [begin, end).
std::vector<CategoryBytes> columns_of(const Trace& trace, const Timeline& t, std::int64_t begin_ns,
                                      std::int64_t end_ns) {
  std::vector<CategoryBytes> columns(k_columns, CategoryBytes{});
  std::vector<std::int64_t> highest(k_columns, -1);
  CategoryBytes now{};
  std::int64_t total = 0;
  int filled = 0;
  const auto keep = [&](int x) {
    if (total <= highest[static_cast<std::size_t>(x)]) return;
    highest[static_cast<std::size_t>(x)] = total;
    columns[static_cast<std::size_t>(x)] = now;
  };
  const double span = static_cast<double>(std::max<std::int64_t>(end_ns - begin_ns, 1));
  for (const MemoryChange& c : t.changes) {
    const double at = static_cast<double>(c.time_ns - begin_ns) / span * k_columns;
    const int x = static_cast<int>(std::clamp(at, 0.0, k_columns - 1.0));
    if (c.time_ns >= end_ns) break;
    for (; c.time_ns >= begin_ns && filled <= x; ++filled) keep(filled);
    now[static_cast<std::size_t>(trace[c.buffer].category)] += c.delta_bytes;
    total += c.delta_bytes;
    if (c.time_ns >= begin_ns) keep(x);
  }
  for (; filled < k_columns; ++filled) keep(filled);
  return columns;
}

/// Where the plot is in time and bytes.
struct Frame {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  double px_per_byte = 0;

  [[nodiscard]] double x(std::int64_t time_ns) const {
    const auto span = static_cast<double>(std::max<std::int64_t>(end_ns - begin_ns, 1));
    return std::clamp(static_cast<double>(time_ns - begin_ns) / span, 0.0, 1.0) * k_width_px;
  }
  [[nodiscard]] double y(std::int64_t bytes) const {
    return k_height_px - static_cast<double>(bytes) * px_per_byte;
  }
};

std::string path_of(const std::vector<CategoryBytes>& columns,
                    const std::vector<std::int64_t>& floor, Category category, const Frame& frame) {
  const auto row = static_cast<std::size_t>(category);
  std::string top;
  std::string bottom;
  for (std::size_t x = 0; x < columns.size(); ++x) {
    top += fmt::format("{}{} {:.1f}", x == 0 ? "M" : "L", x, frame.y(floor[x] + columns[x][row]));
    const std::size_t back = columns.size() - 1 - x;
    bottom += fmt::format("L{} {:.1f}", back, frame.y(floor[back]));
  }
  return top + bottom + "Z";
}

/// Labelled lines at round sizes (powers of two), at most five.
std::string bytes_axis(const Frame& frame) {
  const double top = k_height_px / frame.px_per_byte;
  std::int64_t every = k_granule_bytes;
  while (static_cast<double>(every) * 5 < top) every *= 2;
  std::string svg;
  for (std::int64_t at = every; static_cast<double>(at) < top * 0.97; at += every) {
    svg += fmt::format(
        "<line x1=\"0\" x2=\"{0}\" y1=\"{1:.1f}\" y2=\"{1:.1f}\" stroke=\"#000\" "
        "stroke-opacity=\"0.15\"/><text x=\"4\" y=\"{2:.1f}\" class=\"y\">{3}</text>\n",
        k_width_px, frame.y(at), frame.y(at) - 2, format_bytes(at));
  }
  return svg;
}

/// A name above each part of the step that is one phase; parts of less than 3 % stay unnamed.
std::string phase_axis(const Trace& trace, const Timeline& t, const Frame& frame) {
  std::string svg;
  const auto part = [&](Phase phase, std::int64_t begin_ns, std::int64_t end_ns) {
    const double left = frame.x(begin_ns);
    const double right = frame.x(end_ns);
    if (right - left < 0.03 * k_width_px) return;
    svg += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"0\" y2=\"{1}\" stroke=\"#000\" "
        "stroke-opacity=\"0.3\"/><text x=\"{2:.1f}\" y=\"12\" class=\"phase\">{3}</text>\n",
        left, k_height_px, left + 4, to_string(phase));
  };
  std::optional<Phase> now;
  std::int64_t since_ns = frame.begin_ns;
  for (const OpSpan& span : t.spans) {
    const Op& op = trace[span.op];
    const bool shown = span.begin_ns >= frame.begin_ns && span.begin_ns < frame.end_ns;
    if (!shown || op.stream.value > 0 || op.phase == Phase::other || now == op.phase) continue;
    if (now) part(*now, since_ns, span.begin_ns);
    now = op.phase;
    since_ns = span.begin_ns;
  }
  if (now) part(*now, since_ns, frame.end_ns);
  return svg;
}

std::string plot(const Trace& trace, const Timeline& t) {
  const bool has_steps = !t.step_begin_ns.empty();
  const std::int64_t begin_ns = has_steps ? t.step_begin_ns.back() : t.begin_ns;
  const std::int64_t end_ns = has_steps ? begin_ns + t.step_ns : t.end_ns + 1;
  const std::vector<CategoryBytes> columns = columns_of(trace, t, begin_ns, end_ns);
  const std::int64_t budget = trace.plan.budget_bytes;
  const std::int64_t top = std::max({t.peak.bytes, budget, std::int64_t{1}});
  const Frame frame{begin_ns, end_ns, 0.88 * k_height_px / static_cast<double>(top)};
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"bytes by category "
      "over one step\">\n",
      k_width_px, k_height_px);
  std::vector<std::int64_t> floor(columns.size(), 0);
  for (const Band& band : k_bands) {
    const auto row = static_cast<std::size_t>(band.category);
    const bool used = std::ranges::any_of(columns, [row](const auto& c) { return c[row] > 0; });
    if (!used) continue;
    svg += fmt::format(
        "<path d=\"{}\" fill=\"{}\" stroke=\"#222\" "
        "stroke-width=\"0.4\"><title>{}</title></path>\n",
        path_of(columns, floor, band.category, frame), band.colour, to_string(band.category));
    for (std::size_t x = 0; x < columns.size(); ++x) floor[x] += columns[x][row];
  }
  const auto line = [&](std::int64_t bytes, const char* colour, const std::string& label) {
    const double y = frame.y(bytes);
    svg += fmt::format(
        "<line x1=\"0\" x2=\"{0}\" y1=\"{1:.1f}\" y2=\"{1:.1f}\" stroke=\"{2}\" "
        "stroke-dasharray=\"6 4\"/>"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        k_width_px, y, colour, k_width_px - 4, y - 4, label);
  };
  svg += bytes_axis(frame) + phase_axis(trace, t, frame);
  line(t.peak.bytes, "#222", "peak " + format_bytes(t.peak.bytes));
  if (budget > 0) line(budget, "#c00", "budget " + format_bytes(budget));
  return svg +
         fmt::format("</svg>\n<p class=\"axis\"><span>0</span><span>one step: {}</span></p>\n",
                     format_ns(end_ns - begin_ns));
}

std::string row(const std::string& a, const std::string& b, const std::string& c = {}) {
  return fmt::format("<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                     escaped(a), b, c);
}

std::string share(std::int64_t part, std::int64_t whole) {
  if (whole == 0) return "";
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string category_table(const Trace& trace, const Timeline& t) {
  std::string out = "<h2>At the peak, by category</h2>\n<table>\n";
  for (const Band& band : k_bands) {
    const std::int64_t bytes = t.peak.by_category[static_cast<std::size_t>(band.category)];
    const bool drawn = highest_bytes(trace, t, {band.category}) > 0;  // also when not at the peak
    if (!drawn) continue;
    out += fmt::format(
        "<tr><td><i style=\"background:{}\"></i>{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td></tr>\n",
        band.colour, to_string(band.category), format_bytes(bytes), share(bytes, t.peak.bytes));
  }
  return out + row("total", format_bytes(t.peak.bytes)) + "</table>\n";
}

std::string holder_table(const Trace& trace, const Timeline& t) {
  constexpr std::size_t k_most = 12;
  std::string out = "<h2>At the peak, by layer</h2>\n<table>\n";
  const std::vector<Holding> layers =
      breakdown(trace, t, t.peak.change, {GroupBy::layer, GroupBy::category});
  for (std::size_t i = 0; i < std::min(k_most, layers.size()); ++i) {
    out += row(layers[i].keys[0] + ", " + layers[i].keys[1], format_bytes(layers[i].bytes),
               share(layers[i].bytes, t.peak.bytes));
  }
  if (layers.size() > k_most) out += row(fmt::format("{} others", layers.size() - k_most), "");
  return out + "</table>\n";
}

std::string plan_table(const Trace& trace) {
  const PlanRecord& p = trace.plan;
  if (p.method.empty()) return {};
  std::string out = "<h2>The plan</h2>\n<table>\n";
  out += row("method", escaped(p.method)) + row("budget", format_bytes(p.budget_bytes)) +
         row("fits in", format_bytes(p.height_bytes)) + row("step", format_ns(p.step_ns)) +
         row("step when all is kept", format_ns(p.keep_all_step_ns)) +
         row("no plan in this budget is faster than", format_ns(p.bound_step_ns)) +
         "</table>\n<ul>\n";
  for (const Decision& d : trace.decisions) {
    out += fmt::format("<li>{} {}: {}</li>\n", to_string(d.kind), escaped(trace[d.buffer].name),
                       escaped(d.reason));
  }
  return out + "</ul>\n";
}

std::string summary(const Trace& trace, const Timeline& t) {
  const RunFigures f = figures_of(trace);
  std::string out =
      "<table>\n" +
      row("peak " + peak_scope(trace, t), f.has_peak ? format_bytes(t.peak.bytes) : "") +
      row("peak of the run", format_bytes(t.run_peak.bytes));
  if (f.reserved_bytes > 0) out += row("reserved on the device", format_bytes(f.reserved_bytes));
  if (f.host_peak_bytes > 0) out += row("host memory", format_bytes(f.host_peak_bytes));
  if (f.step_ns > 0) out += row("time of a step, " + step_origin(f), format_ns(f.step_ns));
  if (f.has_loss)
    out += row("loss, first and last step",
               fmt::format("{:.4f} &rarr; {:.4f}", f.first_loss, f.last_loss));
  return out + "</table>\n";
}

/// What casts doubt on the page, before anything else.
std::string banner(const Trace& trace) {
  std::string out;
  for (const std::string& text : {warning_line(trace), load_warning(figures_of(trace))}) {
    if (!text.empty()) out += fmt::format("<p class=\"warning\">{}</p>\n", escaped(text));
  }
  return out;
}

constexpr const char* k_style = R"(<style>
body{font:15px/1.45 system-ui,sans-serif;max-width:920px;margin:2em auto;padding:0 1em;
     color:#222;background:#fff}
svg{width:100%;height:auto;background:#fafafa;border:1px solid #ccc}
svg text{font:12px sans-serif}svg text.y,svg text.phase{fill:#444;font-size:11px}
.warning{background:#fde3e0;border-left:4px solid #c00;padding:.4em .8em}
table{border-collapse:collapse;margin:.5em 0}
td{padding:.15em .9em .15em 0;border-bottom:1px solid #eee}
.n{text-align:right;font-variant-numeric:tabular-nums}
i{display:inline-block;width:.8em;height:.8em;margin-right:.5em;border:1px solid #222}
.axis{display:flex;justify-content:space-between;margin:.2em 0;color:#555}
h2{font-size:1.1em;margin:1.4em 0 .3em}li{margin:.1em 0}
</style>
)";

}  // namespace

std::string html_page(const Trace& trace) {
  const Timeline t = timeline_of(trace, {SpaceKind::device, trace.meta.rank});
  const std::string title = trace.meta.title.empty() ? "a run" : trace.meta.title;
  return fmt::format(
             "<!doctype html>\n<html lang=\"en\"><head><meta "
             "charset=\"utf-8\"><title>{0}</title>\n{1}</head>"
             "<body>\n<h1>{0}</h1>\n<p>{2}.</p>\n{3}",
             escaped(title), k_style, escaped(state_line(trace)), banner(trace)) +
         plot(trace, t) + summary(trace, t) + category_table(trace, t) + holder_table(trace, t) +
         plan_table(trace) + fmt::format("<p class=\"axis\">{}</p>\n</body></html>\n", k_tool);
}

}  // namespace tidemark
