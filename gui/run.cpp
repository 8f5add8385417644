#include "gui/run.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include "gui/recordings.h"
#include "gui/view_index.h"
#include "sim/check.h"
#include "sim/run_state.h"
#include "traces/error.h"
#include "traces/event_stream.h"
#include "traces/mapped.h"

namespace tidemark {

namespace {

/// Steps of the constructors that all runs share.
std::unique_ptr<const GroupedStack> stack_of(const Trace& trace, const RunTimeline& timeline,
                                             const AliveIndex& alive) {
  return std::make_unique<const GroupedStack>(
      timeline.changes, group_buffers(trace, timeline, alive, StackBy::category));
}

}  // namespace

GroupedStack::GroupedStack(const ChangeColumns& changes, Grouping by)
    : grouping(std::move(by)), pyramid(changes, grouping) {}

GroupedStack::GroupedStack(const ChangeColumns& changes, Grouping by, Pyramid::Arrays arrays)
    : grouping(std::move(by)), pyramid(changes, grouping, std::move(arrays)) {}

GroupedStack::GroupedStack(const Pyramid& totals, Grouping by)
    : grouping(std::move(by)), pyramid(totals, grouping) {}

Run::Run(std::string file, Trace trace)
    : file_(std::move(file)),
      trace_(std::move(trace)),
      timeline_(take_timeline(trace_)),
      alive_(std::make_unique<AliveIndex>(timeline_.changes, trace_.buffers.size())),
      stack_(stack_of(trace_, timeline_, *alive_)) {}

Run::Run(std::string file, Trace trace, RunTimeline timeline, std::uint64_t fingerprint)
    : file_(std::move(file)),
      fingerprint_(fingerprint),
      trace_(std::move(trace)),
      timeline_(std::move(timeline)),
      alive_(std::make_unique<AliveIndex>(timeline_.changes, trace_.buffers.size())),
      stack_(stack_of(trace_, timeline_, *alive_)) {}

Run::Run(std::shared_ptr<const Run> whole, RunTimeline timeline,
         std::vector<std::uint32_t> of_whole)
    : whole_(std::move(whole)),
      of_whole_(std::move(of_whole)),
      file_(whole_->file()),
      timeline_(std::move(timeline)),
      alive_(std::make_unique<AliveIndex>(timeline_.changes, trace().buffers.size())),
      stack_(stack_of(trace(), timeline_, *alive_)) {}

Run::Run(std::string file, Trace trace, std::shared_ptr<const ViewIndex> index)
    : file_(std::move(file)),
      trace_(std::move(trace)),
      index_(std::move(index)),
      timeline_(index_->timeline(trace_, trace_.events)),
      alive_(std::make_unique<AliveIndex>(timeline_.changes, index_->alive())),
      stack_(std::make_unique<GroupedStack>(
          timeline_.changes, group_buffers(trace_, timeline_, *alive_, StackBy::category),
          index_->pyramid())) {}

Run::~Run() = default;

std::uint64_t Run::fingerprint_to_store() const {
  return pyramid().change_count() >= ViewIndex::k_least_changes ? fingerprint_ : 0;
}

const GroupedStack& Run::stack_by(StackBy by) const {
  if (by == StackBy::category) return *stack_;
  const std::lock_guard lock(lazy_);
  auto& stack = stacks_[static_cast<std::size_t>(by)];
  if (!stack) {
    stack = std::make_unique<const GroupedStack>(stack_->pyramid,
                                                 group_buffers(trace(), timeline_, *alive_, by));
  }
  return *stack;
}

const UseIndex& Run::uses() const {
  const std::lock_guard lock(lazy_);
  if (!uses_) uses_ = std::make_unique<const UseIndex>(trace(), timeline_.spans);
  return *uses_;
}

const std::vector<std::int64_t>& Run::local_peaks() const {
  const std::lock_guard lock(lazy_);
  if (!local_peaks_) {
    local_peaks_ = std::make_unique<const std::vector<std::int64_t>>(find_local_peaks(
        timeline_.changes, std::max<std::int64_t>(timeline_.run_peak.bytes / 100, 1)));
  }
  return *local_peaks_;
}

const StepSpread& Run::spread() const {
  const std::lock_guard lock(lazy_);
  if (!spread_) spread_ = std::make_unique<const StepSpread>(spread_of(*this));
  return *spread_;
}

std::int64_t Run::in_whole(std::int64_t change) const {
  return whole_ && change >= 0 ? of_whole_[static_cast<std::size_t>(change)] : change;
}

std::int64_t Run::of_whole(std::int64_t change) const {
  if (!whole_ || change < 0) return change;
  return std::ranges::upper_bound(of_whole_, static_cast<std::uint32_t>(change)) -
         of_whole_.begin() - 1;
}

ViewRange Run::whole(Axis axis) const {
  if (axis == Axis::change) return {0, std::max<std::int64_t>(pyramid().change_count(), 1)};
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
    range.begin = pyramid().first_change_from(begin_ns, Axis::time);
    range.end = std::max(pyramid().first_change_from(end_ns, Axis::time), range.begin + 1);
  }
  return range;
}

