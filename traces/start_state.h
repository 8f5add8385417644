// The state in which a memory snapshot's recording began: the final state with every event undone.
#pragma once

#include <map>
#include <set>

#include "traces/snapshot.h"

namespace tidemark {

/// Memory that the allocator holds: a segment, or a mapped run of an expandable one.
struct HeldSegment {
  std::int64_t address = 0;
  std::int64_t size_bytes = 0;
  std::int64_t stream = 0;
  bool is_small = false;
  bool is_expandable = false;
  SnapshotPool pool{};
};

/// A block that is in use.
struct HeldBlock {
  std::int64_t size_bytes = -1;  // set aside; -1 = not known
  std::int64_t requested_bytes = 0;
  std::int64_t stream = 0;
  bool is_pending = false;  // given back by the program, still used by another stream
  PickleRef frames = k_no_frames;
};

/// What one device holds, by address.
struct DeviceState {
  std::map<std::int64_t, HeldSegment> segments;
  std::map<std::int64_t, HeldBlock> blocks;
  std::int64_t unmatched = 0;  // events that contradict the state; they were left out

  /// The segment in which `address` lies; nullptr when there is none.
  [[nodiscard]] const HeldSegment* segment_at(std::int64_t address) const;

  /// A block of `rounded_bytes` at `address` owns what follows it when that is too little to be
  /// split off. Returns what the allocator set aside. `largest_rest_bytes`: the most that is never
  /// split off.
  [[nodiscard]] std::int64_t set_aside(std::int64_t address, std::int64_t rounded_bytes,
                                       std::int64_t largest_rest_bytes) const;

  /// Grows or shrinks the mapped runs of expandable segments. False when it contradicts the state.
  bool map(const HeldSegment& range);
  bool unmap(std::int64_t address, std::int64_t size_bytes);
};

/// The final state of one device.
[[nodiscard]] DeviceState final_state(const Snapshot& snapshot, std::int64_t device);

/// Undoes `events` from the last to the first.
[[nodiscard]] DeviceState start_state(const Snapshot& snapshot, std::int64_t device,
                                      const std::vector<SnapshotEvent>& events);

}  // namespace tidemark
