// Static packing: one offset for every buffer so that buffers that live at the same time do not
// overlap in memory. Time goes right, memory goes up; a buffer is a rectangle that can only move
// up and down. Also known as dynamic storage allocation or offset assignment.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tidemark {

/// A buffer as a rectangle. Lives in [begin, end) of any time unit; takes
/// [offset, offset + size_bytes) where offset is a multiple of alignment_bytes (at least 1).
struct PackBlock {
  std::int64_t size_bytes = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t alignment_bytes = 1;
  bool operator==(const PackBlock&) const = default;
};

using PackProblem = std::vector<PackBlock>;

/// An offset per block, in the order of the problem, and the highest end.
struct Packing {
  std::vector<std::int64_t> offset_bytes;
  std::int64_t height_bytes = 0;
  bool operator==(const Packing&) const = default;
};

/// The step of all offsets: the greatest common divisor of the alignments; 1 without blocks.
[[nodiscard]] std::int64_t pack_step(const PackProblem& problem);

/// No packing is lower: the most bytes that live at once, each size in whole steps but for the one
/// that may lie on top.
[[nodiscard]] std::int64_t pack_bound(const PackProblem& problem);

/// The first time at which that many live.
[[nodiscard]] std::int64_t pack_peak_time(const PackProblem& problem);

/// Empty when the packing is right, else one sentence about the first thing that is wrong. A sweep
/// over time in O(n log n).
[[nodiscard]] std::string packing_error(const PackProblem& problem, const Packing& packing);

/// In the order of their begins, each block in the smallest hole that is there then: what an
/// allocator does with best fit (Knuth, The Art of Computer Programming 1, 2.5). O(n log n) when
/// few holes are alike. Good for steps with a few sizes that come again and again.
[[nodiscard]] Packing pack_by_time(const PackProblem& problem);

/// Pairs of blocks that greedy packing looks at, over all orders.
inline constexpr std::int64_t k_greedy_work = 100'000'000;

/// Best of several orders (size, area, length, begin) with first and best fit. Stops as soon as the
/// height is at most `enough_bytes` (0 = as low as it gets), early when that is out of reach,
/// and after the first order when `is_late` says so or `most_work` is used up.
[[nodiscard]] Packing pack_greedily(const PackProblem& problem, std::int64_t enough_bytes = 0,
                                    const std::function<bool()>& is_late = {},
                                    std::int64_t most_work = k_greedy_work);

struct PackLimits {
  /// The height that is enough; 0 asks for the least.
  std::int64_t capacity_bytes = 0;
  /// Nodes of the exact search, all orders together. The result depends on this, on no clock.
  std::int64_t nodes = 20'000'000;
  /// Wall time after which the best packing so far is returned; 0 = none. With it the result may
  /// differ from run to run.
  double seconds = 0;
};

enum class PackState : std::uint8_t {
  fits,        // height <= capacity; without a capacity: the height is proven to be the least
  impossible,  // proven: no packing keeps the capacity
  unknown,     // the limit was reached first
};

struct PackResult {
  Packing packing;  // always legal, whatever the state
  std::int64_t bound_bytes = 0;
  PackState state = PackState::unknown;
  std::int64_t nodes = 0;
  bool timed_out = false;
};

/// Greedy orders, then branch and bound until the capacity is kept or the limit is reached.
[[nodiscard]] PackResult pack(const PackProblem& problem, const PackLimits& limits = {});

}  // namespace tidemark
