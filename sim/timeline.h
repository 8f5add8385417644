// Bytes by category over time in one space, from a recording or from the replay of a program.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

using CategoryBytes = std::array<std::int64_t, k_category_count>;

/// One allocation (positive) or free (negative), bytes rounded up to k_granule_bytes.
struct MemoryChange {
  std::int64_t time_ns = 0;
  BufferId buffer;
  std::int64_t delta_bytes = 0;
  std::int32_t step = -1;  // -1 before the first and after the last step
  OpId op;                 // the op that is issued next (alloc) or was issued last (free)
  bool operator==(const MemoryChange&) const = default;
};

/// One execution of an op.
struct OpSpan {
  OpId op;
  std::int32_t step = -1;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  bool operator==(const OpSpan&) const = default;
};

/// The state right after changes[change] took effect.
struct Peak {
  std::int64_t bytes = 0;
  std::int64_t time_ns = 0;
  std::int64_t change = -1;  // index in Timeline::changes; -1 when nothing was ever allocated
  CategoryBytes by_category{};
  std::vector<BufferId> owners{};  // live buffers, largest first, ties by id
  bool operator==(const Peak&) const = default;
};

struct Timeline {
  Space space;
  std::vector<MemoryChange> changes;  // in issue order; time does not decrease
  std::vector<OpSpan> spans;          // by begin
  std::vector<std::int64_t> step_begin_ns;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::int64_t step_ns = 0;  // time of one steady step (the last step of several)
  Peak peak;                 // of one steady step: the `peak_bytes` of every report
  Peak run_peak;             // with init, eval and final
  Peak eval_peak;            // of an evaluation; change -1 when there was none
  bool operator==(const Timeline&) const = default;
};

/// Replays the program of `trace` (levels 1 and 2) in `space`: init, `steps` times the body, eval
/// after the steps where it is due and once at least, final.
/// Streams run in order; an op starts when its stream is free and the events it waits for are
/// recorded. Ops without a duration take 0 ns. init and final take their durations too.
/// The trace must have passed check().
[[nodiscard]] Timeline replay(const Trace& trace, Space space = {}, int steps = 1);

/// The events of `trace` as they were recorded, in `space`. The peak is that of the last complete
/// step, or of the whole run when there are no steps (level 0).
[[nodiscard]] Timeline recorded_timeline(const Trace& trace, Space space = {});

/// The recording when there is one, else the replay of the program.
[[nodiscard]] Timeline timeline_of(const Trace& trace, Space space = {});

/// Buffers alive right after changes[change], largest first, ties by id; none for change < 0.
[[nodiscard]] std::vector<BufferId> live_after(const Trace& trace, const Timeline& timeline,
                                               std::int64_t change);

/// Most bytes that the given categories hold together at any instant of the last complete step (of
/// the whole timeline when it has no steps).
[[nodiscard]] std::int64_t highest_bytes(const Trace& trace, const Timeline& timeline,
                                         const std::vector<Category>& categories);

}  // namespace tidemark
