// Offline eviction: walks through the body once with a limit on live bytes and, whenever the limit
// would be broken, removes the value that is the cheapest to have back, per byte and per idle time.
//
// The next use of every value is known exactly, also through values that are absent themselves.
// Ancestry: Belady 1966 (evict what is used last), Dynamic Tensor Rematerialization (Kirisame et
// al. 2021; cost / (size x staleness)), here with the future in place of staleness.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/graph.h"
#include "traces/trace.h"

namespace tidemark {

/// What is decided about a value before the walk.
enum class Fate : std::uint8_t {
  open,       // may leave when room is needed, in the ways that the settings allow
  keep,       // stays
  recompute,  // leaves after its last use before EvictionSettings::across, if it can be made again
  offload,    // the same by way of the host
};

/// The victim is the value with the least cost^a / (bytes^b x distance^c) x weight.
struct EvictionSettings {
  double cost_power = 1;
  double bytes_power = 1;
  double distance_power = 1;
  std::int64_t limit_bytes = 0;  // of live bytes on the device, persistent ones included
  bool allow_recompute = true;
  bool allow_offload = false;
  double link_bytes_per_s = 0;  // per direction; needed to offload
  std::int64_t link_latency_ns = 0;
  double link_price = 0.05;      // share of a transfer that is charged even when it is hidden
  std::vector<BufferId> parked;  // parkable values that wait on the host; part of the decisions
  std::vector<double> weights;   // by buffer, larger = keep; empty = 1 for all
  std::vector<Fate> fates{};     // by buffer; empty = open for all. They bind whatever is allowed
  Position across = -1;          // of fates: the first backward op
};

struct Eviction {
  bool fits = false;                // else `stuck_at` could not run
  std::vector<Decision> decisions;  // in the order of the body
  std::int64_t extra_ns = 0;        // predicted: executions and waits on top of the ops
  Position stuck_at = -1;
};

[[nodiscard]] Eviction evict(const Dataflow& flow, const EvictionSettings& settings);

}  // namespace tidemark
