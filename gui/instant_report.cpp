#include "gui/instant_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "gui/labels.h"
#include "gui/legend.h"
#include "sim/html_text.h"
#include "sim/op_table.h"
#include "sim/units.h"

namespace tidemark {
namespace {

constexpr std::size_t k_most_buffers = 50;

std::string signed_bytes(std::int64_t bytes) {
  return (bytes > 0 ? "+" : "") + format_bytes(bytes);
}

std::map<std::string, std::int64_t> bytes_by_name(const Run& run, std::int64_t change) {
  std::map<std::string, std::int64_t> bytes;
  for (const std::size_t row : run.alive().alive_after(change)) {
    const Lifetime life = run.alive().lifetime(row);
    bytes[run.trace()[life.buffer].name] += life.bytes;
  }
  return bytes;
}

std::vector<DifferenceRow> rows_by_name(const Run& here, std::int64_t here_change, const Run& there,
                                        std::int64_t there_change) {
  std::map<std::string, DifferenceRow> merged;
  for (const auto& [name, bytes] : bytes_by_name(here, here_change)) {
    merged[name].here_bytes = bytes;
  }
  for (const auto& [name, bytes] : bytes_by_name(there, there_change)) {
    merged[name].there_bytes = bytes;
  }
  std::vector<DifferenceRow> rows;
  for (auto& [name, row] : merged) {
    row.name = name;
    if (row.change_bytes() != 0) rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const DifferenceRow& a, const DifferenceRow& b) {
    return std::abs(a.change_bytes()) > std::abs(b.change_bytes());
  });
  rows.resize(std::min(rows.size(), k_most_buffers));
  return rows;
}

std::string table_row(const std::vector<std::string>& cells) {
  std::string html = "<tr>";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    html += i == 0 ? "<td style='white-space:nowrap'>" : "<td align=right>&nbsp;&nbsp;&nbsp;";
    html += cells[i] + "</td>";
  }
  return html + "</tr>";
}

std::string difference_table(const std::vector<DifferenceRow>& rows) {
  std::string html;
  for (const DifferenceRow& row : rows) {
    html += table_row({escaped(row.name), format_bytes(row.here_bytes),
                       format_bytes(row.there_bytes), signed_bytes(row.change_bytes())});
  }
  return html;
}

struct Maker {
  std::string names;
  std::int64_t time_ns = 0;
  bool recomputable = true;
  bool known = false;
};

/// The ops that write the first version of the buffer.
Maker maker_of(const Run& run, const AliveRow& row) {
  Maker maker;
  const Trace& trace = run.trace();
  const std::int64_t end_ns = row.free_ns < 0 ? run.whole(Axis::time).end : row.free_ns + 1;
  for (const std::int32_t use : run.uses().uses(row.buffer, row.alloc_ns, end_ns)) {
    const OpSpan& span = run.timeline().spans[static_cast<std::size_t>(use)];
    const Op& op = trace[span.op];
    const auto writes = [&](const Operand& operand) {
      return storage_of(trace, operand.buffer) == row.buffer && operand.writes >= 0;
    };
    if (std::ranges::none_of(op.operands, writes)) continue;
    maker.known = true;
    if (!maker.names.empty()) maker.names += ", ";
    maker.names += op.name;
    maker.time_ns += span.end_ns - span.begin_ns;
    maker.recomputable = maker.recomputable && op_rule(op.kind).recomputable;
    if (maker.names.size() > 200) break;
  }
  return maker;
}

std::string could_remove(const Run& run, const AliveRow& row) {
  if (row.idle_ns <= 0) {
    return "<p>It has no idle time between uses: nothing can be gained by taking it away.</p>";
  }
  const Category category = run.trace()[row.buffer].category;
  const double link_bytes_per_s =
      2.0 * static_cast<double>(row.bytes) / (static_cast<double>(row.idle_ns) * 1e-9);
  std::string html = fmt::format(
      "<p>Offload: away for {}, it frees {}; a link must bring it out and back at {:.2f} GiB/s at "
      "least to cost no time.</p>",
      format_ns(row.idle_ns), format_bytes(row.bytes), link_bytes_per_s / (1 << 30));
  const bool kept = category == Category::activation || category == Category::temporary ||
                    category == Category::recomputed_activation;
  const Maker maker = maker_of(run, row);
  if (kept && maker.known && maker.recomputable) {
    html += fmt::format("<p>Recompute: run {} again, {} more in each step.</p>",
                        escaped(maker.names), format_ns(maker.time_ns));
  } else if (kept && maker.known) {
    html += fmt::format("<p>Recompute: not possible, {} cannot be run again alone.</p>",
                        escaped(maker.names));
  } else if (!kept) {
    html += fmt::format("<p>Recompute: not possible, a {} has to be kept.</p>",
                        spoken(to_string(category)));
  }
  return html;
}

}  // namespace

std::optional<Difference> difference_at(const ViewState& state, const Overlay& other,
                                        const Instant& instant) {
  const auto there_change = change_at_same_point(state, other, instant);
  if (!there_change) return std::nullopt;
  const Run& here = *state.run;
  const Run& there = *other.run;
  Difference difference;
  const BandBytes here_bands = here.pyramid().state_after(instant.change);
  const BandBytes there_bands = there.pyramid().state_after(*there_change);
  for (std::size_t k = k_band_count; k-- > 0;) {
    if (here_bands[k] == 0 && there_bands[k] == 0) continue;
    difference.categories.push_back(
        {spoken(to_string(static_cast<Band>(k))), here_bands[k], there_bands[k]});
  }
  difference.buffers = rows_by_name(here, instant.change, there, *there_change);
  difference.here_bytes = total_bytes(here_bands);
  difference.there_bytes = total_bytes(there_bands);
  return difference;
}

