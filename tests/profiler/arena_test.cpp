#include "profiler/arena.h"

#include <map>
#include <random>

#include "tests/catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

ArenaOptions small(std::int64_t capacity_bytes) {
  return {.space = {}, .capacity_bytes = capacity_bytes, .has_memory = true, .poison = true};
}

/// The literal model: one flag per granule.
struct Granules {
  std::vector<bool> used;

  [[nodiscard]] bool is_free(std::size_t begin, std::size_t count) const {
    if (begin + count > used.size()) return false;
    for (std::size_t i = begin; i < begin + count; ++i) {
      if (used[i]) return false;
    }
    return true;
  }
  void set(std::size_t begin, std::size_t count, bool value) {
    for (std::size_t i = begin; i < begin + count; ++i) used[i] = value;
  }
  [[nodiscard]] std::size_t first_fit(std::size_t count) const {
    std::size_t begin = 0;
    while (begin <= used.size() && !is_free(begin, count)) ++begin;
    return begin;
  }
  [[nodiscard]] std::size_t largest_hole() const {
    std::size_t largest = 0, run = 0;
    for (const bool u : used) {
      run = u ? 0 : run + 1;
      largest = std::max(largest, run);
    }
    return largest;
  }
};

}  // namespace

TEST_CASE("arena: a block that ends exactly at the capacity fits, 256 bytes more do not") {
  Arena arena(small(1024));
  arena.allocate_at(256, 768);
  CHECK(arena.high_water_bytes() == 1024);
  Arena tighter(small(768));
  CHECK_THROWS_AS(tighter.allocate_at(256, 768), OutOfMemory);
  CHECK(tighter.high_water_bytes() == 0);
}

TEST_CASE("arena: a shortage carries request, capacity, live bytes and the largest hole") {
  //  0   256  512       1280 1536
  //  | A |    |    B     |    |
  Arena arena(small(1536));
  arena.allocate_at(0, 1);
  arena.allocate_at(512, 700);
  try {
    arena.allocate_first_fit(300);
    FAIL("expected OutOfMemory");
  } catch (const OutOfMemory& error) {
    CHECK(error.shortage() == MemoryShortage{.space = {},
                                             .buffer = {},
                                             .request_bytes = 512,
                                             .capacity_bytes = 1536,
                                             .live_bytes = 1024,
                                             .largest_hole_bytes = 256,
                                             .live_by_category = {}});
  }
  CHECK(arena.allocate_first_fit(200) == 256);
}

TEST_CASE("arena: overlap, misalignment and a wrong free are bugs") {
  Arena arena(small(4096));
  arena.allocate_at(1024, 512);
  CHECK_THROWS_AS(arena.allocate_at(1280, 256), std::logic_error);
  CHECK_THROWS_AS(arena.allocate_at(768, 512), std::logic_error);
  CHECK_THROWS_AS(arena.allocate_at(100, 256), std::logic_error);
  CHECK_THROWS_AS(arena.allocate_at(-256, 256), std::logic_error);
  CHECK_THROWS_AS(arena.release(1280), std::logic_error);
  arena.allocate_at(768, 256);
  arena.allocate_at(1536, 256);
  CHECK(arena.live_bytes() == 1024);
}

TEST_CASE("arena: fresh and freed memory is poisoned") {
  Arena arena(small(1024));
  arena.allocate_at(0, 256);
  CHECK(arena.pointer(0)[0] == std::byte{0xFF});
  CHECK(arena.pointer(0)[255] == std::byte{0xFF});
  arena.pointer(0)[7] = std::byte{1};
  arena.release(0);
  CHECK(arena.pointer(0)[7] == std::byte{0xFF});
  CHECK(reinterpret_cast<std::uintptr_t>(arena.pointer(0)) % 4096 == 0);
}

TEST_CASE("arena: without memory it counts any capacity and gives no pointers") {
  Arena arena({.space = {}, .capacity_bytes = std::int64_t{1} << 60, .has_memory = false});
  arena.allocate_at(std::int64_t{1} << 59, 4096);
  CHECK(arena.pointer(0) == nullptr);
  CHECK(arena.high_water_bytes() == (std::int64_t{1} << 59) + 4096);
}

TEST_CASE("arena: a capacity that no machine has is bad input") {
  CHECK_THROWS_AS(Arena(small(std::int64_t{1} << 61)), InputError);
}

TEST_CASE("arena: random first-fit sequences equal the literal model") {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    constexpr std::size_t k_granules = 40;
    Arena arena(small(k_granules * k_granule_bytes));
    Granules model{std::vector<bool>(k_granules, false)};
    std::map<std::int64_t, std::size_t> live;  // offset -> granules
    std::int64_t high_water = 0, peak = 0;
    for (int i = 0; i < 200; ++i) {
      if (!live.empty() && random() % 2 == 0) {
        auto block = std::next(live.begin(), static_cast<long>(random() % live.size()));
        arena.release(block->first);
        model.set(static_cast<std::size_t>(block->first / k_granule_bytes), block->second, false);
        live.erase(block);
      } else {
        const std::size_t count = 1 + random() % 12;
        const std::size_t expected = model.first_fit(count);
        const auto bytes = static_cast<std::int64_t>(count) * k_granule_bytes - 100;
        if (expected + count > k_granules) {
          REQUIRE_THROWS_AS(arena.allocate_first_fit(bytes), OutOfMemory);
          continue;
        }
        const std::int64_t offset = arena.allocate_first_fit(bytes);
        REQUIRE(offset == static_cast<std::int64_t>(expected) * k_granule_bytes);
        model.set(expected, count, true);
        live[offset] = count;
        high_water = std::max(high_water, offset + static_cast<std::int64_t>(count) * 256);
      }
      peak = std::max(peak, arena.live_bytes());
      REQUIRE(arena.largest_hole_bytes() ==
              static_cast<std::int64_t>(model.largest_hole()) * k_granule_bytes);
    }
    CHECK(arena.high_water_bytes() == high_water);
    CHECK(arena.peak_live_bytes() == peak);
  }
}
