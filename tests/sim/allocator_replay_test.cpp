// Replays of traces: the committed snapshots come out to the address, without their addresses to
// the byte; growth is explained; programs work as recordings do.
#include "sim/allocator_replay.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "../catch.h"
#include "tests/paths.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/import_snapshot.h"

using namespace tidemark;

namespace {

constexpr std::int64_t k_mib = std::int64_t{1} << 20;

void check_exact(const std::string& file) {
  INFO(file);
  for (const ImportedDevice& device : import_snapshot(read_file(file), "snapshot")) {
    const Trace& trace = device.trace;
    CHECK(trace.health.unmatched_frees == 0);
    ReplayOptions options;
    options.conf = recorded_conf(trace);
    options.follow_recording = true;
    const AllocatorReplay followed = replay_allocator(trace, options);
    CHECK(followed.wrong_addresses == 0);
    CHECK(followed.wrong_segments == 0);
    CHECK(followed.at_end.reserved_bytes == device.end_reserved_bytes);
    CHECK(followed.at_end.active_bytes == device.end_active_bytes);
    CHECK(followed.at_end.allocated_bytes == device.end_allocated_bytes);
    options.follow_recording = false;
    options.restore_start = true;
    const AllocatorReplay free = replay_allocator(trace, options);
    CHECK(free.peak_reserved_bytes == followed.peak_reserved_bytes);
    CHECK(free.peak_active_bytes == followed.peak_active_bytes);
    CHECK(free.at_end.active_bytes == followed.at_end.active_bytes);
    CHECK(free.at_end.reserved_bytes == followed.at_end.reserved_bytes);
    CHECK(from_bytes(to_binary(trace), "again") == trace);
  }
}

/// Buffers of the given sizes; lines as "+0 +1 -0".
Trace program_of(std::vector<std::int64_t> sizes, const std::vector<int>& lines) {
  Trace t;
  for (const std::int64_t size : sizes) {
    Buffer b;
    b.name = "b" + std::to_string(t.buffers.size());
    b.size_bytes = size;
    t.buffers.push_back(b);
  }
  for (const int line : lines) {
    t.program.body.push_back(
        {line > 0 ? InstructionKind::alloc : InstructionKind::free, (line > 0 ? line : -line) - 1});
  }
  return t;
}

}  // namespace

TEST_CASE("allocator replay: snapshots of a third model come out exactly") {
  const std::string folder = std::string(TIDEMARK_SOURCE_DIR) + "/tests/golden/snapshots/";
  for (const char* name : {"cold", "warm", "two_devices"}) check_exact(folder + name + ".pickle");
}

TEST_CASE("allocator replay: snapshots of PyTorch come out exactly") {
  const char* given = std::getenv("TIDEMARK_SHARED_DATA");
  const std::string data =
      given != nullptr ? given : std::string(TIDEMARK_SOURCE_DIR) + "/../shared/data";
  const std::string folder = data + "/snapshots";
  if (!std::filesystem::is_directory(folder)) {
    WARN("skipped: no shared data (TIDEMARK_SHARED_DATA)");
    return;
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().string().find(".pickle") != std::string::npos) check_exact(entry.path());
  }
}

TEST_CASE("allocator replay: every growth is explained, with who holds the hole open") {
  // 12 + 2 MiB, then the 12 is freed and 16 asked for: 12 MiB are free, and no hole fits.
  const Trace t = program_of({4 * k_mib, 2 * k_mib, 19 * k_mib}, {1, 2, -1, 3, -3, -2});
  ReplayOptions options;
  options.explain = true;
  options.steps = 1;
  const AllocatorReplay r = replay_allocator(t, options);
  REQUIRE(r.growths.size() == 2);
  CHECK(explanation(t, r.growths[0]) == "needed 4.00 MiB; nothing free in its pool");
  CHECK(explanation(t, r.growths[1]) ==
        "needed 19.00 MiB; 18.00 MiB free, largest hole 14.00 MiB, held open by b1");
}

TEST_CASE(
    "allocator replay: what a request takes and gives back before it is served is no growth") {
  // Pages of 20 MiB. The last request finds its range in pieces: 20 MiB are mapped, the next 40 are
  // refused, everything unused is unmapped, and 80 MiB are mapped in one piece.
  Trace t;
  t.streams = {{.name = "default"}, {.name = "other"}};
  const auto allocate = [&t](std::int64_t bytes, std::int32_t stream) {
    Event e;
    e.index = static_cast<std::int32_t>(t.buffers.size());
    e.stream = stream;
    Buffer b;
    b.size_bytes = bytes;
    t.buffers.push_back(b);
    t.events.push_back(e);
  };
  const auto free = [&t](std::int32_t index) {
    Event e;
    e.kind = EventKind::free;
    e.index = index;
    t.events.push_back(e);
  };
  allocate(10 * k_mib, 0);
  allocate(30 * k_mib, 0);
  allocate(10 * k_mib, 0);
  free(1);
  Event empty;
  empty.kind = EventKind::empty_cache;
  t.events.push_back(empty);
  free(2);
  allocate(20 * k_mib, 1);
  free(3);
  allocate(80 * k_mib, 0);
  ReplayOptions options;
  options.conf.expandable_segments = true;
  options.device_bytes = 110 * k_mib;
  options.explain = true;
  const AllocatorReplay r = replay_allocator(t, options);
  CHECK(r.failed == 0);
  CHECK(r.segments == 6);
  REQUIRE(r.growths.size() == 5);
  for (std::size_t i = 0; i < 4; ++i) CHECK(r.growths[i].segment_bytes == 20 * k_mib);
  CHECK(r.growths[4].segment_bytes == 80 * k_mib);
  // With 10 MiB less it is refused in the end: what was mapped on the way is no growth.
  options.device_bytes = 90 * k_mib;
  const AllocatorReplay refused = replay_allocator(t, options);
  CHECK(refused.failed == 1);
  CHECK(refused.growths.size() == 4);
}

