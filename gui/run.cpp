#include "gui/run.h"

#include <algorithm>

#include "sim/check.h"
#include "sim/run_state.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {

Run::Run(std::string file, Trace trace, Timeline timeline)
    : file_(std::move(file)),
      trace_(std::move(trace)),
      timeline_(std::move(timeline)),
      pyramid_(trace_, timeline_),
      alive_(trace_, timeline_),
      uses_(trace_, timeline_),
      local_peaks_(
          find_local_peaks(timeline_, std::max<std::int64_t>(timeline_.run_peak.bytes / 100, 1))) {}

ViewRange Run::whole(Axis axis) const {
  if (axis == Axis::change) return {0, std::max<std::int64_t>(pyramid_.change_count(), 1)};
  std::int64_t end_ns = std::max(timeline_.end_ns, timeline_.begin_ns + 1);
  if (!timeline_.changes.empty()) {
    end_ns = std::max(end_ns, timeline_.changes.back().time_ns + 1);
  }
  return {timeline_.begin_ns, end_ns};
}

ViewRange Run::step(std::size_t row, Axis axis) const {
  const auto& begins_ns = timeline_.step_begin_ns;
  const std::int64_t begin_ns = begins_ns[row];
  // A step that was cut off before any was done has no length: it ends with the recording.
  const std::int64_t last_end_ns =
      timeline_.step_ns > 0 ? begin_ns + timeline_.step_ns : whole(Axis::time).end;
  const std::int64_t end_ns = row + 1 < begins_ns.size() ? begins_ns[row + 1] : last_end_ns;
  ViewRange range{begin_ns, std::max(end_ns, begin_ns + 1)};
  if (axis == Axis::change) {
    range.begin = pyramid_.first_change_from(begin_ns, Axis::time);
    range.end = std::max(pyramid_.first_change_from(end_ns, Axis::time), range.begin + 1);
  }
  return range;
}

ViewRange Run::steady_step(Axis axis) const {
  if (timeline_.step_begin_ns.empty()) return whole(axis);
  return step(timeline_.step_begin_ns.size() - 1, axis);
}

RunPtr load_run(const std::string& path) {
  Trace trace = read_trace(path);
  if (!trace.ranks.empty()) {
    throw InputError({.file = path,
                      .place = "",
                      .expected = "the trace of one rank",
                      .found = "an index of several; open " + trace.ranks.front().file});
  }
  if (trace.events.empty() && trace.program.body.empty() && trace.program.init.empty()) {
    throw InputError({.file = path,
                      .place = "",
                      .expected = "events or a program",
                      .found = is_whole(trace.health) ? "neither: there is nothing to show"
                                                      : "neither: there is nothing to show. " +
                                                            health_line(trace.health)});
  }
  // A program is replayed, and replay trusts its input.
  if (trace.events.empty()) require_legal(trace, path);
  Timeline timeline = timeline_of(trace);
  return std::make_shared<const Run>(path, std::move(trace), std::move(timeline));
}

std::vector<std::int64_t> find_local_peaks(const Timeline& timeline, std::int64_t least_bytes) {
  std::vector<std::int64_t> peaks;
  std::int64_t total = 0;
  std::int64_t low = 0;   // since the last peak
  std::int64_t high = 0;  // since the last valley
  std::int64_t high_change = -1;
  bool rising = true;
  const auto take = [&] {
    if (high_change >= 0) peaks.push_back(high_change);
    rising = false;
    low = total;
  };
  for (std::size_t i = 0; i < timeline.changes.size(); ++i) {
    total += timeline.changes[i].delta_bytes;
    if (rising && total > high) {
      high = total;
      high_change = static_cast<std::int64_t>(i);
    }
    if (rising && total <= high - least_bytes) take();
    low = std::min(low, total);
    if (!rising && total >= low + least_bytes) {
      rising = true;
      high = total;
      high_change = static_cast<std::int64_t>(i);
    }
  }
  if (rising && high >= least_bytes) {
    total = 0;
    take();
  }
  return peaks;
}

}  // namespace tidemark
