#include "sim/candidates.h"

#include <stdexcept>

#include "sim/check.h"
#include "sim/placement.h"
#include "sim/plan.h"
#include "sim/timeline.h"

namespace tidemark {
namespace {

Space device_of(const Trace& trace) {
  return Space{SpaceKind::device, trace.meta.rank};
}

/// The link of the request, on a stream of its own per direction.
void declare_link(Trace& trace, StreamKind kind, const SearchRequest& request) {
  Stream* found = nullptr;
  for (Stream& stream : trace.streams) {
    if (stream.kind == kind) found = &stream;
  }
  if (found == nullptr) {
    const bool out = kind == StreamKind::device_to_host;
    if (trace.streams.empty()) trace.streams.push_back({.name = "compute"});
    trace.streams.push_back({.name = out ? "device to host" : "host to device", .kind = kind});
    found = &trace.streams.back();
  }
  found->link_bytes_per_s = request.link_bytes_per_s;
  found->latency_ns = request.link_latency_ns;
}

Trace with_link(const Trace& source, const SearchRequest& request) {
  Trace trace = source;
  if (request.allow_offload && request.link_bytes_per_s > 0) {
    declare_link(trace, StreamKind::device_to_host, request);
    declare_link(trace, StreamKind::host_to_device, request);
  }
  trace.events.clear();  // plans do not need the recording, and copies of it are not free
  trace.arenas.clear();
  return trace;
}

}  // namespace

Candidates::Candidates(const Trace& source, const SearchRequest& request)
    : source_(with_link(source, request)),
      request_(request),
      flow_(dataflow_of(source_)),
      begin_(std::chrono::steady_clock::now()) {
  keep_all_ = lowest_ = evaluate({});
  exact_ = false;
}

void Candidates::be_exact() {
  if (!exact_) known_.clear();
  exact_ = true;
}

Eviction Candidates::try_eviction(const EvictionSettings& settings) {
  ++tried_;
  return evict(flow_, settings);
}

Candidate Candidates::evaluate(const std::vector<Decision>& decisions) {
  Candidate candidate{.decisions = decisions, .step_ns = 0, .height_bytes = 0};
  const auto [entry, fresh] = known_.try_emplace(key_of(decisions));
  auto& [step_ns, height_bytes] = entry->second;
  if (fresh) {
    Trace trace = apply_plan(source_, decisions);
    height_bytes = placement_bound(trace, device_of(trace));
    const bool placed = exact_ || height_bytes <= request_.budget_bytes;
    if (placed) height_bytes = place_all(trace, exact_ ? 0 : request_.budget_bytes);
    if (const std::vector<Finding> findings = check(trace, 1); !findings.empty()) {
      throw std::logic_error("own plan is illegal: " + findings[0].place + ": " +
                             findings[0].message);
    }
    step_ns = replay(trace, device_of(trace)).step_ns;
  }
  candidate.step_ns = step_ns;
  candidate.height_bytes = height_bytes;
  if (!exact_ && height_bytes > request_.budget_bytes) return candidate;  // perhaps not its height
  const bool lower =
      std::pair(height_bytes, step_ns) < std::pair(lowest_.height_bytes, lowest_.step_ns);
  if (lower) lowest_ = candidate;
  return candidate;
}

bool Candidates::stopped(std::int64_t best_step_ns) {
  if (cut_) return true;
  if (request_.progress && !request_.progress(tried_, best_step_ns)) cut_ = true;
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin_;
  if (request_.time_limit_s > 0 && spent.count() > request_.time_limit_s) cut_ = true;
  return cut_;
}

Trace Candidates::planned(const Candidate& candidate) const {
  Trace trace = apply_plan(source_, candidate.decisions);
  trace.plan.height_bytes = place_all(trace);
  const Timeline timeline = replay(trace, device_of(trace));
  trace.plan.budget_bytes = request_.budget_bytes;
  trace.plan.peak_bytes = timeline.peak.bytes;
  trace.plan.step_ns = timeline.step_ns;
  trace.plan.keep_all_step_ns = keep_all_.step_ns;
  return trace;
}

Candidates::Key Candidates::key_of(const std::vector<Decision>& decisions) {
  Key key;
  for (const Decision& d : decisions) {
    key.insert(key.end(), {static_cast<std::int32_t>(d.kind), d.buffer.value, d.until.value,
                           d.release_before.value, d.fetch_before.value});
  }
  return key;
}

}  // namespace tidemark
