#include "profiler/caching_allocator.h"

#include <algorithm>
#include <optional>
#include <random>

#include "tests/catch.h"

using namespace tidemark;

namespace {

constexpr std::int64_t k_mib = std::int64_t{1} << 20;

ArenaOptions counting(std::int64_t capacity_bytes) {
  return {.space = {}, .capacity_bytes = capacity_bytes, .has_memory = false};
}

/// The rules again, as literally as can be: a flat list of blocks, searched from end to end. It
/// shares no code with the product, the arena included.
class Literal {
 public:
  explicit Literal(std::int64_t capacity) : capacity_(capacity) {}

  std::optional<CachingAllocator::Block> allocate(std::int64_t bytes) {
    const std::int64_t rounded = std::max<std::int64_t>((bytes + 511) / 512, 1) * 512;
    const bool small = rounded <= k_mib;
    std::int64_t segment = 2 * k_mib;
    if (!small)
      segment =
          rounded < 10 * k_mib ? 20 * k_mib : (rounded + 2 * k_mib - 1) / (2 * k_mib) * (2 * k_mib);
    int found = best(rounded, small);
    if (found < 0) {
      if (!grow(segment, small)) {
        release_cached();
        if (!grow(segment, small) && !grow(rounded, small)) return std::nullopt;
      }
      found = best(rounded, small);
    }
    Block& block = blocks_[static_cast<std::size_t>(found)];
    block.free = false;
    const std::int64_t rest = block.size - rounded;
    if (small ? rest >= 512 : rest > k_mib) {
      block.size = rounded;
      Block high{block.offset + rounded, rest, block.segment, small, true};
      blocks_.push_back(high);
    }
    const Block& taken = blocks_[static_cast<std::size_t>(found)];
    return CachingAllocator::Block{taken.offset, taken.size};
  }

  void release(std::int64_t offset) {
    for (Block& block : blocks_) {
      if (block.offset == offset) block.free = true;
    }
    while (join_any()) {
    }
  }

  [[nodiscard]] std::int64_t reserved() const {
    std::int64_t sum = 0;
    for (const auto& [begin, size] : segments_) sum += size;
    return sum;
  }

 private:
  struct Block {
    std::int64_t offset, size, segment;
    bool small, free;
  };

  [[nodiscard]] int best(std::int64_t size, bool small) const {
    int found = -1;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const Block& b = blocks_[i];
      if (!b.free || b.small != small || b.size < size) continue;
      if (found < 0) found = static_cast<int>(i);
      const Block& f = blocks_[static_cast<std::size_t>(found)];
      if (b.size < f.size || (b.size == f.size && b.offset < f.offset)) found = static_cast<int>(i);
    }
    return found;
  }

  bool grow(std::int64_t size, bool small) {
    std::sort(segments_.begin(), segments_.end());
    std::int64_t begin = 0;
    for (const auto& [offset, length] : segments_) {
      if (offset - begin >= size) break;
      begin = offset + length;
    }
    if (begin + size > capacity_) return false;
    segments_.emplace_back(begin, size);
    blocks_.push_back({begin, size, begin, small, true});
    return true;
  }

  void release_cached() {
    for (std::size_t s = 0; s < segments_.size();) {
      const auto whole = std::find_if(blocks_.begin(), blocks_.end(), [&](const Block& b) {
        return b.free && b.offset == segments_[s].first && b.size == segments_[s].second;
      });
      if (whole == blocks_.end()) {
        ++s;
        continue;
      }
      blocks_.erase(whole);
      segments_.erase(segments_.begin() + static_cast<std::ptrdiff_t>(s));
    }
  }

  bool join_any() {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      for (std::size_t j = 0; j < blocks_.size(); ++j) {
        const bool adjacent = blocks_[i].offset + blocks_[i].size == blocks_[j].offset;
        const bool same = blocks_[i].segment == blocks_[j].segment;
        if (!blocks_[i].free || !blocks_[j].free || !adjacent || !same) continue;
        blocks_[i].size += blocks_[j].size;
        blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(j));
        return true;
      }
    }
    return false;
  }

  std::int64_t capacity_;
  std::vector<std::pair<std::int64_t, std::int64_t>> segments_;  // begin, size
  std::vector<Block> blocks_;
};

}  // namespace

