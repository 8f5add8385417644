#include "gui/view_export.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "gui/filter.h"
#include "gui/labels.h"
#include "gui/legend.h"
#include "gui/view_page.h"
#include "sim/csv_text.h"
#include "sim/html_text.h"
#include "sim/units.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

constexpr int k_export_width_px = 1200;
constexpr int k_export_height_px = 600;

std::string_view axis_name(Axis axis) {
  return axis == Axis::time ? "time_ns" : "change";
}

Json alive_json(const Run& run, std::int64_t change) {
  Json rows = Json::array();
  for (const AliveRow& row : alive_rows(run, change)) {
    const Buffer& buffer = run.trace()[row.buffer];
    rows.push_back({{"name", buffer.name},
                    {"layer", layer_name(run.trace(), buffer.layer)},
                    {"category", to_string(buffer.category)},
                    {"bytes", row.bytes},
                    {"alloc_ns", row.alloc_ns},
                    {"free_ns", row.free_ns},
                    {"first_use_ns", row.first_use_ns},
                    {"last_use_ns", row.last_use_ns},
                    {"longest_idle_ns", row.idle_ns}});
  }
  return rows;
}

/// Where things are in the picture.
struct Frame {
  int left = 80;
  int top = 30;
  int width = 0;
  int height = 0;
  ColumnScale columns;
  ByteScale bytes;
};

/// The area between the tops of group k - 1 and group k, as steps; empty when it has no pixel.
std::string band_path(const std::vector<PixelColumn>& columns, const Frame& f, std::size_t k) {
  std::string upper;  // from the left to the right
  std::string lower;  // and back
  bool any = false;
  for (std::size_t x = 0; x < columns.size(); ++x) {
    const auto tops = band_tops(columns[x], f.bytes);
    const int bottom = k == 0 ? f.bytes.height_px : tops[k - 1];
    any = any || tops[k] < bottom;
    const int at = f.left + static_cast<int>(x);
    upper +=
        x == 0 ? fmt::format("M{} {}", at, f.top + tops[k]) : fmt::format("V{}", f.top + tops[k]);
    upper += fmt::format("H{}", at + 1);
    lower.insert(0, fmt::format("V{}H{}", f.top + bottom, at));
  }
  return any ? upper + lower + "Z" : std::string();
}

std::string svg_axes(const ViewState& state, const CanvasColours& colours, const Frame& f) {
  std::string out;
  for (const Tick& tick : byte_ticks(f.bytes, 46)) {
    out += fmt::format("<text x='{}' y='{}' text-anchor='end'>{}</text>\n", f.left - 8,
                       f.top + tick.at_px + 4, tick.text);
  }
  for (const Tick& tick : axis_ticks(f.columns, state.axis, zero_of(state), 110)) {
    out += fmt::format("<text x='{}' y='{}' text-anchor='middle'>{}</text>\n", f.left + tick.at_px,
                       f.top + f.height + 20, tick.text);
  }
  return fmt::format("<g fill='{}'>\n{}</g>\n", css_colour(colours.faint_text), out);
}

std::string svg_legend(const ViewState& state, const CanvasColours& colours, const Frame& f) {
  const std::vector<std::string>& names = stack_of(state).grouping.names;
  std::string out;
  int x = f.left;
  int y = f.top + f.height + 44;
  for (std::size_t k = 0; k < names.size(); ++k) {
    const int width = 26 + static_cast<int>(names[k].size()) * 8;
    if (x + width > f.left + f.width && x > f.left) {
      x = f.left;
      y += 18;
    }
    const Band band = static_cast<Band>(k);
    out += fmt::format(
        "<rect x='{}' y='{}' width='11' height='11' fill='{}' stroke='{}'/>"
        "<text x='{}' y='{}' fill='{}'>{}</text>\n",
        x, y - 10, css_colour(band_colour(band)), css_colour(edge_colour(band)), x + 16, y,
        css_colour(colours.text), escaped(spoken(names[k])));
    x += width;
  }
  return out;
}

