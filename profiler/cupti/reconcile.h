// Three counts of one device's memory held against each other: what the program's allocator says,
// what CUPTI saw the driver hand out, and what the device itself says is in use.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// One device at one instant. The parts add up to used_bytes:
/// device_bytes + pool_slack_bytes + profiler_bytes + residual_bytes().
struct Reconciliation {
  std::int32_t device = 0;
  std::int64_t time_ns = 0;
  std::int64_t allocator_bytes = -1;  // reserved by the program's allocator; -1 = it has no hook
  std::int64_t device_bytes = 0;      // live allocations of all libraries (MEMORY2)
  std::int64_t pool_slack_bytes = 0;  // held by memory pools, handed out to nobody
  std::int64_t profiler_bytes = 0;    // device buffers of CUPTI
  std::int64_t used_bytes = 0;        // total - free of cuMemGetInfo
  std::int64_t total_bytes = 0;

  /// Allocated by libraries behind the allocator's back; -1 without a hook.
  [[nodiscard]] std::int64_t outside_bytes() const {
    return allocator_bytes < 0 ? -1 : device_bytes - allocator_bytes;
  }
  /// Used and explained by no record: context, modules, local memory, other processes. Negative
  /// when more was recorded than the device says is used.
  [[nodiscard]] std::int64_t residual_bytes() const {
    return used_bytes - device_bytes - pool_slack_bytes - profiler_bytes;
  }
  bool operator==(const Reconciliation&) const = default;
};

/// Each device of a recording at its highest peak: allocations, slack, profiler from the recorded
/// events, reserved bytes from the segments of the allocator where it has some, used and total
/// bytes from the arena record of the device. Devices without such a record are left out.
[[nodiscard]] std::vector<Reconciliation> reconcile(const Trace& trace);

/// A table, one column per count, one row per part with its share of the bytes used.
[[nodiscard]] std::string reconciliation_text(std::span<const Reconciliation> rows);

}  // namespace tidemark
