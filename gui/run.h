// One opened run: the trace, its timeline and the indices over it. Immutable, so that a worker
// thread may build it and the window may read it without locks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gui/lifetimes.h"
#include "gui/pyramid.h"
#include "gui/view_range.h"

namespace tidemark {

class Run {
 public:
  Run(std::string file, Trace trace, Timeline timeline);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] const Trace& trace() const { return trace_; }
  [[nodiscard]] const Timeline& timeline() const { return timeline_; }
  [[nodiscard]] const Pyramid& pyramid() const { return pyramid_; }
  [[nodiscard]] const AliveIndex& alive() const { return alive_; }
  [[nodiscard]] const UseIndex& uses() const { return uses_; }
  /// Changes that lead to a local peak: a rise and a fall of at least 1 % of the run's peak.
  [[nodiscard]] const std::vector<std::int64_t>& local_peaks() const { return local_peaks_; }

  /// Everything, in units of `axis`.
  [[nodiscard]] ViewRange whole(Axis axis) const;
  /// Step `row` (a row of timeline().step_begin_ns), up to the begin of the next. One that was cut
  /// off before any step was done goes to the end of the recording.
  [[nodiscard]] ViewRange step(std::size_t row, Axis axis) const;
  /// The last step, of which `peak_bytes` speaks; the whole run when there are no steps.
  [[nodiscard]] ViewRange steady_step(Axis axis) const;

 private:
  std::string file_;
  Trace trace_;
  Timeline timeline_;
  Pyramid pyramid_;
  AliveIndex alive_;
  UseIndex uses_;
  std::vector<std::int64_t> local_peaks_;
};

using RunPtr = std::shared_ptr<const Run>;

/// Reads, checks and indexes a trace file. Throws InputError when it cannot be shown.
[[nodiscard]] RunPtr load_run(const std::string& path);

/// Changes after which the total is a local maximum that stands out by `least_bytes` on both sides
/// (the begin and the end of the run count as 0 bytes). In order.
[[nodiscard]] std::vector<std::int64_t> find_local_peaks(const Timeline& timeline,
                                                         std::int64_t least_bytes);

}  // namespace tidemark
