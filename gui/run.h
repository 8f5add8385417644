// One opened run: the trace, its timeline and the indices over it. Immutable, so that a worker
// thread may build it and the window may read it without locks.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gui/grouping.h"
#include "gui/lifetimes.h"
#include "gui/pyramid.h"
#include "gui/run_timeline.h"
#include "gui/step_spread.h"
#include "gui/view_range.h"

namespace tidemark {

class ViewIndex;

/// The stack of a run by one grouping.
struct GroupedStack {
  Grouping grouping;
  Pyramid pyramid;  // refers to `grouping`
  GroupedStack(const ChangeColumns& changes, Grouping by);
  GroupedStack(const ChangeColumns& changes, Grouping by, Pyramid::Arrays arrays);
  GroupedStack(const Pyramid& totals, Grouping by);
  GroupedStack(const GroupedStack&) = delete;
  GroupedStack& operator=(const GroupedStack&) = delete;
};

class Run {
 public:
  /// Takes the events of `trace` (take_timeline()). Throws nothing: the trace is safe to walk.
  Run(std::string file, Trace trace);
  /// `timeline` was made of the events of `trace`, which has only those that it kept.
  /// `fingerprint`: of the file, to store an index by; 0 = it has none.
  Run(std::string file, Trace trace, RunTimeline timeline, std::uint64_t fingerprint = 0);
  /// A part of the changes of `whole`, by their rows there, ascending.
  Run(std::shared_ptr<const Run> whole, RunTimeline timeline, std::vector<std::uint32_t> of_whole);
  /// Over the arrays of a stored index.
  Run(std::string file, Trace trace, std::shared_ptr<const ViewIndex> index);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  [[nodiscard]] const std::string& file() const { return file_; }
  /// Not 0: an index of this run is worth storing, and is not stored yet.
  [[nodiscard]] std::uint64_t fingerprint_to_store() const;
  /// Of its events only those that RunRecording::finish() keeps: the others are in timeline().
  [[nodiscard]] const Trace& trace() const { return whole_ ? whole_->trace() : trace_; }
  [[nodiscard]] const RunTimeline& timeline() const { return timeline_; }
  [[nodiscard]] const AliveIndex& alive() const { return *alive_; }
  /// By category.
  [[nodiscard]] const GroupedStack& stack() const { return *stack_; }
  [[nodiscard]] const Pyramid& pyramid() const { return stack_->pyramid; }
  /// By any grouping; made when it is first asked for, for a moment on large runs.
  [[nodiscard]] const GroupedStack& stack_by(StackBy by) const;
  /// Made when it is first asked for.
  [[nodiscard]] const UseIndex& uses() const;
  /// Changes that lead to a local peak: a rise and a fall of at least 1 % of the run's peak.
  [[nodiscard]] const std::vector<std::int64_t>& local_peaks() const;
  /// All steps over the steady one; made when it is first asked for.
  [[nodiscard]] const StepSpread& spread() const;

  /// The run that this is a part of; null for a whole one.
  [[nodiscard]] const std::shared_ptr<const Run>& whole_run() const { return whole_; }
  /// A change of this run among those of the whole one; -1 stays.
  [[nodiscard]] std::int64_t in_whole(std::int64_t change) const;
  /// The last change of this run at or before a change of the whole one; -1: before all.
  [[nodiscard]] std::int64_t of_whole(std::int64_t change) const;

  /// Everything, in units of `axis`.
  [[nodiscard]] ViewRange whole(Axis axis) const;
  /// Step `row` (a row of timeline().step_begin_ns), up to the begin of the next. One that was cut
  /// off before any step was done goes to the end of the recording.
  [[nodiscard]] ViewRange step(std::size_t row, Axis axis) const;
  /// The last step, of which `peak_bytes` speaks; the whole run when there are no steps.
  [[nodiscard]] ViewRange steady_step(Axis axis) const;

 private:
  std::shared_ptr<const Run> whole_;
  std::vector<std::uint32_t> of_whole_;
  std::string file_;
  std::uint64_t fingerprint_ = 0;
  Trace trace_;
  std::shared_ptr<const ViewIndex> index_;  // what the arrays below may lie in
  RunTimeline timeline_;
  std::unique_ptr<const AliveIndex> alive_;
  std::unique_ptr<const GroupedStack> stack_;
  mutable std::mutex lazy_;
  mutable std::array<std::unique_ptr<const GroupedStack>, k_group_by_count> stacks_;
  mutable std::unique_ptr<const UseIndex> uses_;
  mutable std::unique_ptr<const std::vector<std::int64_t>> local_peaks_;
  mutable std::unique_ptr<const StepSpread> spread_;
};

using RunPtr = std::shared_ptr<const Run>;

/// How far a worker is, and the wish that it ends early.
struct LoadControl {
  std::atomic<bool> stop = false;
  std::atomic<std::int64_t> events_done = 0;
  std::atomic<std::int64_t> events_all = 0;  // 0: not known
};

/// Reads, checks and indexes what a file shows: one run, or one per device of a recording of other
/// tools (gui/recordings.h), those with the most bytes first. Throws InputError when it cannot be
/// shown. Empty only when it was asked to stop.
[[nodiscard]] std::vector<RunPtr> load_runs(const std::string& path,
                                            LoadControl* control = nullptr);
/// The first of them; null only when it was asked to stop.
[[nodiscard]] RunPtr load_run(const std::string& path, LoadControl* control = nullptr);

/// Changes after which the total is a local maximum that stands out by `least_bytes` on both sides
/// (the begin and the end of the run count as 0 bytes). In order.
[[nodiscard]] std::vector<std::int64_t> find_local_peaks(const ChangeColumns& changes,
                                                         std::int64_t least_bytes);

}  // namespace tidemark