TEST_CASE("allocator replay: the models keep their order") {
  const Trace t =
      program_of({5 * k_mib, 3 * k_mib + 1, 700, 12 * k_mib}, {1, 2, 3, -1, 4, -2, -3, -4});
  const std::int64_t ideal = reserved_peak_bytes(t, AllocatorKind::ideal, {});
  for (AllocatorKind kind : {AllocatorKind::pytorch, AllocatorKind::bfc, AllocatorKind::cuda_async,
                             AllocatorKind::static_plan}) {
    CHECK(reserved_peak_bytes(t, kind, {}) >= ideal);
  }
  CHECK(reserved_peak_bytes(t, AllocatorKind::pytorch, {}) == 34 * k_mib);  // 20 + 2 + 12
  CHECK(reserved_peak_bytes(t, AllocatorKind::cuda_async, {}) == 32 * k_mib);
}

TEST_CASE("allocator replay: a device that is too small refuses") {
  const Trace t = program_of({12 * k_mib, 30 * k_mib}, {1, 2, -1, -2});
  ReplayOptions options;
  options.device_bytes = 40 * k_mib;
  options.steps = 1;
  CHECK(replay_allocator(t, options).failed == 1);
  options.device_bytes = 42 * k_mib;
  CHECK(replay_allocator(t, options).failed == 0);
}

namespace {

/// Writes what an allocator does as the events of a recording.
class RecordingDevice final : public DeviceMemory {
 public:
  RecordingDevice(Trace& trace, std::int64_t capacity) : trace_(trace), plain_(capacity) {}
  std::int64_t take(std::int64_t bytes, std::int32_t stream) override {
    const std::int64_t address = plain_.take(bytes, stream);
    if (address >= 0) add(EventKind::segment_alloc, address, bytes, stream);
    return address;
  }
  void give_back(std::int64_t address, std::int64_t bytes, std::int32_t stream) override {
    plain_.give_back(address, bytes, stream);
    add(EventKind::segment_free, address, bytes, stream);
  }
  std::int64_t take_range(std::int64_t bytes, std::int32_t stream) override {
    return plain_.take_range(bytes, stream);
  }
  bool map(std::int64_t address, std::int64_t bytes, std::int32_t stream) override {
    const bool done = plain_.map(address, bytes, stream);
    if (done) add(EventKind::segment_map, address, bytes, stream);
    return done;
  }
  void unmap(std::int64_t address, std::int64_t bytes, std::int32_t stream) override {
    plain_.unmap(address, bytes, stream);
    add(EventKind::segment_unmap, address, bytes, stream);
  }
  [[nodiscard]] std::int64_t capacity_bytes() const override { return plain_.capacity_bytes(); }

 private:
  void add(EventKind kind, std::int64_t address, std::int64_t bytes, std::int32_t stream) {
    Event e;
    e.kind = kind;
    e.address_bytes = address;
    e.size_bytes = bytes;
    e.stream = stream;
    trace_.events.push_back(e);
  }
  Trace& trace_;
  PlainDevice plain_;
};

}  // namespace

TEST_CASE("allocator replay: a recording of expandable segments on two streams is followed") {
  for (std::uint32_t seed = 1; seed <= 30; ++seed) {
    INFO("seed " << seed);
    std::uint32_t state = seed * 2654435761U;
    const auto below = [&state](std::uint32_t count) {
      state = state * 1664525U + 1013904223U;
      return static_cast<std::int64_t>((state >> 8) % count);
    };
    Trace t;
    t.streams = {{.name = "default"}, {.name = "other"}};
    AllocatorConf conf;
    conf.expandable_segments = true;
    RecordingDevice device(t, 0);
    const auto model = make_allocator(AllocatorKind::pytorch, conf, device);
    std::vector<std::pair<std::int32_t, BlockHandle>> live;
    for (int i = 0; i < 200; ++i) {
      Event e;
      if (live.empty() || below(100) < 55) {
        Buffer b;
        b.size_bytes = 1 + (below(2) == 0 ? below(900'000) : below(60'000'000));
        e.index = static_cast<std::int32_t>(t.buffers.size());
        e.stream = static_cast<std::int32_t>(below(2));
        t.buffers.push_back(b);
        live.emplace_back(e.index, model->allocate({b.size_bytes, e.stream, 0}));
        e.address_bytes = model->address_of(live.back().second);
        t.events.push_back(e);
      } else if (below(100) < 90) {
        std::swap(live[static_cast<std::size_t>(below(static_cast<std::uint32_t>(live.size())))],
                  live.back());
        e.kind = EventKind::free;
        e.index = live.back().first;
        t.events.push_back(e);
        model->free(live.back().second);
        live.pop_back();
      } else {
        e.kind = EventKind::empty_cache;
        t.events.push_back(e);
        model->empty_cache();
      }
    }
    ReplayOptions options;
    options.conf = conf;
    options.follow_recording = true;
    const AllocatorReplay followed = replay_allocator(t, options);
    CHECK(followed.wrong_addresses == 0);
    CHECK(followed.wrong_segments == 0);
    CHECK(followed.at_end == model->figures());
    options.follow_recording = false;
    CHECK(replay_allocator(t, options).peak_reserved_bytes == followed.peak_reserved_bytes);
    t.events[t.events.size() / 2].address_bytes += 512;  // one wrong byte is seen
    options.follow_recording = true;
    const bool is_alloc = t.events[t.events.size() / 2].kind == EventKind::alloc;
    if (is_alloc) CHECK(replay_allocator(t, options).wrong_addresses == 1);
  }
}
