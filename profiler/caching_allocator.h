// The allocator of unplanned runs: the rules of PyTorch's CUDA caching allocator on one stream, on
// top of an Arena that plays the device.
//
// A request is rounded up to 512 B (PyTorch's rounding; a placed program uses k_granule_bytes,
// 256). Requests up to 1 MiB come from small segments of 2 MiB; larger ones from segments of 20
// MiB, or of their own size rounded up to 2 MiB from 10 MiB on. The best fit (smallest, then
// lowest) of the free blocks of the pool is taken, and split when enough is left. A freed block
// joins its free neighbours. A segment goes back to the arena only when an allocation would fail
// otherwise.
//
// One rule is ours, for models that are small against these segments: when even then the arena has
// no room for the segment, one of exactly the rounded request is tried before the run fails.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "profiler/arena.h"

namespace tidemark {

inline constexpr std::int64_t k_caching_round_bytes = 512;
inline constexpr std::int64_t k_small_request_bytes = std::int64_t{1} << 20;
inline constexpr std::int64_t k_small_segment_bytes = std::int64_t{2} << 20;
inline constexpr std::int64_t k_large_segment_bytes = std::int64_t{20} << 20;
inline constexpr std::int64_t k_own_segment_from_bytes = std::int64_t{10} << 20;
inline constexpr std::int64_t k_own_segment_round_bytes = std::int64_t{2} << 20;

struct SegmentChange {
  bool allocated = true;  // false: given back to the arena
  std::int64_t offset_bytes = 0;
  std::int64_t size_bytes = 0;
  bool operator==(const SegmentChange&) const = default;
};

class CachingAllocator {
 public:
  /// What one request got: `size_bytes` is at least what was asked for.
  struct Block {
    std::int64_t offset_bytes = 0;
    std::int64_t size_bytes = 0;
    bool operator==(const Block&) const = default;
  };

  /// `arena` must outlive the allocator and serve nobody else. `on_segment` may be empty.
  CachingAllocator(Arena& arena, std::function<void(const SegmentChange&)> on_segment);

  /// Throws OutOfMemory; the allocator is then as before, but for cached segments given back.
  Block allocate(std::int64_t size_bytes);

  /// Frees the block at `offset_bytes`; std::logic_error when there is none.
  void release(std::int64_t offset_bytes);

  /// Gives every segment that is one free block back to the arena.
  void release_cached_segments();

  /// Largest free block of either pool: what is left inside the segments.
  [[nodiscard]] std::int64_t largest_free_bytes() const;
  [[nodiscard]] std::int64_t reserved_bytes() const { return reserved_bytes_; }
  [[nodiscard]] std::int64_t allocated_bytes() const { return allocated_bytes_; }

 private:
  struct Piece {
    std::int64_t size_bytes = 0;
    std::int64_t segment_bytes = 0;  // > 0: first of its segment, which has this size
    bool is_last = false;            // of its segment
    bool is_small = false;           // pool
    bool is_free = false;
  };
  using Pieces = std::map<std::int64_t, Piece>;                     // by offset
  using FreeSet = std::set<std::pair<std::int64_t, std::int64_t>>;  // size, offset

  FreeSet& free_set(bool is_small) { return is_small ? small_free_ : large_free_; }
  Pieces::iterator find_or_grow(std::int64_t rounded_bytes, bool is_small);
  Pieces::iterator add_segment(std::int64_t segment_bytes, bool is_small);
  void release_cached_segments(bool is_small);
  Pieces::iterator join_with_next(Pieces::iterator piece);
  void split(Pieces::iterator piece, std::int64_t rounded_bytes);

  Arena& arena_;
  std::function<void(const SegmentChange&)> on_segment_;
  Pieces pieces_;
  FreeSet small_free_;
  FreeSet large_free_;
  std::int64_t reserved_bytes_ = 0;
  std::int64_t allocated_bytes_ = 0;
};

}  // namespace tidemark
