#include "traces/binary.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>
#include <set>
#include <span>

#include "traces/block_writer.h"
#include "traces/blocks.h"
#include "traces/columns.h"
#include "traces/error.h"

namespace tidemark {
namespace {

template <RowType Row>
void take_table(const std::string& payload, const Block& block, Row& row) {
  if (block.rows != 1) throw InputError("row count");
  Row fresh;
  ColumnReader reader(payload);
  reader.next(fresh);
  reader.finish();
  row = fresh;
}

/// Appends all rows of the block, or none when it is damaged.
template <RowType Row>
void take_table(const std::string& payload, const Block& block, std::vector<Row>& rows) {
  ColumnReader reader(payload);
  const std::size_t before = rows.size();
  try {
    rows.resize(before + block.rows);
    reader.all(std::span<Row>(rows).subspan(before));
    reader.finish();
  } catch (...) {
    rows.resize(before);
    throw;
  }
}

class Reader {
 public:
  Reader(std::string_view bytes, Events events) : bytes_(bytes), events_(events) {}

  Trace read() {
    require_file_header(bytes_);
    if (events_ == Events::read) reserve_events();
    Block block;
    std::size_t at = k_file_header_size;
    while (at < bytes_.size() && !ended_) {
      if (!find_block(bytes_, at, block)) break;
      take(block);
      at = block.end();
    }
    Health lost = lost_;
    lost.truncated_bytes = static_cast<std::int64_t>(ended_ ? 0 : bytes_.size() - at);
    add(trace_.health, lost);
    if (!ended_) trace_.health.complete = false;
    return std::move(trace_);
  }

 private:
  /// Room for all events at once: what grows to hundreds of megabytes is moved again and again, and
  /// most of the time of a large file would be page faults. Headers may lie: what is not
  /// trusted is more than an event per byte of the file.
  void reserve_events() {
    std::size_t count = 0;
    Block block;
    for (std::size_t at = k_file_header_size; find_block(bytes_, at, block); at = block.end()) {
      if (block.type == "events") count += std::min<std::size_t>(block.rows, bytes_.size());
    }
    std::vector<Event>& events = trace_.events;
    try {
      events.reserve(std::min(count, bytes_.size()));
    } catch (const std::bad_alloc&) {
      return;  // it may be a lie, and a smaller truth may fit
    }
    constexpr std::uintptr_t k_huge_page = std::uintptr_t{1} << 21;
    const auto begin = reinterpret_cast<std::uintptr_t>(events.data());
    const std::uintptr_t first = (begin + k_huge_page - 1) / k_huge_page * k_huge_page;
    const std::uintptr_t end = begin + events.capacity() * sizeof(Event);
    // Advice only: where it is not taken, pages are small.
    if (end > first) ::madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
  }

  void take(const Block& block) {
    if (events_ == Events::skip && block.type == "events") return;
    const bool intact = is_intact(bytes_, block);
    if (block.type == k_end && intact) {
      ended_ = true;
      return;
    }
    // They say again what the tables say.
    if (intact && (block.type == k_live || block.type == k_index)) return;
    bool known = false;
    each_table(trace_, [&](const char* name, auto& table) {
      if (block.type != name) return;
      known = true;
      take(block, table);
    });
    if (!known) ++(intact ? lost_.skipped_blocks : lost_.damaged_blocks);
  }

  template <class Table>
  void take(const Block& block, Table& table) {
    constexpr bool k_is_events = std::is_same_v<Table, std::vector<Event>>;
    try {
      // Rows are known by their number, so what follows a hole in a table has lost its name.
      if (cut_.contains(block.type)) throw InputError("a block before it is damaged");
      take_table(payload_of(bytes_, block), block, table);
    } catch (const std::exception&) {  // InputError, or no memory for what a lie asks for
      ++lost_.damaged_blocks;
      cut_.insert(block.type);
      if (k_is_events) lost_.dropped_events += rows_of(block);
    }
  }

  /// Rows that a lost block may have had; its header may lie.
  static std::int64_t rows_of(const Block& block) {
    return static_cast<std::int64_t>(std::min<std::uint64_t>(block.rows, k_events_per_block));
  }

  /// Sums of counters that come from outside stay at the largest number.
  static void add(std::int64_t& to, std::int64_t from) {
    if (__builtin_add_overflow(to, from, &to)) to = std::numeric_limits<std::int64_t>::max();
  }

  static void add(Health& to, const Health& from) {
    add(to.dropped_events, from.dropped_events);
    add(to.damaged_blocks, from.damaged_blocks);
    add(to.skipped_blocks, from.skipped_blocks);
    add(to.truncated_bytes, from.truncated_bytes);
  }

  std::string_view bytes_;
  Events events_;
  Trace trace_;
  Health lost_;
  bool ended_ = false;
  std::set<std::string> cut_;  // tables with a hole
};

}  // namespace

std::string to_binary(const Trace& trace, std::size_t rows_per_block) {
  BlockWriter blocks(rows_per_block);
  each_table(trace, [&blocks](const char* name, const auto& table) { blocks.table(name, table); });
  blocks.finish();
  return blocks.take();
}

std::string to_binary(const Trace& trace) {
  return to_binary(trace, k_events_per_block);
}

Trace from_binary(std::string_view bytes, Events events) {
  return Reader(bytes, events).read();
}

}  // namespace tidemark
