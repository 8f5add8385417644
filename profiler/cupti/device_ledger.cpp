#include "profiler/cupti/device_ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "sim/table.h"
#include "sim/units.h"

namespace tidemark {
namespace {

/// Streams of a trace are limited (64); the last row takes what is left.
constexpr std::int32_t k_most_streams = 64;
constexpr std::int64_t k_profiler_stream = -1;
/// A scope is known this many batches long: a kernel ends some time after its call.
constexpr std::int64_t k_scope_batches = 64;

Space space_of(const MemoryRecord& record) {
  switch (record.kind) {
    case MemoryKind::device:
    case MemoryKind::device_static:
    case MemoryKind::managed:
      return {SpaceKind::device, record.device};
    case MemoryKind::pinned:
      return {SpaceKind::host_pinned, 0};
    case MemoryKind::pageable:
    case MemoryKind::other:
      break;
  }
  return {SpaceKind::host_pageable, 0};
}

std::string_view file_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 == 0: all of it
}

/// What the asking library tells of the use. Nothing else is known without the program's help.
Category category_of(const MemoryRecord& record) {
  if (record.kind == MemoryKind::device_static) return Category::framework;
  const std::string_view library = file_name(record.source);
  for (const std::string_view name : {"libnccl", "libnvshmem", "libmpi"}) {
    if (library.starts_with(name)) return Category::communication;
  }
  for (const std::string_view name : {"libcublas", "libcudnn", "libcufft", "libcusolver",
                                      "libcusparse", "libcurand", "libcutensor"}) {
    if (library.starts_with(name)) return Category::workspace;
  }
  return Category::unknown;
}

std::string name_of(const MemoryRecord& record) {
  if (!record.source.empty()) return std::string(file_name(record.source));
  switch (record.kind) {
    case MemoryKind::device:
      return record.is_async ? "pool allocation" : "device allocation";
    case MemoryKind::device_static:
      return "module variables";
    case MemoryKind::managed:
      return "managed allocation";
    case MemoryKind::pinned:
      return "pinned allocation";
    case MemoryKind::pageable:
    case MemoryKind::other:
      break;
  }
  return "host allocation";
}

}  // namespace

DeviceLedger::DeviceLedger(std::int64_t origin_ns, const ScopeNames& names)
    : origin_ns_(origin_ns), names_(names) {
  rows_.streams.push_back({.name = "host"});
  stream_rows_[{-1, 0}] = 0;
}

void DeviceLedger::add(RecordBatch batch) {
  ++batches_;
  for (const ScopeRecord& s : batch.scopes) scopes_[s.correlation] = {s.scope, batches_};
  if (batches_ % k_scope_batches == 0) {
    std::erase_if(scopes_, [this](const auto& entry) {
      return entry.second.second + k_scope_batches < batches_;
    });
  }
  const auto put = [this](std::int64_t time_ns, std::uint32_t correlation, What what) {
    if (time_ns < taken_ns_) ++late_;
    pending_.push_back({std::max(time_ns, taken_ns_), correlation, std::move(what)});
  };
  for (StepMark& m : batch.steps) put(m.time_ns, 0, m);
  for (MemoryRecord& m : batch.memory) put(m.time_ns, m.correlation, std::move(m));
  for (PoolRecord& p : batch.pools) put(p.time_ns, 0, p);
  for (RefusedAllocation& r : batch.refused) put(r.time_ns, 0, std::move(r));
  // Last among equals: a sample shows what was done before it.
  for (DeviceSample& s : batch.samples) {
    put(s.time_ns, std::numeric_limits<std::uint32_t>::max(), s);
  }
  for (SpanRecord& s : batch.spans) {
    put(s.begin_ns, s.correlation, SpanEdge{s, true});
    put(s.end_ns, s.correlation, SpanEdge{std::move(s), false});
  }
  health_.dropped_events += batch.dropped + batch.unreadable;
}

Trace DeviceLedger::take(std::int64_t until_ns) {
  std::stable_sort(pending_.begin(), pending_.end(), [](const Pending& a, const Pending& b) {
    return std::tie(a.time_ns, a.correlation) < std::tie(b.time_ns, b.correlation);
  });
  // Rows of layers first: what follows names them.
  std::vector<Layer> layers = names_.rows_from(layers_);
  layers_ += layers.size();
  rows_.layers = std::move(layers);
  auto next = pending_.begin();
  for (; next != pending_.end() && next->time_ns < until_ns; ++next) {
    now_ns_ = std::max(now_ns_, next->time_ns - origin_ns_);
    std::visit([this](const auto& what) { apply(what); }, next->what);
  }
  pending_.erase(pending_.begin(), next);
  taken_ns_ = std::max(taken_ns_, std::min(until_ns, now_ns_ + origin_ns_));
  buffers_ += rows_.buffers.size();
  ops_ += rows_.ops.size();
  streams_ += rows_.streams.size();
  return std::exchange(rows_, {});
}

