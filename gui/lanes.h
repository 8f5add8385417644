// What stands under the stack on the same axis: ops of each stream, levels beside the stack
// (reserved, host memory), and the lives of single buffers. Pixels without a widget.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gui/run.h"
#include "gui/stream_spans.h"
#include "gui/view_range.h"
#include "gui/view_state.h"

namespace tidemark {

/// Columns [begin_px, end_px) of a lane that show one op, or several that are too narrow to be told
/// apart (`count` > 1: then `op` is the one that takes longest).
struct OpBox {
  int begin_px = 0;
  int end_px = 0;
  OpId op;
  std::int64_t count = 1;
  bool operator==(const OpBox&) const = default;
};

/// Boxes of one stream over the columns, in order, without overlap. Every op that
/// runs within the view is in one of them. On the axis of changes an op lies from its first change
/// to the next op's.
[[nodiscard]] std::vector<OpBox> op_boxes(const Run& run, const StreamSpans& spans,
                                          const ColumnScale& scale, Axis axis);

/// The highest level within each column; 0 before the first point.
[[nodiscard]] std::vector<std::int64_t> level_columns(const Run& run,
                                                      std::span<const LevelPoint> points,
                                                      const ColumnScale& scale, Axis axis);

/// The runs of a view that are ranks of one run, in the order of their ranks: -1 = the run itself,
/// else the run over it. Empty unless there are several.
[[nodiscard]] std::vector<std::ptrdiff_t> ranks_of(const ViewState& state);

/// The bytes of such a rank per column: of its steady step at the same points of the program; -1
/// where it has nothing to show.
[[nodiscard]] std::vector<std::int64_t> rank_columns(const ViewState& state, std::ptrdiff_t rank,
                                                     const ColumnScale& scale);

/// How the lane of a stream is called: "to host" where its name would say the same in more room.
[[nodiscard]] std::string lane_name(const Stream& stream);

/// One buffer's life in the view: alive over [begin_px, end_px).
struct LifeBar {
  BufferId buffer;
  std::int64_t bytes = 0;
  std::int64_t alloc_change = 0;
  std::int64_t free_change = -1;  // -1: never
  int begin_px = 0;
  int end_px = 0;
  std::vector<int> uses_px;  // columns in which an op uses it
  int idle_begin_px = 0;     // the longest time between two uses; empty when there is none
  int idle_end_px = 0;
  std::int64_t offset_bytes = -1;  // of its placement; -1 = not placed
  bool operator==(const LifeBar&) const = default;
};

/// What the rows of the lifetime view are chosen and ordered by.
enum class LifeOrder : std::uint8_t { size, begin, address };

/// More lives than these in a view are not looked at: zoom in.
inline constexpr std::size_t k_most_lives = 300'000;

/// At most `limit` lives that touch the view: the largest, in the order asked for. `name_part`
/// (empty: any) must be part of the buffer's name. By address: those with a placement. Nothing when
/// there are more than k_most_lives.
struct LifeQuery {
  LifeOrder order = LifeOrder::size;
  std::size_t limit = 200;
  std::string name_part;
};
[[nodiscard]] bool too_many_lives(const Run& run, ViewRange range, Axis axis);
[[nodiscard]] std::vector<LifeBar> life_bars(const Run& run, const ColumnScale& scale, Axis axis,
                                             const LifeQuery& query);

}  // namespace tidemark
