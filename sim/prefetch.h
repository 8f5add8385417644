// When to issue the fetches of an offload plan: early enough to hide the copy, late enough to fit.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/graph.h"
#include "traces/trace.h"

namespace tidemark {

/// A host link, per direction. A rate of 0 means that nothing can be moved.
struct CopyLink {
  double bytes_per_s = 0;
  std::int64_t latency_ns = 0;
};

/// Time of one transfer; practically never without a rate.
[[nodiscard]] std::int64_t transfer_ns(const CopyLink& link, std::int64_t bytes);

/// The plan so far, by position.
struct PlanProfile {
  std::int64_t limit_bytes = 0;
  std::vector<std::int64_t> clock_ns;    // when each op is reached
  std::vector<std::int64_t> live_bytes;  // most bytes around each op
  CopyLink link;
};

/// Moves fetch_before of every offload in `decisions` to the latest op from which the copy, behind
/// those that are queued after it, can be done in time, as far as the limit leaves room for the
/// buffer from there on. One backward pass: the copy that is needed last is scheduled first.
/// Then sets release_before where it is not valid (parked optimizer state): from the earliest op at
/// which the copy to the host is done, as far as the limit leaves room until then; not valid = at
/// the end of the body.
void schedule_transfers(const Dataflow& flow, PlanProfile profile,
                        std::vector<Decision>& decisions);

}  // namespace tidemark
