// Branch and bound for static packing: is there a packing of at most this height?
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "sim/pack.h"

namespace tidemark {

/// The problem with time cut into sections: the maximal sets of blocks that live at once. Blocks
/// that take no bytes or no time are left out.
struct PackSections {
  struct Block {
    std::int64_t size_bytes = 0;   // in whole steps of the common alignment
    std::int64_t slack_bytes = 0;  // what the step added
    std::int64_t alignment_bytes = 1;
    std::int32_t begin = 0;  // sections, half-open
    std::int32_t end = 0;
    std::int64_t length = 0;  // in the time of the problem
    std::int64_t fullest_bytes = 0;
    std::size_t source = 0;  // row of the problem
  };
  std::vector<Block> blocks;
  std::vector<std::int64_t> total_bytes;  // by section
  std::int64_t step_bytes = 1;            // pack_step() of the problem

  explicit PackSections(const PackProblem& problem);
};

/// One depth-first search with one static order of the blocks. Blocks are placed bottom-up, by
/// (offset, order); the order decides which of several possible blocks is tried first.
class PackSearch {
 public:
  enum class Outcome : std::uint8_t { found, none, stopped };

  /// `order` is a permutation of the blocks. `sections` must outlive the search. `stop` of run()
  /// may be set by another thread.
  PackSearch(const PackSections& sections, std::int64_t capacity_bytes,
             const std::vector<std::int32_t>& order);

  using Deadline = std::optional<std::chrono::steady_clock::time_point>;

  /// Starts anew. Counts a block that is tried at an offset as a node. The clock is read once per
  /// 8 to 1024 nodes, by the size of the problem, and only with a deadline.
  Outcome run(std::int64_t most_nodes, const std::atomic<bool>& stop, const Deadline& deadline);

  /// Of the last run.
  [[nodiscard]] std::int64_t nodes() const { return nodes_; }
  void forget_nodes() { nodes_ = 0; }
  /// By block, after `found`.
  [[nodiscard]] const std::vector<std::int64_t>& offsets() const { return offset_; }

 private:
  /// A block that is not placed yet and the lowest offset that it can have. Where that is above the
  /// placed blocks under it (`support`), it hangs in the air: another open block comes below it.
  struct Open {
    std::int64_t least = 0;
    std::int64_t support = 0;
    std::int32_t block = 0;
  };
  struct Range {
    std::size_t first = 0;
    std::size_t last = 0;
    [[nodiscard]] std::size_t count() const { return last - first; }
  };

  static constexpr std::int64_t k_work_between_looks = 32768;  // nodes times blocks

  [[nodiscard]] bool must_stop() const;
  bool solve(Range open);
  bool try_block(Range open, Open choice);
  bool solve_parts(Range open, std::int32_t first_section, std::int32_t last_section);
  [[nodiscard]] bool blocks_meet(std::int32_t a, std::int32_t b) const;
  [[nodiscard]] bool rests_below(Open choice) const;
  bool raise_open(Range open, Open choice);
  [[nodiscard]] bool skipped_fit(std::int64_t least) const;
  bool raise_skipped(std::size_t first);
  bool has_room(Range open);
  void take(std::int32_t block);
  void give_back_to(std::size_t placed_count);

  const PackSections* sections_;
  std::int64_t capacity_bytes_;
  std::int64_t room_bytes_;           // the capacity in whole steps
  std::size_t words_;                 // of a set of sections
  std::vector<std::int32_t> rank_;    // by block
  std::vector<std::int32_t> twin_;    // by block: the alike block before it in the order, or -1
  std::vector<std::int64_t> total_;   // by section: bytes of open blocks
  std::vector<std::int32_t> across_;  // by section: open blocks that reach into the next one
  std::vector<std::int64_t> offset_;  // by block
  std::vector<char> is_placed_;
  std::vector<std::int32_t> placed_;
  std::vector<Open> open_;     // a stack of lists, each sorted by `least`
  std::vector<Open> choices_;  // a stack
  std::vector<Range> parts_;   // a stack
  std::vector<Open> raised_;
  std::vector<std::int32_t> skipped_;
  std::vector<std::uint64_t> covered_;
  std::int64_t stop_period_;  // nodes between two looks at the clock and the stop
  std::int64_t nodes_ = 0;
  std::int64_t most_nodes_ = 0;
  const std::atomic<bool>* stop_ = nullptr;
  bool stopped_ = false;
  Deadline deadline_;
};

}  // namespace tidemark
