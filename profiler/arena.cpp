#include "profiler/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "traces/error.h"

namespace tidemark {
namespace {

std::int64_t rounded(std::int64_t bytes) {
  return round_up(std::max<std::int64_t>(bytes, 1), k_granule_bytes);
}

}  // namespace

Arena::Arena(const ArenaOptions& options) : options_(options) {
  if (!options_.has_memory || options_.capacity_bytes <= 0) return;
  if (options_.source != nullptr) {
    begin_ = options_.source->take(options_.capacity_bytes);
    return;
  }
  void* memory = mmap(nullptr, static_cast<std::size_t>(options_.capacity_bytes),
                      PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw InputError({.file = {},
                      .place = std::string(to_string(options_.space.kind)) + " memory",
                      .expected = "a size that this machine can reserve",
                      .found = std::to_string(options_.capacity_bytes) + " bytes"});
  }
  begin_ = static_cast<std::byte*>(memory);
  // Fewer misses of the address cache; where the system has no huge pages nothing is lost.
  madvise(memory, static_cast<std::size_t>(options_.capacity_bytes), MADV_HUGEPAGE);
}

Arena::~Arena() {
  if (begin_ == nullptr) return;
  if (options_.source != nullptr) {
    options_.source->give_back(begin_);
  } else {
    munmap(begin_, static_cast<std::size_t>(options_.capacity_bytes));
  }
}

void Arena::allocate_at(std::int64_t offset_bytes, std::int64_t size_bytes) {
  const std::int64_t size = rounded(size_bytes);
  if (offset_bytes < 0 || offset_bytes % k_granule_bytes != 0) {
    throw std::logic_error("arena: offset " + std::to_string(offset_bytes) + " is not aligned");
  }
  if (offset_bytes > options_.capacity_bytes - size) throw shortage(size);
  const auto next = blocks_.lower_bound(offset_bytes);
  const bool meets_next = next != blocks_.end() && next->first < offset_bytes + size;
  const bool meets_previous =
      next != blocks_.begin() && std::prev(next)->first + std::prev(next)->second > offset_bytes;
  if (meets_next || meets_previous) {
    throw std::logic_error("arena: block at offset " + std::to_string(offset_bytes) +
                           " overlaps a live block");
  }
  insert(offset_bytes, size);
}

std::int64_t Arena::allocate_first_fit(std::int64_t size_bytes) {
  const std::int64_t size = rounded(size_bytes);
  std::int64_t hole_begin = 0;
  for (const auto& [offset, block_size] : blocks_) {
    if (offset - hole_begin >= size) break;
    hole_begin = offset + block_size;
  }
  if (hole_begin > options_.capacity_bytes - size) throw shortage(size);
  insert(hole_begin, size);
  return hole_begin;
}

void Arena::release(std::int64_t offset_bytes) {
  const auto block = blocks_.find(offset_bytes);
  if (block == blocks_.end()) {
    throw std::logic_error("arena: no live block at offset " + std::to_string(offset_bytes));
  }
  poison(offset_bytes, block->second);
  live_bytes_ -= block->second;
  blocks_.erase(block);
}

void Arena::poison(std::int64_t offset_bytes, std::int64_t size_bytes) {
  if (!options_.poison || begin_ == nullptr || options_.source != nullptr) return;
  std::memset(begin_ + offset_bytes, 0xFF, static_cast<std::size_t>(size_bytes));
}

void Arena::insert(std::int64_t offset_bytes, std::int64_t size_bytes) {
  blocks_.emplace(offset_bytes, size_bytes);
  live_bytes_ += size_bytes;
  peak_live_bytes_ = std::max(peak_live_bytes_, live_bytes_);
  high_water_bytes_ = std::max(high_water_bytes_, offset_bytes + size_bytes);
  poison(offset_bytes, size_bytes);
}

std::int64_t Arena::largest_hole_bytes() const {
  std::int64_t largest = 0;
  std::int64_t hole_begin = 0;
  for (const auto& [offset, block_size] : blocks_) {
    largest = std::max(largest, offset - hole_begin);
    hole_begin = offset + block_size;
  }
  return std::max(largest, options_.capacity_bytes - hole_begin);
}

OutOfMemory Arena::shortage(std::int64_t request_bytes) const {
  return OutOfMemory({.space = options_.space,
                      .buffer = {},
                      .request_bytes = request_bytes,
                      .capacity_bytes = options_.capacity_bytes,
                      .live_bytes = live_bytes_,
                      .largest_hole_bytes = largest_hole_bytes(),
                      .live_by_category = {}});
}

}  // namespace tidemark