void DeviceLedger::event(EventKind kind, std::int32_t index, std::int64_t address,
                         std::int64_t size) {
  rows_.events.push_back({.kind = kind,
                          .time_ns = now_ns_,
                          .index = index,
                          .address_bytes = address,
                          .size_bytes = size});
}

BufferId DeviceLedger::new_buffer(const std::string& name, LayerId layer, Category category,
                                  Space space, std::int64_t size_bytes) {
  Buffer buffer;
  buffer.name = name;
  buffer.layer = layer;
  buffer.category = category;
  buffer.space = space;
  buffer.dtype = DType::u8;
  buffer.shape = {size_bytes};
  buffer.size_bytes = size_bytes;
  rows_.buffers.push_back(std::move(buffer));
  return BufferId(buffers_ + rows_.buffers.size() - 1);
}

OpId DeviceLedger::op_of(const OpKey& key) {
  const auto [entry, is_new] = op_rows_.try_emplace(key, OpId(ops_ + rows_.ops.size()));
  if (is_new) {
    Op op;
    op.name = key.name;
    op.phase = key.phase;
    op.layer.value = key.layer;
    op.stream.value = key.stream;
    rows_.ops.push_back(std::move(op));
  }
  return entry->second;
}

std::int32_t DeviceLedger::stream_of(std::int32_t device, std::uint32_t stream, SpanKind kind) {
  const bool ours = kind == SpanKind::overhead;
  const std::pair<std::int32_t, std::int64_t> key{ours ? -1 : device,
                                                  ours ? k_profiler_stream : stream + 1};
  const auto next = static_cast<std::int32_t>(streams_ + rows_.streams.size());
  const auto [entry, is_new] = stream_rows_.try_emplace(key, std::min(next, k_most_streams - 1));
  if (is_new && next < k_most_streams) {
    rows_.streams.push_back(
        {.name = ours ? "profiler" : fmt::format("device {} stream {}", device, stream)});
  }
  return entry->second;
}

Scope DeviceLedger::scope_of(std::uint32_t correlation) const {
  const auto found = scopes_.find(correlation);
  Scope scope = found == scopes_.end() ? Scope{} : unpack(found->second.first);
  if (scope.layer.valid() && scope.layer.index() >= layers_) scope.layer = {};
  return scope;
}

void DeviceLedger::apply(const StepMark& mark) {
  if (step_ >= 0) event(EventKind::step_end, step_);  // also of a step that never ended
  step_ = mark.is_begin ? mark.step : -1;
  if (mark.is_begin) event(EventKind::step_begin, step_);
}

void DeviceLedger::apply(const MemoryRecord& record) {
  auto known = live_.find(record.address);
  if (record.pool != 0) {
    pools_[record.pool] = {record.device, record.pool_bytes - record.pool_used_bytes};
  }
  if (!record.is_alloc) {
    if (known == live_.end()) {
      ++health_.unmatched_frees;
    } else {
      release(known);
    }
    return;
  }
  if (known != live_.end()) {  // its release was lost
    ++health_.dropped_events;
    release(known);
  }
  const Scope scope = scope_of(record.correlation);
  const Space space = space_of(record);
  const std::string name = name_of(record);
  const BufferId id = new_buffer(name, scope.layer, category_of(record), space, record.size_bytes);
  event(EventKind::alloc, id.value, static_cast<std::int64_t>(record.address), record.size_bytes);
  const OpId op = op_of({"allocation", 0, scope.layer.value, scope.phase});
  event(EventKind::op_begin, op.value);
  event(EventKind::op_end, op.value);
  ++allocations_;
  const bool on_device = space.kind == SpaceKind::device;
  live_[record.address] = {id, record.size_bytes, record.device, on_device, scope.layer, name};
  if (!on_device) return;
  DeviceState& device = devices_[record.device];
  device.live_bytes += record.size_bytes;
  device.peak_live_bytes = std::max(device.peak_live_bytes, device.live_bytes);
}

void DeviceLedger::release(std::map<std::uint64_t, Block>::iterator block) {
  event(EventKind::free, block->second.buffer.value);
  if (block->second.on_device)
    devices_[block->second.device].live_bytes -= block->second.size_bytes;
  live_.erase(block);
}

void DeviceLedger::apply(const PoolRecord& record) {
  if (record.operation == PoolOperation::destroyed) {
    pools_.erase(record.pool);
  } else {
    pools_[record.pool] = {record.device, record.pool_bytes - record.pool_used_bytes};
  }
}

void DeviceLedger::apply(const RefusedAllocation& refused) {
  event(EventKind::out_of_memory, -1, -1, refused.size_bytes);
}

