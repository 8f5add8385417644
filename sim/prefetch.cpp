#include "sim/prefetch.h"

#include <algorithm>
#include <limits>

namespace tidemark {

std::int64_t transfer_ns(const Link& link, std::int64_t bytes) {
  if (link.bytes_per_s <= 0) return std::numeric_limits<std::int64_t>::max() / 8;
  return link.latency_ns +
         static_cast<std::int64_t>(static_cast<double>(bytes) / link.bytes_per_s * 1e9);
}

void schedule_fetches(const Dataflow& flow, PlanProfile profile, std::vector<Decision>& decisions) {
  const auto place = [&flow](OpId op) { return flow.position[op.index()]; };
  std::vector<Decision*> fetches;
  for (Decision& d : decisions) {
    if (d.kind == DecisionKind::offload) fetches.push_back(&d);
  }
  std::stable_sort(fetches.begin(), fetches.end(), [&](const Decision* a, const Decision* b) {
    return place(a->until) > place(b->until);
  });
  std::int64_t link_free_ns = std::numeric_limits<std::int64_t>::max();
  for (Decision* d : fetches) {
    const auto until = static_cast<std::size_t>(place(d->until));
    const auto release = static_cast<std::size_t>(place(d->release_before));
    const std::int64_t bytes = flow[d->buffer].bytes;
    const std::int64_t done_ns = std::min(link_free_ns, profile.clock_ns[until]);
    const std::int64_t start_ns = done_ns - transfer_ns(profile.link, bytes);
    std::size_t at = until;
    while (at > release && profile.clock_ns[at] > start_ns &&
           profile.live_bytes[at - 1] + bytes <= profile.limit_bytes) {
      --at;
      profile.live_bytes[at] += bytes;
    }
    d->fetch_before = flow.body[at].op;
    link_free_ns = std::min(start_ns, link_free_ns);
  }
}

}  // namespace tidemark
