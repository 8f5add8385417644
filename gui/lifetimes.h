// Which buffers are alive at an instant, and when each of them is used.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "gui/flat_array.h"
#include "gui/run_timeline.h"

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
/// in which something is still alive: O(answer x log changes) at worst. For up to 2^32 - 1 changes.
class AliveIndex {
 public:
  using ChangeRow = std::uint32_t;
  /// What a view index stores (gui/view_index.h).
  struct Arrays {
    FlatArray<ChangeRow> alloc;                     // per lifetime, ascending
    std::vector<FlatArray<ChangeRow>> latest_free;  // per level; level 0 per lifetime
  };

  /// `changes` must outlive the index.
  explicit AliveIndex(const ChangeColumns& changes, std::size_t buffer_count);
  AliveIndex(const ChangeColumns& changes, Arrays arrays);

  [[nodiscard]] std::int64_t count() const {
    return static_cast<std::int64_t>(arrays_.alloc.size());
  }
  /// By alloc_change.
  [[nodiscard]] Lifetime lifetime(std::size_t row) const;
  /// Rows of lifetimes that are alive right after `change`, largest first, ties by buffer.
  [[nodiscard]] std::vector<std::size_t> alive_after(std::int64_t change) const;
  /// How many lifetimes begin with the changes up to `change`.
  [[nodiscard]] std::size_t begun_until(std::int64_t change) const;
  /// Rows of lifetimes that are alive after any of the changes [first, last], in order of begin.
  [[nodiscard]] std::vector<std::size_t> alive_between(std::int64_t first, std::int64_t last) const;

  [[nodiscard]] const Arrays& arrays() const { return arrays_; }

 private:
  struct Query {
    ChangeRow change = 0;     // free after it
    std::size_t row_end = 0;  // lifetimes from here on begin too late
  };
  void build_levels();
  void collect(const Query& query, std::size_t level, std::size_t node,
               std::vector<std::size_t>& found) const;

  const ChangeColumns& changes_;
  Arrays arrays_;
};

/// When a buffer is used: spans of ops that have it, or a view of it, as an operand.
class UseIndex {
 public:
  /// Both must outlive the index.
  UseIndex(const Trace& trace, const std::vector<OpSpan>& spans);

  /// Rows of the spans that use `buffer` and begin in [begin_ns, end_ns), in order.
  [[nodiscard]] std::vector<std::int32_t> uses(BufferId buffer, std::int64_t begin_ns,
                                               std::int64_t end_ns) const;

 private:
  /// Lists of rows, one per key, in one array.
  struct Lists {
    std::vector<std::size_t> first;  // per key, and one past the last
    std::vector<std::int32_t> rows;
  };
  template <class Each>
  static Lists lists_of(std::size_t key_count, Each each);

  const std::vector<OpSpan>& spans_;
  Lists ops_of_buffer_;
  Lists spans_of_op_;
};

}  // namespace tidemark
