#include "traces/binary.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <set>

#include "traces/columns.h"
#include "traces/error.h"

namespace tidemark {
namespace {

// Block header, 48 bytes, little-endian: type[16] | rows u64 | raw u64 | stored u64 | reserved u32
// | crc u32. The type is the name of the table, padded with zeros. The checksum covers the header
// before it and the stored bytes, so that a damaged header is not taken for another block.
constexpr std::size_t k_type_size = 16;
constexpr std::size_t k_crc_at = 44;
constexpr std::size_t k_header_size = 48;
constexpr std::size_t k_file_header_size = 16;
constexpr std::string_view k_end = "end";
constexpr std::uint32_t k_byte_order = 0x01020304;
// Far above what a writer makes of k_events_per_block rows: what claims more is a lie.
constexpr std::uint64_t k_largest_block = std::uint64_t{1} << 28;
constexpr std::uint64_t k_most_rows = std::uint64_t{1} << 20;

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

template <class T>
T get(const std::string& in, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(in[at + i])) << (8 * i);
  }
  return static_cast<T>(value);
}

std::uint32_t crc_of(std::string_view header, std::string_view stored) {
  uLong crc = crc32_z(0, nullptr, 0);
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(header.data()), header.size());
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(stored.data()), stored.size());
  return static_cast<std::uint32_t>(crc);
}

void put_block(std::string& out, std::string_view type, std::uint64_t rows,
               const std::string& payload) {
  std::string stored(ZSTD_compressBound(payload.size()), '\0');
  constexpr int k_level = 3;
  const std::size_t size =
      ZSTD_compress(stored.data(), stored.size(), payload.data(), payload.size(), k_level);
  if (ZSTD_isError(size) != 0U) throw std::runtime_error(ZSTD_getErrorName(size));
  stored.resize(size);
  std::string header(type);
  header.resize(k_type_size, '\0');
  put<std::uint64_t>(header, rows);
  put<std::uint64_t>(header, payload.size());
  put<std::uint64_t>(header, stored.size());
  put<std::uint32_t>(header, 0);
  put<std::uint32_t>(header, crc_of(header, stored));
  out += header + stored;
}

template <RowType Row>
void put_table(std::string& out, std::string_view type, const Row& row) {
  ColumnWriter writer;
  writer.add(row);
  put_block(out, type, 1, writer.finish());
}

template <RowType Row>
void put_table(std::string& out, std::string_view type, const std::vector<Row>& rows) {
  for (std::size_t begin = 0; begin < rows.size(); begin += k_events_per_block) {
    const std::size_t end = std::min(rows.size(), begin + k_events_per_block);
    ColumnWriter writer;
    for (std::size_t i = begin; i < end; ++i) writer.add(rows[i]);
    put_block(out, type, end - begin, writer.finish());
  }
}

struct Block {
  std::string type;
  std::uint64_t rows = 0;
  std::uint64_t raw = 0;
  std::uint64_t stored = 0;
  bool intact = false;    // the checksum holds
  std::size_t begin = 0;  // of the stored bytes
};

/// The block whose header is at `at`; false when the file ends before the block does.
bool find_block(const std::string& bytes, std::size_t at, Block& block) {
  if (bytes.size() - at < k_header_size) return false;
  block.type = bytes.substr(at, k_type_size).c_str();
  block.rows = get<std::uint64_t>(bytes, at + 16);
  block.raw = get<std::uint64_t>(bytes, at + 24);
  block.stored = get<std::uint64_t>(bytes, at + 32);
  block.begin = at + k_header_size;
  if (block.stored > bytes.size() - block.begin) return false;
  const std::string_view all(bytes);
  block.intact = get<std::uint32_t>(bytes, at + k_crc_at) ==
                 crc_of(all.substr(at, k_crc_at), all.substr(block.begin, block.stored));
  return true;
}

/// The payload of a block; throws InputError when it does not match its header.
std::string payload_of(const std::string& bytes, const Block& block) {
  const std::string_view stored = std::string_view(bytes).substr(block.begin, block.stored);
  if (!block.intact) throw InputError("checksum");
  if (block.raw > k_largest_block || block.rows > k_most_rows) throw InputError("size");
  // zstd cannot expand beyond this ratio; a larger claim is a lie and is not allocated.
  constexpr std::uint64_t k_largest_ratio = 1 << 17;
  if (block.raw / k_largest_ratio > block.stored) throw InputError("size");
  std::string payload(block.raw, '\0');
  const std::size_t size =
      ZSTD_decompress(payload.data(), payload.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) != 0U || size != block.raw) throw InputError("compression");
  if (block.rows > block.raw) throw InputError("row count");
  return payload;
}

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
    for (std::size_t i = before; i < rows.size(); ++i) reader.next(rows[i]);
    reader.finish();
  } catch (...) {
    rows.resize(before);
    throw;
  }
}

class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}

  Trace read() {
    read_header();
    Block block;
    std::size_t at = k_file_header_size;
    while (at < bytes_.size() && !ended_) {
      if (!find_block(bytes_, at, block)) break;
      take(block);
      at = block.begin + block.stored;
    }
    Health lost = lost_;
    lost.truncated_bytes = static_cast<std::int64_t>(ended_ ? 0 : bytes_.size() - at);
    add(trace_.health, lost);
    if (!ended_) trace_.health.complete = false;
    return std::move(trace_);
  }

 private:
  void read_header() const {
    if (bytes_.size() < k_file_header_size) {
      throw InputError(InputError::Parts{.place = "byte 0",
                                         .expected = "a trace header of 16 bytes",
                                         .found = fmt::format("{} bytes", bytes_.size())});
    }
    if (get<std::uint32_t>(bytes_, 12) != k_byte_order) {
      throw InputError(InputError::Parts{.place = "byte 12",
                                         .expected = "the byte order mark 04 03 02 01",
                                         .found = "another; the header is damaged"});
    }
    const auto major = get<std::uint16_t>(bytes_, 8);
    if (major != k_major_version) {
      throw InputError(InputError::Parts{
          .place = "byte 8",
          .expected = fmt::format("format version {}", k_major_version),
          .found = fmt::format("version {}; a newer tidemark may read it", major)});
    }
  }

  void take(const Block& block) {
    if (block.type == k_end && block.intact) {
      ended_ = true;
      return;
    }
    bool known = false;
    each_table(trace_, [&](const char* name, auto& table) {
      if (block.type != name) return;
      known = true;
      take(block, table);
    });
    if (!known) ++(block.intact ? lost_.skipped_blocks : lost_.damaged_blocks);
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

  const std::string& bytes_;
  Trace trace_;
  Health lost_;
  bool ended_ = false;
  std::set<std::string> cut_;  // tables with a hole
};

}  // namespace

std::string to_binary(const Trace& trace) {
  std::string out(k_magic);
  put<std::uint16_t>(out, k_major_version);
  put<std::uint16_t>(out, k_minor_version);
  put<std::uint32_t>(out, k_byte_order);
  each_table(trace, [&out](const char* name, const auto& table) { put_table(out, name, table); });
  put_block(out, k_end, 0, "");
  return out;
}

Trace from_binary(const std::string& bytes) {
  return Reader(bytes).read();
}

}  // namespace tidemark
