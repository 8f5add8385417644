#include "profiler/memory.h"

#include "tests/catch.h"

using namespace tidemark;

namespace {

constexpr Space k_device{};
constexpr Space k_host{SpaceKind::host_pinned, 0};

Buffer buffer(const std::string& name, Space space, std::int64_t size_bytes,
              std::int64_t offset_bytes = -1) {
  Buffer out;
  out.name = name;
  out.space = space;
  out.category = Category::activation;
  out.size_bytes = size_bytes;
  out.offset_bytes = offset_bytes;
  return out;
}

struct Bench {
  Trace trace;
  Clock clock{true};
  Recorder recorder{clock, 64};

  ProgramMemory memory(std::int64_t device_bytes, std::int64_t host_bytes = 4096) {
    return {
        trace, {.device_bytes = device_bytes, .host_bytes = host_bytes, .poison = true}, recorder};
  }
};

BufferId row(std::size_t i) {
  return BufferId{i};
}

}  // namespace

TEST_CASE("memory: a placed space uses its offsets, another goes its own way") {
  Bench bench;
  bench.trace.buffers = {buffer("a", k_device, 100, 512), buffer("b", k_device, 300, 0),
                         buffer("h", k_host, 10)};
  ProgramMemory memory = bench.memory(4096);
  CHECK(std::string(memory.allocator_name()) == "static");
  for (std::size_t i = 0; i < 3; ++i) memory.allocate(row(i));
  CHECK(memory.pointer(row(0)) == memory.pointer(row(1)) + 512);
  CHECK(bench.recorder.events() == std::vector<Event>{{EventKind::alloc, 0, 0, 512, 256},
                                                      {EventKind::alloc, 0, 1, 0, 512},
                                                      {EventKind::alloc, 0, 2, 0, 256}});
  CHECK(memory.records() ==
        std::vector<ArenaRecord>{{k_device, 4096, 768, 768}, {k_host, 4096, 256, 256}});
}

TEST_CASE("memory: one buffer without an offset sends the device to the caching allocator") {
  Bench bench;
  bench.trace.buffers = {buffer("a", k_device, 100, 512), buffer("b", k_device, 300)};
  ProgramMemory memory = bench.memory(std::int64_t{64} << 20);
  CHECK(std::string(memory.allocator_name()) == "caching");
  memory.allocate(row(0));
  CHECK(bench.recorder.events() ==
        std::vector<Event>{{EventKind::segment_alloc, 0, -1, 0, k_small_segment_bytes},
                           {EventKind::alloc, 0, 0, 0, 512}});
  CHECK(memory.records().at(0).peak_live_bytes == 256);  // of the buffer, not of the segment
  CHECK(memory.records().at(0).high_water_bytes == k_small_segment_bytes);
}

TEST_CASE("memory: a view is inside its storage and lives as long") {
  Bench bench;
  Buffer view = buffer("v", k_device, 64);
  view.storage = row(0);
  view.storage_offset_bytes = 128;
  bench.trace.buffers = {buffer("a", k_device, 1000), view};
  ProgramMemory memory = bench.memory(std::int64_t{64} << 20);
  CHECK_FALSE(memory.is_live(row(1)));
  memory.allocate(row(0));
  CHECK(memory.is_live(row(1)));
  CHECK(memory.pointer(row(1)) == memory.pointer(row(0)) + 128);
  memory.release(row(0));
  CHECK_FALSE(memory.is_live(row(1)));
}

TEST_CASE("memory: blocks inside cached segments are poisoned when taken and when freed") {
  Bench bench;
  bench.trace.buffers = {buffer("a", k_device, 1000), buffer("b", k_device, 1000)};
  ProgramMemory memory = bench.memory(std::int64_t{64} << 20);
  memory.allocate(row(0));
  std::byte* first = memory.pointer(row(0));
  CHECK(first[999] == std::byte{0xFF});
  first[5] = std::byte{1};
  memory.release(row(0));
  CHECK(first[5] == std::byte{0xFF});
}

TEST_CASE("memory: use of what was never allocated is a bug, not a wild pointer") {
  Bench bench;
  bench.trace.buffers = {buffer("a", k_device, 1000)};
  ProgramMemory memory = bench.memory(std::int64_t{64} << 20);
  CHECK_THROWS_AS(memory.pointer(row(0)), std::logic_error);
  CHECK_THROWS_AS(memory.release(row(0)), std::logic_error);
}

TEST_CASE("memory: the categories of a shortage sum to what the arena has set aside") {
  Bench bench;
  bench.trace.buffers = {buffer("a", k_device, 1000), buffer("w", k_device, std::int64_t{3} << 20),
                         buffer("c", k_device, std::int64_t{1} << 20)};
  bench.trace.buffers[1].category = Category::weight;
  ProgramMemory memory = bench.memory(std::int64_t{5} << 20);
  memory.allocate(row(0));
  memory.allocate(row(1));
  try {
    memory.allocate(row(2));
    memory.allocate(row(2));
    FAIL("expected OutOfMemory");
  } catch (const OutOfMemory& error) {
    const MemoryShortage& s = error.shortage();
    CHECK(s.buffer == row(2));
    CHECK(s.live_by_category[static_cast<std::size_t>(Category::weight)] == 3 << 20);
    std::int64_t sum = 0;
    for (const std::int64_t bytes : s.live_by_category) sum += bytes;
    CHECK(sum == s.live_bytes);
    CHECK(s.largest_hole_bytes == (std::int64_t{1} << 20) - 1024);  // the free rest of a segment
  }
  CHECK(bench.recorder.events().back().kind == EventKind::out_of_memory);
}