TEST_CASE("caching allocator: segment sizes and splits follow PyTorch's constants") {
  Arena arena(counting(1024 * k_mib));
  std::vector<SegmentChange> changes;
  CachingAllocator allocator(arena, [&](const SegmentChange& c) { changes.push_back(c); });
  CHECK(allocator.allocate(1).size_bytes == 512);
  CHECK(allocator.allocate(k_mib).size_bytes == k_mib);            // same small segment
  CHECK(allocator.allocate(k_mib + 1).size_bytes == k_mib + 512);  // new 20 MiB segment
  CHECK(allocator.allocate(11 * k_mib).size_bytes == 11 * k_mib);  // the rest of it
  CHECK(allocator.allocate(21 * k_mib).size_bytes == 22 * k_mib);  // own; 1 MiB is not split off
  CHECK(changes == std::vector<SegmentChange>{{true, 0, 2 * k_mib},
                                              {true, 2 * k_mib, 20 * k_mib},
                                              {true, 22 * k_mib, 22 * k_mib}});
  CHECK(allocator.reserved_bytes() == 44 * k_mib);
  CHECK(allocator.allocated_bytes() == 512 + k_mib + k_mib + 512 + 33 * k_mib);
}

TEST_CASE("caching allocator: cached segments go back before a request fails") {
  Arena arena(counting(24 * k_mib));
  std::vector<SegmentChange> changes;
  CachingAllocator allocator(arena, [&](const SegmentChange& c) { changes.push_back(c); });
  const std::int64_t offset = allocator.allocate(12 * k_mib).offset_bytes;
  allocator.release(offset);
  CHECK(allocator.reserved_bytes() == 12 * k_mib);
  CHECK(allocator.allocate(16 * k_mib).offset_bytes == 0);
  CHECK(changes == std::vector<SegmentChange>{
                       {true, 0, 12 * k_mib}, {false, 0, 12 * k_mib}, {true, 0, 16 * k_mib}});
}

TEST_CASE("caching allocator: a device smaller than a segment still serves small models") {
  Arena arena(counting(3 * k_mib));
  CachingAllocator allocator(arena, {});
  CHECK(allocator.allocate(2 * k_mib).size_bytes == 2 * k_mib);
  CHECK(allocator.allocate(k_mib).size_bytes == k_mib);
  CHECK_THROWS_AS(allocator.allocate(1), OutOfMemory);
}

TEST_CASE("caching allocator: freeing what is not allocated is a bug") {
  Arena arena(counting(64 * k_mib));
  CachingAllocator allocator(arena, {});
  const std::int64_t offset = allocator.allocate(512).offset_bytes;
  CHECK_THROWS_AS(allocator.release(offset + 512), std::logic_error);
  allocator.release(offset);
  CHECK_THROWS_AS(allocator.release(offset), std::logic_error);
}

TEST_CASE("caching allocator: random sequences equal the literal model") {
  std::mt19937 random(7);
  int shortages = 0;
  for (int round = 0; round < 40; ++round) {
    const std::int64_t capacity = (8 + static_cast<std::int64_t>(random() % 90)) * k_mib;
    Arena arena(counting(capacity));
    CachingAllocator allocator(arena, {});
    Literal model(capacity);
    std::vector<std::int64_t> live;
    for (int i = 0; i < 150; ++i) {
      if (!live.empty() && random() % 5 < 2) {
        const std::size_t which = random() % live.size();
        allocator.release(live[which]);
        model.release(live[which]);
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(which));
      } else {
        const int exponent = static_cast<int>(random() % 25);
        const std::int64_t bytes = static_cast<std::int64_t>(random() % (1U << exponent)) + 1;
        const std::optional<CachingAllocator::Block> expected = model.allocate(bytes);
        if (!expected) {
          ++shortages;
          REQUIRE_THROWS_AS(allocator.allocate(bytes), OutOfMemory);
          continue;
        }
        const CachingAllocator::Block found = allocator.allocate(bytes);
        REQUIRE(found == *expected);
        live.push_back(found.offset_bytes);
      }
      REQUIRE(allocator.reserved_bytes() == model.reserved());
    }
  }
  CHECK(shortages > 0);  // the sequences reach the end of the memory
}