std::string svg_lines(const ViewState& state, const CanvasColours& colours, const Frame& f) {
  std::string out;
  const std::vector<OverlayColumns> overlays = overlays_of(state, f.columns);
  for (std::size_t i = 0; i < overlays.size(); ++i) {
    const OverlayColumns& overlay = overlays[i];
    std::string path;
    bool open = false;
    for (std::size_t x = 0; x < overlay.max_bytes.size(); ++x) {
      const std::int64_t bytes = overlay.max_bytes[x];
      if (bytes < 0) {
        open = false;
        continue;
      }
      const int row = f.top + f.bytes.row_of(bytes);
      const int at = f.left + static_cast<int>(x);
      path += open ? fmt::format("V{}H{}", row, at + 1) : fmt::format("M{} {}H{}", at, row, at + 1);
      open = true;
    }
    out += fmt::format(
        "<path d='{}' fill='none' stroke='{}' stroke-width='2'{}/>\n", path,
        css_colour(colours.overlays[i % colours.overlays.size()]),
        overlay.dash_px > 0 ? fmt::format(" stroke-dasharray='{}'", 2 * overlay.dash_px) : "");
  }
  const int x = f.columns.column_of(peak_position(*state.run, state.axis));
  const std::int64_t budget_bytes = budget_line_of(state);
  const int budget_row = budget_bytes < 0 ? -1 : f.bytes.row_of(budget_bytes);
  if (budget_row >= 0) {
    const bool at_left = x > f.width / 2 && x < f.width;  // the side without the peak's text
    out += fmt::format(
        "<path d='M{0} {1}H{2}' stroke='{3}' stroke-width='2' stroke-dasharray='8 4'/>"
        "<text x='{4}' y='{5}' text-anchor='{6}' fill='{3}'>budget {7}</text>\n",
        f.left, f.top + budget_row, f.left + f.width, css_colour(colours.over),
        at_left ? f.left + 4 : f.left + f.width, f.top + budget_row - 4, at_left ? "start" : "end",
        format_bytes(budget_bytes));
  }
  if (x >= 0 && x < f.width) {
    const int row = f.top + f.bytes.row_of(state.run->timeline().peak.bytes);
    const bool at_left = x > f.width / 2;  // of its marker: there is room
    out += fmt::format(
        "<path d='M{0} {1}l-6 -10h12Z' fill='{2}'/>"
        "<text x='{3}' y='{4}' text-anchor='{5}' fill='{2}'>peak {6}</text>\n",
        f.left + x, row - 1, css_colour(colours.text), f.left + x + (at_left ? -10 : 10), row - 4,
        at_left ? "end" : "start", format_bytes(state.run->timeline().peak.bytes));
  }
  return out;
}

}  // namespace

std::string css_colour(Rgb colour) {
  return fmt::format("#{:06x}", colour & 0xFFFFFFU);
}

std::string columns_csv(const ViewState& state, int width_px) {
  std::string out = fmt::format("{},max_bytes,min_bytes", axis_name(state.axis));
  if (!state.run) return out + "\n";
  const std::vector<std::string>& names = stack_of(state).grouping.names;
  for (const std::string& name : names) out += "," + csv_field(name);
  const ColumnScale scale{state.range, width_px};
  const bool has_steps = state.every_step && state.run->spread().step_count > 1;
  const SpreadColumns steps =
      has_steps ? spread_columns(*state.run, scale, state.axis) : SpreadColumns{};
  if (has_steps) out += ",steps_most_bytes,steps_median_bytes,steps_least_bytes";
  out += "\n";
  const std::vector<PixelColumn> columns = columns_of(state, scale);
  for (int x = 0; x < width_px; ++x) {
    const PixelColumn& column = columns[static_cast<std::size_t>(x)];
    out += fmt::format("{},{},{}", scale.column_begin(x), column.extremes.max_bytes,
                       column.extremes.min_bytes);
    for (std::size_t k = 0; k < names.size(); ++k) out += fmt::format(",{}", column.at_max[k]);
    if (has_steps) {
      const auto at = static_cast<std::size_t>(x);
      out += fmt::format(",{},{},{}", steps.most[at], steps.median[at], steps.least[at]);
    }
    out += "\n";
  }
  return out;
}

