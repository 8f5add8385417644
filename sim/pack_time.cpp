#include <algorithm>
#include <vector>

#include "sim/free_blocks.h"
#include "sim/pack.h"
#include "sim/pack_changes.h"
#include "traces/trace.h"

namespace tidemark {
namespace {

/// The line of offsets, cut into pieces that are free or hold a block.
class Line {
 public:
  explicit Line(std::size_t blocks) : piece_of_(blocks, -1) {
    constexpr std::int64_t k_endless = std::int64_t{1} << 60;
    pieces_.push_back({.begin = 0, .end = k_endless});
    insert_free(0);
  }

  /// Offset of the block, in the smallest piece that holds it, the lowest among equals.
  std::int64_t add(std::size_t block, std::int64_t size_bytes, std::int64_t alignment_bytes) {
    FreeBlocks::Place place = free_.best_fit(size_bytes);
    const std::int64_t begin = free_[place].address;
    if (round_up(begin, alignment_bytes) + size_bytes > begin + free_[place].size_bytes) {
      place = free_.best_fit(size_bytes + alignment_bytes - 1);
    }
    std::int32_t row = free_[place].block;
    free_.erase(place);
    const std::int64_t offset = round_up(at(row).begin, alignment_bytes);
    if (offset > at(row).begin) {
      const std::int32_t head = row;
      row = split(head, offset);
      insert_free(head);
    }
    if (offset + size_bytes < at(row).end) insert_free(split(row, offset + size_bytes));
    at(row).free = false;
    piece_of_[block] = row;
    return offset;
  }

  void remove(std::size_t block) {
    const std::int32_t row = piece_of_[block];
    Piece& piece = at(row);
    piece.free = true;
    if (piece.next >= 0 && at(piece.next).free) {
      erase_free(piece.next);
      piece.end = at(piece.next).end;
      unlink(piece.next);
    }
    if (piece.previous >= 0 && at(piece.previous).free) {
      erase_free(piece.previous);
      piece.begin = at(piece.previous).begin;
      unlink(piece.previous);
    }
    insert_free(row);
  }

 private:
  struct Piece {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int32_t previous = -1;  // neighbours
    std::int32_t next = -1;
    bool free = true;
  };

  Piece& at(std::int32_t row) { return pieces_[static_cast<std::size_t>(row)]; }

  void insert_free(std::int32_t row) {
    free_.insert({at(row).end - at(row).begin, at(row).begin, row});
  }
  void erase_free(std::int32_t row) { free_.erase(at(row).end - at(row).begin, at(row).begin); }

  /// The upper part becomes a piece of its own, which is returned; neither is in the set.
  std::int32_t split(std::int32_t row, std::int64_t offset) {
    std::int32_t upper = static_cast<std::int32_t>(pieces_.size());
    if (unused_.empty()) {
      pieces_.emplace_back();
    } else {
      upper = unused_.back();
      unused_.pop_back();
    }
    Piece& low = at(row);
    at(upper) = {.begin = offset, .end = low.end, .previous = row, .next = low.next};
    if (low.next >= 0) at(low.next).previous = upper;
    low.next = upper;
    low.end = offset;
    return upper;
  }

  void unlink(std::int32_t row) {
    const Piece& piece = at(row);
    if (piece.previous >= 0) at(piece.previous).next = piece.next;
    if (piece.next >= 0) at(piece.next).previous = piece.previous;
    unused_.push_back(row);
  }

  std::vector<Piece> pieces_;
  std::vector<std::int32_t> unused_;    // rows of pieces_
  std::vector<std::int32_t> piece_of_;  // by block
  FreeBlocks free_;
};

}  // namespace

Packing pack_by_time(const PackProblem& problem) {
  Packing layout{.offset_bytes = std::vector<std::int64_t>(problem.size(), 0), .height_bytes = 0};
  Line line(problem.size());
  for (const PackChange& change : pack_changes(problem)) {
    if (!change.begins) {
      line.remove(change.block);
      continue;
    }
    const PackBlock& block = problem[change.block];
    const std::int64_t offset = line.add(change.block, block.size_bytes, block.alignment_bytes);
    layout.offset_bytes[change.block] = offset;
    layout.height_bytes = std::max(layout.height_bytes, offset + block.size_bytes);
  }
  return layout;
}

}  // namespace tidemark
