#include "traces/block_writer.h"

#include <algorithm>
#include <utility>

namespace tidemark {

void BlockWriter::events(std::span<const Event> rows) {
  if (use_ == Use::stream) return block("events", rows.size(), encoded(rows), 0, 0);
  const std::int64_t before = live_.event_count();
  if (before - last_snapshot_ >= static_cast<std::int64_t>(rows_per_block_)) {
    last_snapshot_ = before;
    const LiveSnapshot snapshot = live_.snapshot();
    ColumnWriter writer;
    writer.add(snapshot);
    block(k_live, 1, writer.finish(), snapshot.time_ns, snapshot.time_ns);
  }
  block("events", rows.size(), encoded(rows), rows.front().time_ns, rows.back().time_ns);
  for (const Event& event : rows) live_.apply(event);
}

void BlockWriter::block(std::string_view type, std::size_t rows, const std::string& payload,
                        std::int64_t begin_ns, std::int64_t end_ns) {
  if (use_ == Use::stream) return put_block(bytes_, type, rows, payload, k_level_of_streams);
  std::int64_t first_row = 0;
  const auto before = std::find_if(index_.rbegin(), index_.rend(),
                                   [&](const IndexRow& row) { return row.type == type; });
  if (before != index_.rend()) first_row = before->first_row + before->rows;
  index_.push_back({.type = std::string(type),
                    .at = taken_bytes_ + static_cast<std::int64_t>(bytes_.size()),
                    .rows = static_cast<std::int64_t>(rows),
                    .first_row = first_row,
                    .begin_ns = begin_ns,
                    .end_ns = end_ns});
  put_block(bytes_, type, rows, payload);
}

void BlockWriter::finish() {
  if (use_ == Use::stream) return put_block(bytes_, k_end, 0, "");  // it has no index
  const std::int64_t at = taken_bytes_ + static_cast<std::int64_t>(bytes_.size());
  put_block(bytes_, k_index, index_.size(), encoded(std::span<const IndexRow>(index_)));
  put_block(bytes_, k_end, static_cast<std::uint64_t>(at), "");
}

std::string BlockWriter::take() {
  taken_bytes_ += static_cast<std::int64_t>(bytes_.size());
  return std::exchange(bytes_, {});
}

}  // namespace tidemark
