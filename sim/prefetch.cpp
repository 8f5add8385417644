#include "sim/prefetch.h"

#include <algorithm>
#include <limits>

namespace tidemark {

std::int64_t transfer_ns(const CopyLink& link, std::int64_t bytes) {
  if (link.bytes_per_s <= 0) return std::numeric_limits<std::int64_t>::max() / 8;
  return link.latency_ns +
         static_cast<std::int64_t>(static_cast<double>(bytes) / link.bytes_per_s * 1e9);
}

namespace {

void schedule_fetches(const Dataflow& flow, PlanProfile& profile,
                      std::vector<Decision>& decisions) {
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
    const std::size_t release =
        d->release_before.valid() ? static_cast<std::size_t>(place(d->release_before)) : 0;
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

void schedule_releases(const Dataflow& flow, PlanProfile& profile,
                       std::vector<Decision>& decisions) {
  std::vector<Decision*> parked;
  for (Decision& d : decisions) {
    if (d.kind == DecisionKind::offload && !d.release_before.valid()) parked.push_back(&d);
  }
  std::stable_sort(parked.begin(), parked.end(), [&](const Decision* a, const Decision* b) {
    return flow[a->buffer].last_use() < flow[b->buffer].last_use();
  });
  std::int64_t link_free_ns = 0;
  for (Decision* d : parked) {
    auto at = static_cast<std::size_t>(flow[d->buffer].last_use()) + 1;
    const std::int64_t bytes = flow[d->buffer].bytes;
    if (at < profile.clock_ns.size()) link_free_ns = std::max(link_free_ns, profile.clock_ns[at]);
    link_free_ns += transfer_ns(profile.link, bytes);
    while (at < flow.body.size() && profile.clock_ns[at] < link_free_ns &&
           profile.live_bytes[at] + bytes <= profile.limit_bytes) {
      profile.live_bytes[at] += bytes;
      ++at;
    }
    if (at < flow.body.size()) d->release_before = flow.body[at].op;
  }
}

}  // namespace

void schedule_transfers(const Dataflow& flow, PlanProfile profile,
                        std::vector<Decision>& decisions) {
  schedule_fetches(flow, profile, decisions);
  schedule_releases(flow, profile, decisions);
}

}  // namespace tidemark