std::string view_json(const ViewState& state, int width_px) {
  Json json;
  if (!state.run) return json.dump();
  const Run& run = *state.run;
  const std::vector<std::string>& names = stack_of(state).grouping.names;
  json["file"] = run.file();
  json["axis"] = axis_name(state.axis);
  json["begin"] = state.range.begin;
  json["end"] = state.range.end;
  json["peak_bytes"] = run.timeline().peak.bytes;
  json["peak_ns"] = run.timeline().peak.time_ns;
  if (state.budget_bytes >= 0) json["budget_bytes"] = state.budget_bytes;
  json["group_by"] = to_string(state.group_by);
  for (const FilterTerm& term : state.filter) json["only"].push_back(to_text(term));
  json["groups"] = names;
  Json rows = Json::array();
  const ColumnScale scale{state.range, width_px};
  const std::vector<PixelColumn> columns = columns_of(state, scale);
  for (int x = 0; x < width_px; ++x) {
    const PixelColumn& column = columns[static_cast<std::size_t>(x)];
    Json groups = Json::array();
    for (std::size_t k = 0; k < names.size(); ++k) groups.push_back(column.at_max[k]);
    rows.push_back({{"begin", scale.column_begin(x)},
                    {"max_bytes", column.extremes.max_bytes},
                    {"min_bytes", column.extremes.min_bytes},
                    {"by_group", std::move(groups)}});
  }
  json["columns"] = std::move(rows);
  json["local_peaks"] = Json::array();
  for (const std::int64_t change : run.local_peaks()) {
    const std::int64_t at = run.pyramid().position_of(change, state.axis);
    if (at < state.range.begin || at >= state.range.end) continue;
    json["local_peaks"].push_back(
        {{"time_ns", run.timeline().changes.time_ns(static_cast<std::size_t>(change))},
         {"bytes", run.pyramid().total_after(change)}});
  }
  const std::int64_t change = state.pinned ? state.pinned->change : run.timeline().peak.change;
  json["instant"] = {{"change", change}, {"alive", alive_json(run, change)}};
  return json.dump(1) + "\n";
}

std::string view_svg(const ViewState& state, const CanvasColours& colours, int width_px,
                     int height_px) {
  std::string out = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{0}' height='{1}' viewBox='0 0 {0} {1}' "
      "font-family='sans-serif' font-size='12'>\n<rect width='{0}' height='{1}' fill='{2}'/>\n",
      width_px, height_px, css_colour(colours.background));
  if (!state.run) return out + "</svg>\n";
  Frame f;
  f.width = std::max(width_px - f.left - 20, 1);
  f.height = std::max(height_px - f.top - 90, 1);
  f.columns = {state.range, f.width};
  f.bytes = {.top_bytes = top_bytes_of(state), .height_px = f.height};
  const std::vector<PixelColumn> columns = columns_of(state, f.columns);
  const std::string& title = state.run->trace().meta.title;
  out += fmt::format("<text x='{}' y='18' fill='{}'>{}{}</text>\n", f.left,
                     css_colour(colours.text), escaped(title.empty() ? state.run->file() : title),
                     escaped(state.filter.empty() ? std::string() : ": " + part_text(state)));
  for (std::size_t k = 0; k < stack_of(state).grouping.names.size(); ++k) {
    const std::string path = band_path(columns, f, k);
    if (path.empty()) continue;
    out += fmt::format("<path d='{}' fill='{}'/>\n", path,
                       css_colour(band_colour(static_cast<Band>(k))));
  }
  out += svg_axes(state, colours, f) + svg_lines(state, colours, f) + svg_legend(state, colours, f);
  return out + "</svg>\n";
}

void export_view(const ViewState& state, const CanvasColours& colours, const std::string& path) {
  if (path.ends_with(".csv")) return write_file(path, columns_csv(state, k_export_width_px));
  if (path.ends_with(".json")) return write_file(path, view_json(state, k_export_width_px));
  if (path.ends_with(".svg")) {
    return write_file(path, view_svg(state, colours, k_export_width_px, k_export_height_px));
  }
  if (path.ends_with(".html")) {
    return write_file(path, view_page(state, colours, k_export_width_px, k_export_height_px));
  }
  throw InputError({.file = "",
                    .place = "export",
                    .expected = "a name that ends in .png, .svg, .csv, .json or .html",
                    .found = path});
}

}  // namespace tidemark
