#include "profiler/cupti/device_ledger.h"

#include <algorithm>
#include <limits>
#include <map>
#include <random>

#include "../../catch.h"
#include "sim/breakdown.h"
#include "sim/timeline.h"

using namespace tidemark;

namespace {

constexpr std::int64_t k_mib = std::int64_t{1} << 20;
constexpr std::int64_t k_all = std::numeric_limits<std::int64_t>::max();

MemoryRecord alloc(std::int64_t time_ns, std::uint64_t address, std::int64_t size_bytes) {
  return {.time_ns = time_ns,
          .correlation = static_cast<std::uint32_t>(address),
          .address = address,
          .size_bytes = size_bytes};
}

MemoryRecord release(std::int64_t time_ns, std::uint64_t address) {
  MemoryRecord r = alloc(time_ns, address, 0);
  r.is_alloc = false;
  return r;
}

/// The whole trace of parts as a reader would put it together.
void append(Trace& whole, const Trace& part) {
  const auto all = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  all(whole.layers, part.layers);
  all(whole.streams, part.streams);
  all(whole.buffers, part.buffers);
  all(whole.ops, part.ops);
  all(whole.events, part.events);
}

Trace everything(DeviceLedger& ledger) {
  return ledger.take(k_all);
}

std::vector<std::pair<EventKind, std::int32_t>> memory_events(const Trace& trace) {
  std::vector<std::pair<EventKind, std::int32_t>> out;
  for (const Event& e : trace.events) {
    if (e.kind != EventKind::op_begin && e.kind != EventKind::op_end) {
      out.emplace_back(e.kind, e.index);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("ledger: allocations in their ranges, with layer and phase") {
  ScopeNames names;
  ScopeStack stack;
  stack.push(names, "forward");
  const std::uint64_t forward = pack(stack.push(names, "block0"));
  stack.pop(), stack.pop();
  const std::uint64_t backward = pack(stack.push(names, "backward"));
  DeviceLedger ledger(1000, names);
  RecordBatch batch;
  batch.memory = {alloc(2000, 1, 4096), alloc(3000, 2, 1024), release(4000, 1),
                  alloc(5000, 3, 512)};
  batch.scopes = {{1, forward}, {2, backward}};
  ledger.add(batch);
  const Trace trace = everything(ledger);
  using K = EventKind;
  CHECK(memory_events(trace) == std::vector<std::pair<K, std::int32_t>>{
                                    {K::alloc, 0}, {K::alloc, 1}, {K::free, 0}, {K::alloc, 2}});
  CHECK(trace.events.front().time_ns == 1000);
  REQUIRE(trace.buffers.size() == 3);
  CHECK(trace.layers[trace.buffers[0].layer.index()].name == "forward/block0");
  CHECK(trace.layers[trace.buffers[1].layer.index()].name == "backward");
  CHECK_FALSE(trace.buffers[2].layer.valid());
  const Timeline timeline = recorded_timeline(trace);
  CHECK(timeline.run_peak.bytes == 4096 + 1024);
  const std::vector<Holding> held =
      breakdown(trace, timeline, timeline.run_peak.change, {GroupBy::phase});
  REQUIRE(held.size() == 2);
  CHECK(held[0].keys == std::vector<std::string>{"forward"});
  CHECK(held[0].bytes == 4096);
  CHECK(held[1].keys == std::vector<std::string>{"backward"});
  CHECK(ledger.health() == Health{});
  CHECK(ledger.live_table(1) ==
        "  range             what               blocks     bytes\n"
        "  backward          device allocation       1  1.00 KiB\n"
        "  (others)                                  1     512 B\n"
        "  all that is live                          2  1.50 KiB\n");
}

TEST_CASE("ledger: categories by what is known, and nothing more") {
  const ScopeNames names;
  DeviceLedger ledger(0, names);
  RecordBatch batch;
  const auto add = [&batch](std::uint64_t address, MemoryKind kind, const char* source) {
    MemoryRecord r = alloc(static_cast<std::int64_t>(address), address, 256);
    r.kind = kind;
    r.source = source;
    batch.memory.push_back(r);
  };
  add(1, MemoryKind::device, "");
  add(2, MemoryKind::device, "/usr/lib/libcublasLt.so.13");
  add(3, MemoryKind::device, "/usr/lib/libnccl.so.2");
  add(4, MemoryKind::device_static, "");
  add(5, MemoryKind::pinned, "");
  add(6, MemoryKind::pageable, "");
  ledger.add(batch);
  const Trace trace = everything(ledger);
  std::vector<Category> categories;
  std::vector<SpaceKind> spaces;
  for (const Buffer& b : trace.buffers) {
    categories.push_back(b.category);
    spaces.push_back(b.space.kind);
  }
  CHECK(categories == std::vector{Category::unknown, Category::workspace, Category::communication,
                                  Category::framework, Category::unknown, Category::unknown});
  CHECK(spaces == std::vector{SpaceKind::device, SpaceKind::device, SpaceKind::device,
                              SpaceKind::device, SpaceKind::host_pinned, SpaceKind::host_pageable});
  CHECK(trace.buffers[1].name == "libcublasLt.so.13");
}

TEST_CASE("ledger: steps, refusals and spans") {
  const ScopeNames names;
  DeviceLedger ledger(0, names);
  RecordBatch batch;
  batch.steps = {{10, 0, true}, {20, 0, false}, {20, 1, true}, {40, 1, false}};
  batch.refused = {{30, "cuMemAlloc_v2", 777, {}}};
  batch.spans = {{.begin_ns = 12, .end_ns = 18, .stream = 7, .name = "gemm"},
                 {.begin_ns = 25, .end_ns = 26, .kind = SpanKind::overhead, .name = "flush"}};
  ledger.add(batch);
  const Trace trace = everything(ledger);
  REQUIRE(trace.streams.size() == 3);
  CHECK(trace.streams[1].name == "device 0 stream 7");
  CHECK(trace.streams[2].name == "profiler");
  using K = EventKind;
  CHECK(memory_events(trace) == std::vector<std::pair<K, std::int32_t>>{{K::step_begin, 0},
                                                                        {K::step_end, 0},
                                                                        {K::step_begin, 1},
                                                                        {K::out_of_memory, -1},
                                                                        {K::step_end, 1}});
  const Timeline timeline = recorded_timeline(trace);
  REQUIRE(timeline.spans.size() == 2);
  CHECK(timeline.spans[0] == OpSpan{OpId(0), 0, 12, 18});
  CHECK(trace.ops[0].stream == StreamId(1));
}

TEST_CASE("ledger: what no record explains is framework, what pools keep is slack") {
  const ScopeNames names;
  DeviceLedger ledger(0, names);
  RecordBatch batch;
  MemoryRecord pooled = alloc(10, 1, 10 * k_mib);
  pooled.is_async = true, pooled.pool = 0xa;
  pooled.pool_bytes = 32 * k_mib, pooled.pool_used_bytes = 10 * k_mib;
  batch.memory = {pooled};
  const std::int64_t total = 1000 * k_mib;
  batch.samples = {{20, 0, total - 400 * k_mib, total}};
  ledger.add(batch);
  batch = {};
  batch.samples = {{30, 0, total - 400 * k_mib - 100, total},  // too little to tell
                   {40, 0, total - 500 * k_mib, total}};       // 100 MiB more of no record
  ledger.add(batch);
  const Trace trace = everything(ledger);
  const Timeline timeline = recorded_timeline(trace);
  const auto held = [&](Category c) {
    return timeline.run_peak.by_category[static_cast<std::size_t>(c)];
  };
  CHECK(timeline.run_peak.bytes == 500 * k_mib);
  CHECK(held(Category::unknown) == 10 * k_mib);
  CHECK(held(Category::allocator_slack) == 22 * k_mib);
  CHECK(held(Category::framework) == 468 * k_mib);
  CHECK(memory_events(trace).size() == 5);  // three allocations; the framework anew
  const Reconciliation expected{.device = 0,
                                .time_ns = 40,
                                .device_bytes = 10 * k_mib,
                                .pool_slack_bytes = 22 * k_mib,
                                .used_bytes = 500 * k_mib,
                                .total_bytes = total};
  REQUIRE(ledger.reconciliations() == std::vector{expected});
  CHECK(expected.residual_bytes() == 468 * k_mib);
  CHECK(ledger.arenas() == std::vector<ArenaRecord>{{.space = {SpaceKind::device, 0},
                                                     .capacity_bytes = total,
                                                     .high_water_bytes = 500 * k_mib,
                                                     .peak_live_bytes = 10 * k_mib}});
}

TEST_CASE("ledger: the profiler's own bytes are the profiler's") {
  const ScopeNames names;
  DeviceLedger ledger(0, names);
  ledger.set_cost(9 * k_mib, 4 * k_mib);
  ledger.set_cost(9 * k_mib, 4 * k_mib);  // no change, no event
  RecordBatch batch;
  batch.samples = {{20, 0, 0, 100 * k_mib}};
  ledger.add(batch);
  const Trace trace = everything(ledger);
  const Peak device = recorded_timeline(trace).run_peak;
  CHECK(device.by_category[static_cast<std::size_t>(Category::profiler)] == 9 * k_mib);
  CHECK(device.by_category[static_cast<std::size_t>(Category::framework)] == 91 * k_mib);
  CHECK(recorded_timeline(trace, {SpaceKind::host_pageable, 0}).run_peak.bytes == 4 * k_mib);
}

TEST_CASE("ledger: what is lost is counted and the sums stay right") {
  const ScopeNames names;
  DeviceLedger ledger(0, names);
  RecordBatch batch;
  batch.memory = {release(5, 9), alloc(10, 1, 256), alloc(20, 1, 512)};  // two records are missing
  batch.dropped = 2;
  batch.unreadable = 1;
  ledger.add(batch);
  const Trace trace = everything(ledger);
  CHECK(recorded_timeline(trace).run_peak.bytes == 512);
  CHECK(ledger.health() == Health{.dropped_events = 4, .unmatched_frees = 1});
}

TEST_CASE("ledger: a record that comes late keeps its place behind what was written") {
  const ScopeNames names;
  DeviceLedger ledger(0, names);
  RecordBatch batch;
  batch.memory = {alloc(10, 1, 256), alloc(30, 2, 256)};
  ledger.add(batch);
  Trace trace = ledger.take(20);
  CHECK(trace.buffers.size() == 1);
  batch.memory = {alloc(5, 3, 256)};
  ledger.add(batch);
  append(trace, everything(ledger));
  CHECK(ledger.late() == 1);
  CHECK(trace.buffers.size() == 3);
  CHECK(std::ranges::is_sorted(trace.events, {}, &Event::time_ns));
}

TEST_CASE("ledger: in any order and any parts the same books as a plain sum over time") {
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&random](int end) {
      return std::uniform_int_distribution<int>(0, end - 1)(random);
    };
    std::vector<MemoryRecord> records;
    std::map<std::uint64_t, std::int64_t> live;
    std::map<std::int64_t, std::int64_t> total_at;  // by time
    std::int64_t total = 0;
    for (std::int64_t time = 1; time <= 200; ++time) {
      if (!live.empty() && below(2) == 0) {
        const auto gone = std::next(live.begin(), below(static_cast<int>(live.size())));
        records.push_back(release(time, gone->first));
        total -= gone->second;
        live.erase(gone);
      } else {
        const std::uint64_t address = static_cast<std::uint64_t>(below(50)) + 1;
        if (live.contains(address)) continue;
        const std::int64_t bytes = 256 * (1 + below(1000));
        records.push_back(alloc(time, address, bytes));
        live[address] = bytes;
        total += bytes;
      }
      total_at[time] = total;
    }
    const ScopeNames names;
    DeviceLedger ledger(0, names);
    Trace trace;
    // Batches hold what happened up to a time, shuffled; half of the time is held back.
    std::size_t first = 0;
    while (first < records.size()) {
      const std::size_t last =
          std::min(records.size(), first + 1 + static_cast<std::size_t>(below(40)));
      RecordBatch batch;
      batch.memory.assign(records.begin() + static_cast<std::ptrdiff_t>(first),
                          records.begin() + static_cast<std::ptrdiff_t>(last));
      std::ranges::shuffle(batch.memory, random);
      ledger.add(batch);
      append(trace, ledger.take(records[first].time_ns + 1));
      first = last;
    }
    append(trace, everything(ledger));
    REQUIRE(ledger.late() == 0);
    REQUIRE(ledger.health() == Health{});
    std::int64_t bytes = 0;
    std::map<std::int64_t, std::int64_t> seen;
    for (const Event& e : trace.events) {
      const std::int64_t size =
          e.index < 0 ? 0 : trace.buffers[static_cast<std::size_t>(e.index)].size_bytes;
      if (e.kind == EventKind::alloc) seen[e.time_ns] = bytes += size;
      if (e.kind == EventKind::free) seen[e.time_ns] = bytes -= size;
    }
    REQUIRE(seen == total_at);
  }
}