ViewRange Run::steady_step(Axis axis) const {
  if (timeline_.step_begin_ns.empty()) return whole(axis);
  return step(timeline_.step_begin_ns.size() - 1, axis);
}

namespace {

/// Nothing for a file that read_trace() has to read: compressed, text, damaged.
RunPtr load_streamed(const std::string& path, LoadControl& control) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(path, none)) return nullptr;
  const FileMapping file(path);
  Trace trace;
  std::unique_ptr<RunRecording> recording;
  std::shared_ptr<const ViewIndex> index;
  struct Stop {};
  const std::uint64_t fingerprint = fingerprint_of(file.bytes());
  const EventReceiver receiver{
      .begin =
          [&](std::int64_t event_count) {
            if (event_count == 0 || !trace.ranks.empty()) throw Stop{};
            if (event_count >= ViewIndex::k_least_changes) {
              index =
                  ViewIndex::open(view_index_path(view_index_folder(), fingerprint), fingerprint);
              if (index) throw Stop{};
            }
            control.events_all = event_count;
            recording =
                std::make_unique<RunRecording>(trace, static_cast<std::size_t>(event_count));
          },
      .take =
          [&](std::span<const BriefEvent> events) {
            if (control.stop) throw Stop{};
            for (const BriefEvent& event : events) recording->take(event);
            control.events_done += static_cast<std::int64_t>(events.size());
          }};
  try {
    if (!stream_trace(file.bytes(), trace, receiver)) return nullptr;
  } catch (const Stop&) {
    if (!index) return nullptr;
    return std::make_shared<const Run>(path, std::move(trace), std::move(index));
  }
  RunTimeline timeline = recording->finish(trace.events);
  return std::make_shared<const Run>(path, std::move(trace), std::move(timeline), fingerprint);
}

/// One that has something to show, and can be walked.
void require_shown(const Trace& trace, const std::string& path) {
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
}

}  // namespace

std::vector<RunPtr> load_runs(const std::string& path, LoadControl* control) {
  LoadControl own;
  LoadControl& used = control == nullptr ? own : *control;
  if (RunPtr run = load_streamed(path, used)) return {run};
  std::vector<RunPtr> runs;
  if (used.stop) return runs;
  for (Trace& trace : read_recordings(path)) {
    if (used.stop) return {};
    require_shown(trace, path);
    runs.push_back(std::make_shared<const Run>(path, std::move(trace)));
  }
  std::ranges::stable_sort(runs, std::ranges::greater(),
                           [](const RunPtr& run) { return run->timeline().run_peak.bytes; });
  return runs;
}

RunPtr load_run(const std::string& path, LoadControl* control) {
  const std::vector<RunPtr> runs = load_runs(path, control);
  return runs.empty() ? nullptr : runs.front();
}

std::vector<std::int64_t> find_local_peaks(const ChangeColumns& changes, std::int64_t least_bytes) {
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
  for (std::size_t i = 0; i < changes.size(); ++i) {
    total += changes.delta_bytes(i);
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
