#include "sim/export_csv.h"

#include <fmt/format.h>

#include <iterator>

#include "sim/csv_text.h"
#include "sim/export_events.h"

namespace tidemark {

std::string events_csv(const Trace& trace) {
  const std::vector<Category> categories = categories_of(trace);
  std::string out =
      "time_ns,step,event,buffer,layer,category,space,rank,requested_bytes,counted_bytes,"
      "address_bytes,live_bytes";
  for (const Category c : categories) out += fmt::format(",{}_bytes", to_string(c));
  out += "\n";
  LiveBytes live(trace);
  std::vector<std::int64_t> addresses(trace.buffers.size(), -1);
  std::int32_t step = -1;
  for (const Event& e : events_of(trace)) {
    if (e.kind == EventKind::step_begin) step = e.index;
    if (e.kind == EventKind::step_end) step = -1;
    if (!live.apply(e)) continue;
    const auto row = static_cast<std::size_t>(e.index);
    const Buffer& b = trace.buffers[row];
    if (e.kind == EventKind::alloc) addresses[row] = e.address_bytes;
    fmt::format_to(std::back_inserter(out), "{},{},{},{},{},{},{},{},{},{},{},{}", e.time_ns, step,
                   to_string(e.kind), csv_field(b.name), csv_field(layer_path(trace, b.layer)),
                   to_string(b.category), to_string(b.space.kind), b.space.rank, b.size_bytes,
                   counted_bytes(b), addresses[row], live.total(b.space));
    for (const Category c : categories) {
      fmt::format_to(std::back_inserter(out), ",{}", live.in(b.space)[static_cast<std::size_t>(c)]);
    }
    out += "\n";
  }
  return out;
}

std::string peaks_csv(const Trace& trace) {
  std::string out = "space,rank,peak,time_ns,category,bytes\n";
  const auto rows = [&out](Space space, std::string_view name, const Peak& peak) {
    if (peak.change < 0) return;
    const auto put = [&](std::string_view category, std::int64_t bytes) {
      fmt::format_to(std::back_inserter(out), "{},{},{},{},{},{}\n", to_string(space.kind),
                     space.rank, name, peak.time_ns, category, bytes);
    };
    for (std::size_t i = 0; i < k_category_count; ++i) {
      if (peak.by_category[i] > 0) put(to_string(static_cast<Category>(i)), peak.by_category[i]);
    }
    put("total", peak.bytes);
  };
  for (const Space space : LiveBytes(trace).spaces()) {
    const Timeline t = timeline_of(trace, space);
    rows(space, "step", t.peak);
    rows(space, "run", t.run_peak);
    rows(space, "eval", t.eval_peak);
  }
  return out;
}

}  // namespace tidemark
