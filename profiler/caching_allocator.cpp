#include "profiler/caching_allocator.h"

#include <algorithm>
#include <string>
#include <vector>

namespace tidemark {
namespace {

std::int64_t segment_bytes_for(std::int64_t rounded_bytes) {
  if (rounded_bytes <= k_small_request_bytes) return k_small_segment_bytes;
  if (rounded_bytes < k_own_segment_from_bytes) return k_large_segment_bytes;
  return round_up(rounded_bytes, k_own_segment_round_bytes);
}

}  // namespace

CachingAllocator::CachingAllocator(Arena& arena,
                                   std::function<void(const SegmentChange&)> on_segment)
    : arena_(arena), on_segment_(std::move(on_segment)) {}

CachingAllocator::Block CachingAllocator::allocate(std::int64_t size_bytes) {
  const std::int64_t rounded =
      round_up(std::max<std::int64_t>(size_bytes, 1), k_caching_round_bytes);
  const bool is_small = rounded <= k_small_request_bytes;
  const auto piece = find_or_grow(rounded, is_small);
  free_set(is_small).erase({piece->second.size_bytes, piece->first});
  piece->second.is_free = false;
  const std::int64_t rest = piece->second.size_bytes - rounded;
  if (is_small ? rest >= k_caching_round_bytes : rest > k_small_request_bytes) {
    split(piece, rounded);
  }
  allocated_bytes_ += piece->second.size_bytes;
  arena_.poison(piece->first, piece->second.size_bytes);
  return {piece->first, piece->second.size_bytes};
}

/// A free piece of the pool that is large enough, of a new segment when there is none.
CachingAllocator::Pieces::iterator CachingAllocator::find_or_grow(std::int64_t rounded_bytes,
                                                                  bool is_small) {
  const FreeSet& free = free_set(is_small);
  if (const auto best = free.lower_bound({rounded_bytes, -1}); best != free.end()) {
    return pieces_.find(best->second);
  }
  const std::int64_t segment_bytes = segment_bytes_for(rounded_bytes);
  try {
    return add_segment(segment_bytes, is_small);
  } catch (const OutOfMemory&) {
    release_cached_segments();
  }
  try {
    return add_segment(segment_bytes, is_small);
  } catch (const OutOfMemory&) {
    return add_segment(rounded_bytes, is_small);
  }
}

CachingAllocator::Pieces::iterator CachingAllocator::add_segment(std::int64_t segment_bytes,
                                                                 bool is_small) {
  const std::int64_t offset = arena_.allocate_first_fit(segment_bytes);
  reserved_bytes_ += segment_bytes;
  if (on_segment_) on_segment_({true, offset, segment_bytes});
  free_set(is_small).emplace(segment_bytes, offset);
  return pieces_
      .emplace(offset, Piece{.size_bytes = segment_bytes,
                             .segment_bytes = segment_bytes,
                             .is_last = true,
                             .is_small = is_small,
                             .is_free = true})
      .first;
}

/// The low part stays `piece`; the rest becomes a free piece after it.
void CachingAllocator::split(Pieces::iterator piece, std::int64_t rounded_bytes) {
  const std::int64_t rest = piece->second.size_bytes - rounded_bytes;
  const std::int64_t rest_offset = piece->first + rounded_bytes;
  pieces_.emplace(rest_offset, Piece{.size_bytes = rest,
                                     .segment_bytes = 0,
                                     .is_last = piece->second.is_last,
                                     .is_small = piece->second.is_small,
                                     .is_free = true});
  piece->second.size_bytes = rounded_bytes;
  piece->second.is_last = false;
  free_set(piece->second.is_small).emplace(rest, rest_offset);
}

void CachingAllocator::release(std::int64_t offset_bytes) {
  auto piece = pieces_.find(offset_bytes);
  if (piece == pieces_.end() || piece->second.is_free) {
    throw std::logic_error("allocator: no live block at offset " + std::to_string(offset_bytes));
  }
  arena_.poison(piece->first, piece->second.size_bytes);
  allocated_bytes_ -= piece->second.size_bytes;
  piece->second.is_free = true;
  FreeSet& free = free_set(piece->second.is_small);
  const bool is_first = piece->second.segment_bytes > 0;
  if (const auto next = std::next(piece); !piece->second.is_last && next->second.is_free) {
    free.erase({next->second.size_bytes, next->first});
    piece = join_with_next(piece);
  }
  if (const auto previous = std::prev(piece); !is_first && previous->second.is_free) {
    free.erase({previous->second.size_bytes, previous->first});
    piece = join_with_next(previous);
  }
  free.emplace(piece->second.size_bytes, piece->first);
}

CachingAllocator::Pieces::iterator CachingAllocator::join_with_next(Pieces::iterator piece) {
  const auto next = std::next(piece);
  piece->second.size_bytes += next->second.size_bytes;
  piece->second.is_last = next->second.is_last;
  pieces_.erase(next);
  return piece;
}

std::int64_t CachingAllocator::largest_free_bytes() const {
  const std::int64_t small = small_free_.empty() ? 0 : small_free_.rbegin()->first;
  const std::int64_t large = large_free_.empty() ? 0 : large_free_.rbegin()->first;
  return std::max(small, large);
}

void CachingAllocator::release_cached_segments() {
  release_cached_segments(false);
  release_cached_segments(true);
}

void CachingAllocator::release_cached_segments(bool is_small) {
  FreeSet& free = free_set(is_small);
  const std::vector<std::pair<std::int64_t, std::int64_t>> candidates(free.begin(), free.end());
  for (const auto& [size, offset] : candidates) {
    const auto piece = pieces_.find(offset);
    if (piece->second.segment_bytes != size) continue;
    pieces_.erase(piece);
    free.erase({size, offset});
    arena_.release(offset);
    reserved_bytes_ -= size;
    if (on_segment_) on_segment_({false, offset, size});
  }
}

}  // namespace tidemark