std::string difference_html(const ViewState& state, const Instant& instant) {
  if (!state.run) return {};
  if (state.others.empty()) {
    return "<p>Nothing is compared. Ctrl+Shift+O lays another run over this one.</p>";
  }
  std::string html;
  for (const Overlay& other : state.others) {
    const std::string label = escaped(label_of(state, *other.run));
    const auto difference = difference_at(state, other, instant);
    if (!difference) {
      html += fmt::format("<p>{}: has no such point.</p>", label);
      continue;
    }
    html += "<table>";
    html += table_row({"<b>" + label + " at the same point</b>",
                       "<b>" + escaped(label_of(state, *state.run)) + "</b>",
                       "<b>" + label + "</b>", "<b>change</b>"});
    html += difference_table(difference->categories);
    html += table_row(
        {"<b>all</b>", "<b>" + format_bytes(difference->here_bytes) + "</b>",
         "<b>" + format_bytes(difference->there_bytes) + "</b>",
         "<b>" + signed_bytes(difference->there_bytes - difference->here_bytes) + "</b>"});
    html += "<tr><td colspan=4><br><b>Largest changes by buffer</b></td></tr>";
    html += difference_table(difference->buffers) + "</table>";
  }
  return html;
}

std::string why_alive_html(const Run& run, const AliveRow& row, std::int64_t zero_ns) {
  const Trace& trace = run.trace();
  const Buffer& buffer = trace[row.buffer];
  const auto at = [zero_ns](std::int64_t ns) { return format_time_ns(ns - zero_ns); };
  std::string html = fmt::format("<h4>{}</h4><table>", escaped(buffer.name));
  html += table_row({"size", format_bytes(row.bytes)});
  html += table_row({"category", spoken(to_string(buffer.category))});
  html += table_row({"layer", escaped(layer_name(trace, buffer.layer))});
  html += table_row({"allocated at", at(row.alloc_ns)});
  html += table_row({"freed at", row.free_ns < 0 ? "never" : at(row.free_ns)});
  if (row.first_use_ns >= 0) {
    html += table_row({"first use at", at(row.first_use_ns)});
    html += table_row({"last use at", at(row.last_use_ns)});
    html += table_row(
        {"longest time without a use", row.idle_ns < 0 ? "-" : format_time_ns(row.idle_ns)});
    html += table_row({"bytes x idle time",
                       row.idle_ns < 0 ? "-"
                                       : fmt::format("{:.3f} GiB s",
                                                     static_cast<double>(row.bytes) / (1 << 30) *
                                                         static_cast<double>(row.idle_ns) * 1e-9)});
  }
  html += "</table>";
  if (run.timeline().spans.empty()) {
    return html + "<p>The recording has no ops: who uses it is not known.</p>";
  }
  if (row.first_use_ns < 0) return html + "<p>No op uses it while it is alive.</p>";
  return html + could_remove(run, row);
}

std::string range_html(const ViewState& state, ViewRange range) {
  const Run& run = *state.run;
  const RangeStatistics s = range_statistics(run, range, state.axis);
  const std::int64_t zero_ns = state.one_step ? run.steady_step(Axis::time).begin : 0;
  const Instant peak = instant_at(run, s.peak_change, range.begin, state.axis);
  std::string html = "<table>";
  html += table_row({"length", state.axis == Axis::time ? format_time_ns(range.span())
                                                        : fmt::format("{} events", range.span())});
  html += table_row({"peak", fmt::format("<b>{}</b> at {}", format_bytes(s.peak_bytes),
                                         format_time_ns(peak.time_ns - zero_ns))});
  html += table_row({"mean", format_bytes(static_cast<std::int64_t>(s.mean_bytes))});
  html += table_row({"least", format_bytes(s.min_bytes)});
  html += table_row(
      {"allocations", fmt::format("{} ({})", s.alloc_count, format_bytes(s.allocated_bytes))});
  html += table_row({"frees", fmt::format("{}", s.free_count)});
  html += table_row({"largest allocation", format_bytes(s.largest_bytes)});
  html += table_row({"allocated in the range and alive at its end",
                     fmt::format("{} ({})", s.survivor_count, format_bytes(s.survivor_bytes))});
  html += "<tr><td colspan=2><br><b>Mean by group</b></td></tr>";
  const std::vector<std::string>& names = stack_of(state).grouping.names;
  const std::vector<double> means = mean_by_group(state, range);
  for (std::size_t k = names.size(); k-- > 0;) {
    if (means[k] < 1) continue;
    html +=
        table_row({escaped(spoken(names[k])), format_bytes(static_cast<std::int64_t>(means[k]))});
  }
  return html + "</table>";
}

std::vector<AddressPart> address_parts(const Run& run, std::int64_t change) {
  std::vector<AddressPart> parts;
  for (const std::size_t row : run.alive().alive_after(change)) {
    const Lifetime life = run.alive().lifetime(row);
    const std::int64_t offset_bytes = run.trace()[life.buffer].offset_bytes;
    if (offset_bytes < 0) continue;
    parts.push_back({offset_bytes, offset_bytes + life.bytes, life.buffer});
  }
  std::sort(parts.begin(), parts.end(), [](const AddressPart& a, const AddressPart& b) {
    return a.begin_bytes < b.begin_bytes;
  });
  std::vector<AddressPart> all;
  std::int64_t end_bytes = 0;
  for (const AddressPart& part : parts) {
    if (part.begin_bytes > end_bytes) all.push_back({end_bytes, part.begin_bytes, BufferId{}});
    all.push_back(part);
    end_bytes = std::max(end_bytes, part.end_bytes);
  }
  return all;
}

}  // namespace tidemark
