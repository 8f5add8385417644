// profile --allocator cuda-async: the memory of the device comes block by block from a pool that is
// not ours.
#include "profiler/cuda/device_pool.h"

#include "../programs.h"
#include "fake_plugin.h"
#include "profiler/report.h"
#include "tests/catch.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t k_mib = std::int64_t{1} << 20;

RunResult run_in_pool(const Trace& program, const FakePlugin& fake, std::int64_t most_bytes) {
  const Dataset data = data_for(small_gpt2());
  return execute(program, {.backend = BackendKind::cuda,
                           .steps = 3,
                           .device_memory_bytes = most_bytes,
                           .data = &data,
                           .cuda = &fake.api,
                           .allocator = MemoryGiver::cuda_async});
}

}  // namespace

TEST_CASE("device pool: gives blocks, counts them, and has no room beyond its limit") {
  FakePlugin fake;
  {
    cuda::DevicePool pool(fake.api, 4 * k_mib);
    std::byte* const a = pool.blocks().take(1000);
    REQUIRE(a != nullptr);
    CHECK(pool.blocks().take(4 * k_mib) == nullptr);
    std::byte* const b = pool.blocks().take(3 * k_mib);
    pool.blocks().give_back(a);
    const BlockCounts counts = pool.blocks().count();
    CHECK(counts.used_bytes == 3 * k_mib);
    CHECK(counts.most_used_bytes == 3 * k_mib + 1024);
    CHECK(counts.most_reserved_bytes == 4 * k_mib);
    CHECK(b != nullptr);  // and is still out
  }
  CHECK(fake.live_bytes == 0);
  CHECK(fake.live_handles == 0);
}

TEST_CASE("device pool: a run in it has the results of an arena and its own high water marks") {
  FakePlugin fake;
  const Trace program = build_program(small_gpt2());
  const Trace pooled = run_in_pool(program, fake, 64 * k_mib).trace;
  const Dataset data = data_for(small_gpt2());
  const Trace cached = run(program, {.backend = BackendKind::cuda,
                                     .steps = 3,
                                     .device_memory_bytes = 64 * k_mib,
                                     .data = &data,
                                     .cuda = &fake.api});
  CHECK(pooled.digests == cached.digests);
  CHECK(pooled.meta.allocator == "cuda-async");
  CHECK(summarise(pooled).peak_bytes == summarise(cached).peak_bytes);
  REQUIRE(pooled.arenas.size() == 1);
  const ArenaRecord& arena = pooled.arenas[0];
  CHECK(arena.capacity_bytes == 64 * k_mib);
  CHECK(arena.high_water_bytes == 2 * k_mib);  // a step of the fake pool
  CHECK(arena.most_used_bytes >= arena.peak_live_bytes);
  CHECK(arena.peak_live_bytes == cached.arenas[0].peak_live_bytes);
  for (const Event& e : pooled.events) {
    if (e.kind == EventKind::alloc) CHECK(e.address_bytes == -1);
  }
  CHECK(from_bytes(to_binary(pooled), "pooled") == pooled);
  CHECK(summary_text(pooled, "run.tmk").find("allocator cuda-async") != std::string::npos);
  CHECK(fake.live_bytes == 0);
}

TEST_CASE("device pool: a run that it has no room for ends out of memory, with what was live") {
  FakePlugin fake;
  const RunResult result = run_in_pool(build_program(small_gpt2()), fake, 16 << 10);
  REQUIRE(result.shortage.has_value());
  CHECK(result.shortage->capacity_bytes == 16 << 10);
  CHECK(result.shortage->request_bytes > result.shortage->largest_hole_bytes);
  std::int64_t live = 0;
  for (const std::int64_t bytes : result.shortage->live_by_category) live += bytes;
  CHECK(live == result.shortage->live_bytes);
  CHECK(fake.live_bytes == 0);
  CHECK(fake.live_handles == 0);
}
