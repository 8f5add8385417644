// Rows in, blocks out: the one encoder behind whole files and streams. FORMAT.md, sections 2 to 4.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "traces/blocks.h"
#include "traces/columns.h"
#include "traces/live_set.h"

namespace tidemark {

class BlockWriter {
 public:
  /// What the blocks are for: a file that is kept, or a stream that is there until its run ends:
  /// that is compressed fast and has no blocks for seeking.
  enum class Use { file, stream };

  /// `rows_per_block`: 1 to 16384; small ones are for tests.
  explicit BlockWriter(std::size_t rows_per_block, Use use = Use::file)
      : rows_per_block_(rows_per_block), use_(use) {}

  template <RowType Row>
  void table(std::string_view type, const Row& row) {
    ColumnWriter writer;
    writer.add(row);
    block(type, 1, writer.finish(), 0, 0);
  }

  template <RowType Row>
  void table(std::string_view type, std::span<const Row> rows) {
    for (std::size_t i = 0; i < rows.size(); i += rows_per_block_) {
      const std::span<const Row> part = rows.subspan(i, std::min(rows_per_block_, rows.size() - i));
      if constexpr (std::is_same_v<Row, Event>) {
        events(part);
      } else {
        block(type, part.size(), encoded(part), 0, 0);
      }
    }
  }

  template <RowType Row>
  void table(std::string_view type, const std::vector<Row>& rows) {
    table(type, std::span<const Row>(rows));
  }

  /// The footer: index and end; of a stream, end alone. Nothing may follow.
  void finish();

  /// What was written since the last call.
  [[nodiscard]] std::string take();

 private:
  template <RowType Row>
  static std::string encoded(std::span<const Row> rows) {
    ColumnWriter writer;
    writer.add_all(rows);
    return writer.finish();
  }

  void events(std::span<const Event> rows);
  void block(std::string_view type, std::size_t rows, const std::string& payload,
             std::int64_t begin_ns, std::int64_t end_ns);

  std::size_t rows_per_block_;
  Use use_;
  std::string bytes_ = file_header();
  std::int64_t taken_bytes_ = 0;  // in the file before bytes_
  std::vector<IndexRow> index_;
  LiveSet live_;
  std::int64_t last_snapshot_ = 0;  // events before it
};

}  // namespace tidemark
