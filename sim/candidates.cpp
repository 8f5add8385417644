#include "sim/candidates.h"

#include <algorithm>
#include <limits>
#include <set>
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

constexpr std::int64_t k_any_height = std::numeric_limits<std::int64_t>::max() / 2;

Trace with_link(const Trace& source, const SearchRequest& request) {
  Trace trace = source;
  if (request.allow_offload && request.link_bytes_per_s > 0) {
    declare_links(trace, {request.link_bytes_per_s, request.link_latency_ns});
  }
  trace.events.clear();  // plans do not need the recording, and copies of it are not free
  trace.arenas.clear();
  return trace;
}

bool marks_event(const Op& op) {
  return op.kind == OpKind::record_event || op.kind == OpKind::wait_event;
}

/// Names, attributes and expected results are most of what a copy costs.
Trace without_texts(const Trace& source) {
  Trace bare = source;
  bare.meta = {};
  bare.meta.rank = source.meta.rank;
  bare.layers.clear();
  bare.steps.clear();
  bare.digests.clear();
  for (Buffer& buffer : bare.buffers) {
    buffer.name.clear();
    buffer.shape.clear();
  }
  for (Op& op : bare.ops) {
    op.name.clear();
    if (!marks_event(op)) op.attributes.clear();
    for (Operand& operand : op.operands) operand.role.clear();
  }
  return bare;
}

/// Of the device; host spaces are placed when the plan is shown.
std::vector<std::int64_t> offsets_of(const Trace& trace) {
  std::vector<std::int64_t> offsets;
  offsets.reserve(trace.buffers.size());
  for (const Buffer& buffer : trace.buffers) offsets.push_back(buffer.offset_bytes);
  return offsets;
}

/// As many tries as take about as long on a large body as on a small one.
std::int64_t suitable_nodes(const SearchRequest& request, const Dataflow& flow) {
  constexpr std::int64_t k_nodes = 200;
  constexpr std::int64_t k_ops = 1500;  // up to this many ops all of them
  constexpr std::int64_t k_least = 10;
  if (request.nodes > 0) return request.nodes;
  const auto ops = std::max<std::int64_t>(1, static_cast<std::int64_t>(flow.body.size()));
  return std::clamp(k_nodes * k_ops / ops, k_least, k_nodes);
}

void declare_link(Trace& trace, StreamKind kind, const CopyLink& link) {
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
  found->link_bytes_per_s = link.bytes_per_s;
  found->latency_ns = link.latency_ns;
}

}  // namespace

void declare_links(Trace& trace, const CopyLink& link) {
  declare_link(trace, StreamKind::device_to_host, link);
  declare_link(trace, StreamKind::host_to_device, link);
}

Candidates::Candidates(const Trace& source, const SearchRequest& request)
    : source_(with_link(source, request)),
      request_(request),
      flow_(dataflow_of(source_)),
      bare_(without_texts(source_)),
      nodes_(suitable_nodes(request, flow_)),
      timer_(request.time_limit_s) {}

void Candidates::set_budget(std::int64_t budget_bytes, std::int64_t bound_step_ns) {
  known_.clear();
  exact_ = false;
  budget_bytes_ = budget_bytes;
  bound_step_ns_ = bound_step_ns;
  keep_all_ = evaluate({});
  keep_all_.method = "keep-all";
  lowest_ = keep_all_;
}

void Candidates::be_exact() {
  if (exact_ || large()) return;
  known_.clear();
  exact_ = true;
  keep_all_.height_bytes = evaluate({}).height_bytes;
  lowest_ = keep_all_;
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
    ++tried_;
    std::vector<Decision> unexplained = decisions;
    for (Decision& decision : unexplained) decision.reason = "-";  // nobody will read it
    Trace trace = apply_plan(bare_, flow_, unexplained);
    height_bytes = placement_bound(trace, device_of(trace));
    const bool placed = exact_ || large() || height_bytes <= budget_bytes_;
    if (placed) height_bytes = height_of(trace);
    if (placed) candidate.offsets = offsets_of(trace);
    step_ns = replay(trace, device_of(trace)).step_ns;
  }
  candidate.step_ns = step_ns;
  candidate.height_bytes = height_bytes;
  const bool unknown = !exact_ && !large() && height_bytes > budget_bytes_;
  if (unknown) return candidate;  // perhaps only its live bytes
  const bool lower =
      std::pair(height_bytes, step_ns) < std::pair(lowest_.height_bytes, lowest_.step_ns);
  if (lower) lowest_ = candidate;
  return candidate;
}

std::int64_t Candidates::height_of(Trace& trace) const {
  return place(trace, device_of(trace), exact_ ? 0 : budget_bytes_);
}

bool Candidates::stopped(std::int64_t best_step_ns) {
  if (cut_) return true;
  if (request_.progress && !request_.progress({tried_, best_step_ns, bound_step_ns_})) cut_ = true;
  if (timer_.over()) cut_ = true;
  return cut_;
}

Trace Candidates::planned(const Candidate& candidate) const {
  Trace trace = apply_plan(source_, flow_, candidate.decisions);
  const Space device = device_of(trace);
  if (candidate.offsets.size() == trace.buffers.size()) {
    for (std::size_t row = 0; row < trace.buffers.size(); ++row) {
      trace.buffers[row].offset_bytes = candidate.offsets[row];
    }
  } else {
    place(trace, device, exact_ ? 0 : budget_bytes_);
  }
  trace.plan.height_bytes = placement_height(trace, device);
  std::set<Space> hosts;
  for (const Buffer& buffer : trace.buffers) hosts.insert(buffer.space);
  hosts.erase(device);
  for (const Space& host : hosts) place(trace, host, exact_ ? 0 : k_any_height);
  if (const std::vector<Finding> findings = check(trace, 1); !findings.empty()) {
    throw std::logic_error("own plan is illegal: " + findings[0].place + ": " +
                           findings[0].message);
  }
  const Timeline timeline = replay(trace, device_of(trace));
  trace.plan.budget_bytes = budget_bytes_;
  trace.plan.method = candidate.method;
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
