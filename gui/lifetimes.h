// Which buffers are alive at an instant, and when each of them is used.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "sim/timeline.h"

namespace tidemark {

/// One life of a buffer: it is alive after the changes [alloc_change, free_change).
struct Lifetime {
  BufferId buffer;
  std::int64_t bytes = 0;
  std::int64_t alloc_change = 0;
  std::int64_t free_change = std::numeric_limits<std::int64_t>::max();  // max: never freed
  [[nodiscard]] bool freed() const {
    return free_change != std::numeric_limits<std::int64_t>::max();
  }
  bool operator==(const Lifetime&) const = default;
};

/// Stabbing index: lifetimes by begin, under a tree of latest ends. A query walks only into nodes
/// in which something is still alive: O(answer x log changes) at worst.
class AliveIndex {
 public:
  AliveIndex(const Trace& trace, const Timeline& timeline);

  /// By alloc_change.
  [[nodiscard]] std::span<const Lifetime> lifetimes() const { return lifetimes_; }
  /// Rows of lifetimes() that are alive right after `change`, largest first, ties by buffer.
  [[nodiscard]] std::vector<std::size_t> alive_after(std::int64_t change) const;

 private:
  struct Query {
    std::int64_t change = 0;
    std::size_t row_end = 0;  // lifetimes from here on begin after `change`
  };
  void collect(const Query& query, std::size_t level, std::size_t node,
               std::vector<std::size_t>& found) const;

  std::vector<Lifetime> lifetimes_;
  std::vector<std::vector<std::int64_t>> latest_free_;  // per level; level 0 over lifetimes_
};

/// When a buffer is used: spans of ops that have it, or a view of it, as an operand.
class UseIndex {
 public:
  /// Both must outlive the index.
  UseIndex(const Trace& trace, const Timeline& timeline);

  /// Rows of timeline.spans that use `buffer` and begin in [begin_ns, end_ns).
  [[nodiscard]] std::span<const std::int32_t> uses(BufferId buffer, std::int64_t begin_ns,
                                                   std::int64_t end_ns) const;

 private:
  const Timeline& timeline_;
  std::vector<std::size_t> first_use_;  // per buffer, and one past the last
  std::vector<std::int32_t> span_;
};

}  // namespace tidemark
