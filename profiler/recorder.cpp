#include "profiler/recorder.h"

#include <time.h>

#include <algorithm>

namespace tidemark {

std::int64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void Recorder::step_begin(std::int32_t step) {
  step_ = step;
  step_first_ = events_.size();
  step_cpu_begin_ns_ = thread_cpu_ns();
  now(EventKind::step_begin, step, -1, 0);
  step_begin_ns_ = on_ ? events_.back().time_ns : clock_.now_ns();
}

void Recorder::step_end(StepRecord& record) {
  now(EventKind::step_end, step_, -1, 0);
  record.step = step_;
  record.wall_ns = (on_ ? events_.back().time_ns : clock_.now_ns()) - step_begin_ns_;
  record.cpu_ns = thread_cpu_ns() - step_cpu_begin_ns_;
}

void Recorder::drop_step() {
  events_.resize(step_first_);
  merged_ = std::min(merged_, step_first_);
}

void Recorder::merge(std::span<const CopySpan> spans) {
  if (!on_) return;
  for (const CopySpan& span : spans) {
    events_.push_back({EventKind::op_begin, span.begin_ns, span.op.value, -1, 0});
    events_.push_back({EventKind::op_end, span.end_ns, span.op.value, -1, 0});
  }
  const auto first = events_.begin() + static_cast<std::ptrdiff_t>(merged_);
  if (!spans.empty()) {
    std::stable_sort(first, events_.end(),
                     [](const Event& a, const Event& b) { return a.time_ns < b.time_ns; });
  }
  merged_ = events_.size();
}

void Recorder::restamp(std::span<const CopySpan> spans) {
  if (!on_) return;
  // The device is idle: what two clocks say apart must not reach beyond now.
  const std::int64_t now_ns = clock_.now_ns();
  std::size_t next = 0;
  std::int64_t time_ns = merged_ > 0 ? events_[merged_ - 1].time_ns : 0;
  for (std::size_t i = merged_; i < events_.size() && next < spans.size(); ++i) {
    Event& event = events_[i];
    if (event.kind == EventKind::op_begin)
      time_ns = std::max(time_ns, std::min(spans[next].begin_ns, now_ns));
    if (event.kind == EventKind::op_end)
      time_ns = std::max(time_ns, std::min(spans[next++].end_ns, now_ns));
    if (event.kind == EventKind::step_begin) time_ns = std::max(time_ns, event.time_ns);
    event.time_ns = time_ns;
  }
  for (std::size_t i = events_.size(); i-- > merged_ && events_[i].time_ns < time_ns;) {
    events_[i].time_ns = time_ns;  // behind the last op
  }
}

namespace {

std::int64_t median(std::vector<std::int64_t>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

void set_durations(Trace& trace, TimeSource source) {
  std::int32_t steps = 0;
  for (const Event& event : trace.events) steps += event.kind == EventKind::step_end ? 1 : 0;
  std::vector<std::int64_t> begin_ns(trace.ops.size(), 0);
  std::vector<std::vector<std::int64_t>> durations(trace.ops.size());
  bool in_cold_step = false;
  for (const Event& event : trace.events) {
    const auto row = static_cast<std::size_t>(event.index);
    if (event.kind == EventKind::step_begin) in_cold_step = steps > 1 && event.index == 0;
    if (event.kind == EventKind::step_end) in_cold_step = false;
    if (event.kind == EventKind::op_begin) begin_ns[row] = event.time_ns;
    if (event.kind != EventKind::op_end || in_cold_step) continue;
    durations[row].push_back(event.time_ns - begin_ns[row]);
  }
  for (std::size_t i = 0; i < durations.size(); ++i) {
    if (durations[i].empty()) continue;
    trace.ops[i].duration_ns = median(durations[i]);
    trace.ops[i].time_source = source;
  }
}

}  // namespace tidemark