std::int64_t DeviceLedger::slack_bytes(std::int32_t device) const {
  std::int64_t bytes = 0;
  for (const auto& [address, pool] : pools_) {
    if (pool.device == device) bytes += std::max<std::int64_t>(pool.slack_bytes, 0);
  }
  return bytes;
}

void DeviceLedger::apply(const DeviceSample& sample) {
  DeviceState& device = devices_[sample.device];
  const Space space{SpaceKind::device, sample.device};
  const Reconciliation now{.device = sample.device,
                           .time_ns = now_ns_,
                           .device_bytes = device.live_bytes,
                           .pool_slack_bytes = slack_bytes(sample.device),
                           .profiler_bytes = sample.device == 0 ? profiler_bytes_ : 0,
                           .used_bytes = sample.total_bytes - sample.free_bytes,
                           .total_bytes = sample.total_bytes};
  if (now.used_bytes >= device.fullest.used_bytes) device.fullest = now;
  hold({space, Category::allocator_slack}, "slack of memory pools", now.pool_slack_bytes);
  hold({space, Category::framework}, "context, modules, other processes",
       std::max<std::int64_t>(now.residual_bytes(), 0));
}

void DeviceLedger::set_cost(std::int64_t device_bytes, std::int64_t host_bytes) {
  profiler_bytes_ = device_bytes;
  hold({{SpaceKind::device, 0}, Category::profiler}, "profiler", device_bytes);
  hold({{SpaceKind::host_pageable, 0}, Category::profiler}, "profiler", host_bytes);
}

void DeviceLedger::hold(const LevelKey& key, const std::string& name, std::int64_t bytes) {
  auto& [buffer, held_bytes] = levels_[key];
  if (std::abs(bytes - held_bytes) < k_level_step_bytes) return;
  if (buffer.valid()) event(EventKind::free, buffer.value);
  buffer = {};
  held_bytes = bytes;
  if (bytes == 0) return;
  buffer = new_buffer(name, {}, key.second, key.first, bytes);
  event(EventKind::alloc, buffer.value, -1, bytes);
  const OpId op = op_of({"measurement", 0, -1, Phase::other});
  event(EventKind::op_begin, op.value);
  event(EventKind::op_end, op.value);
}

void DeviceLedger::apply(const SpanEdge& edge) {
  const SpanRecord& span = edge.span;
  const Scope scope = scope_of(span.correlation);
  const std::int32_t stream = stream_of(span.device, span.stream, span.kind);
  const OpId op = op_of({span.name, stream, scope.layer.value, scope.phase});
  event(edge.is_begin ? EventKind::op_begin : EventKind::op_end, op.value);
}

std::vector<Reconciliation> DeviceLedger::reconciliations() const {
  std::vector<Reconciliation> out;
  for (const auto& [number, device] : devices_) {
    if (device.fullest.total_bytes > 0) out.push_back(device.fullest);
  }
  return out;
}

std::vector<ArenaRecord> DeviceLedger::arenas() const {
  std::vector<ArenaRecord> out;
  for (const auto& [number, device] : devices_) {
    out.push_back({.space = {SpaceKind::device, number},
                   .capacity_bytes = device.fullest.total_bytes,
                   .high_water_bytes = std::max(device.fullest.used_bytes, device.peak_live_bytes),
                   .peak_live_bytes = device.peak_live_bytes});
  }
  return out;
}

std::string DeviceLedger::live_table(std::size_t rows) const {
  struct Share {
    std::int64_t bytes = 0;
    std::int64_t blocks = 0;
  };
  const std::vector<Layer> layers = names_.rows_from(0);
  std::map<std::pair<std::string, std::string>, Share> shares;
  for (const auto& [address, block] : live_) {
    const bool named = block.layer.valid() && block.layer.index() < layers.size();
    Share& share = shares[{named ? layers[block.layer.index()].name : "(no range)", block.name}];
    share.bytes += block.size_bytes;
    ++share.blocks;
  }
  std::vector<std::pair<std::pair<std::string, std::string>, Share>> order(shares.begin(),
                                                                           shares.end());
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  Table table({"range", "what", ">blocks", ">bytes"});
  Share rest;
  Share all;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto& [key, share] = order[i];
    all = {all.bytes + share.bytes, all.blocks + share.blocks};
    if (i < rows) {
      table.add(
          {key.first, key.second, fmt::format("{}", share.blocks), format_bytes(share.bytes)});
    } else {
      rest = {rest.bytes + share.bytes, rest.blocks + share.blocks};
    }
  }
  const auto line = [&](const char* name, const Share& share) {
    table.add({name, "", fmt::format("{}", share.blocks), format_bytes(share.bytes)});
  };
  if (rest.blocks > 0) line("(others)", rest);
  line("all that is live", all);
  return table.text();
}

}  // namespace tidemark
