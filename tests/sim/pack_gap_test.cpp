// The gap that a greedy packer chooses, against a search of every aligned offset.
#include "sim/pack_gap.h"

#include "sim/random.h"
#include "tests/catch.h"

using namespace tidemark;

namespace {

using Ranges = std::vector<std::pair<std::int64_t, std::int64_t>>;

bool is_free(const Ranges& occupied, std::int64_t at, std::int64_t bytes) {
  return std::ranges::none_of(occupied,
                              [&](const auto& r) { return r.first < at + bytes && at < r.second; });
}

}  // namespace

TEST_CASE("gap: first fit takes the lowest free aligned offset, whatever is occupied") {
  Random random(7);
  for (int round = 0; round < 500; ++round) {
    Ranges occupied;
    for (std::uint64_t n = random.below(6); n > 0; --n) {
      const auto begin = static_cast<std::int64_t>(random.below(40));
      occupied.emplace_back(begin, begin + 1 + static_cast<std::int64_t>(random.below(9)));
    }
    std::ranges::sort(occupied);
    const PackBlock block{.size_bytes = 1 + static_cast<std::int64_t>(random.below(7)),
                          .begin = 0,
                          .end = 1,
                          .alignment_bytes = 1 + static_cast<std::int64_t>(random.below(4))};
    const auto floor_bytes = static_cast<std::int64_t>(random.below(10));
    std::int64_t lowest = round_up(floor_bytes, block.alignment_bytes);
    while (!is_free(occupied, lowest, block.size_bytes)) lowest += block.alignment_bytes;
    CHECK(find_gap(occupied, block, floor_bytes, Fit::first) == lowest);
    const std::int64_t best = find_gap(occupied, block, floor_bytes, Fit::best);
    CHECK(best >= lowest);
    CHECK(best % block.alignment_bytes == 0);
    CHECK(is_free(occupied, best, block.size_bytes));
  }
}

TEST_CASE("gap: best fit takes the tightest one") {
  const Ranges occupied = {{0, 10}, {30, 40}, {45, 60}};
  const PackBlock block{.size_bytes = 5, .begin = 0, .end = 1, .alignment_bytes = 1};
  CHECK(find_gap(occupied, block, 0, Fit::first) == 10);
  CHECK(find_gap(occupied, block, 0, Fit::best) == 40);
  CHECK(find_gap(occupied, block, 41, Fit::best) == 60);
}
