#include "traces/import_sqlite.h"

#include <fmt/format.h>

#include <limits>

#include "traces/error.h"
#include "traces/import_nsys.h"
#include "traces/sqlite_database.h"
#include "traces/validate.h"

namespace tidemark {
namespace {

/// Rows of what `tidemark export` wrote. Columns are those of docs/import-export.md.
class OwnImport {
 public:
  explicit OwnImport(const SqliteDatabase& database) : database_(database) {}

  ImportedDevice run() {
    Trace& t = out_.trace;
    read("SELECT title, device, device_memory_bytes, rank, rank_count FROM tidemark",
         [&](auto& row) {
           t.meta.title = row.text(0);
           t.meta.device = row.text(1);
           t.meta.device_memory_bytes = whole(row, 2, "device_memory_bytes");
           t.meta.rank = number(row, 3, "rank");
           t.meta.rank_count = number(row, 4, "rank_count");
         });
    t.meta.kind = TraceKind::imported;
    read("SELECT id, name, kind, parent FROM layers ORDER BY id", [&](auto& row) {
      t.layers.push_back({row.text(1), row.text(2), id<LayerId>(row, 3, "parent")});
    });
    read("SELECT id, name, kind FROM streams ORDER BY id", [&](auto& row) {
      t.streams.push_back({row.text(1), name<StreamKind>(row, 2)});
    });
    read(
        "SELECT id, name, layer, category, space, rank, size_bytes, storage, storage_offset_bytes "
        "FROM buffers ORDER BY id",
        [&](auto& row) { t.buffers.push_back(buffer_of(row)); });
    read("SELECT id, name, layer, phase, stream FROM ops ORDER BY id", [&](auto& row) {
      Op op;
      op.name = row.text(1);
      op.layer = id<LayerId>(row, 2, "layer");
      op.phase = name<Phase>(row, 3);
      op.stream = id<StreamId>(row, 4, "stream");
      t.ops.push_back(std::move(op));
    });
    read(
        "SELECT id, time_ns, kind, row, address_bytes, size_bytes, stream, pool FROM events "
        "ORDER BY id",
        [&](auto& row) { t.events.push_back(event_of(row)); });
    t.health.complete = true;
    check();
    return std::move(out_);
  }

 private:
  template <class Take>
  void read(const std::string& sql, Take take) {
    SqliteStatement rows = database_.prepare(sql);
    const std::string rest = sql.substr(sql.find("FROM ") + 5);
    table_ = rest.substr(0, rest.find(' '));
    for (row_ = 0; rows.step(); ++row_) take(rows);
  }

  [[noreturn]] void fail(std::string expected, std::string found) const {
    throw InputError(InputError::Parts{.place = fmt::format("{}[{}]", table_, row_),
                                       .expected = std::move(expected),
                                       .found = std::move(found)});
  }

  [[nodiscard]] std::int64_t whole(const SqliteStatement& row, int column,
                                   std::string_view what) const {
    if (!row.is_integer(column)) {
      fail(fmt::format("a whole number '{}'", what), "'" + row.text(column).substr(0, 40) + "'");
    }
    return row.integer(column);
  }

  [[nodiscard]] std::int32_t number(const SqliteStatement& row, int column,
                                    std::string_view what) const {
    const std::int64_t value = whole(row, column, what);
    if (value < -1 || value > std::numeric_limits<std::int32_t>::max()) {
      fail(fmt::format("'{}' from -1 to 2^31 - 1", what), fmt::format("{}", value));
    }
    return static_cast<std::int32_t>(value);
  }

  template <class IdType>
  [[nodiscard]] IdType id(const SqliteStatement& row, int column, std::string_view what) const {
    const std::int32_t value = row.is_null(column) ? -1 : number(row, column, what);
    return value < 0 ? IdType{} : IdType{static_cast<std::size_t>(value)};
  }

  template <NamedEnum E>
  [[nodiscard]] E name(const SqliteStatement& row, int column) const {
    const std::string text = row.text(column);
    const auto value = parse_enum<E>(text);
    if (!value) {
      fail(fmt::format("a {} out of {}", EnumNames<E>::k_type,
                       fmt::join(EnumNames<E>::k_names, ", ")),
           "'" + text.substr(0, 40) + "'");
    }
    return *value;
  }

  Buffer buffer_of(const SqliteStatement& row) const {
    Buffer b;
    b.name = row.text(1);
    b.layer = id<LayerId>(row, 2, "layer");
    b.category = name<Category>(row, 3);
    b.space = {name<SpaceKind>(row, 4), number(row, 5, "rank")};
    b.dtype = DType::u8;
    b.size_bytes = whole(row, 6, "size_bytes");
    b.shape = {b.size_bytes};
    b.storage = id<BufferId>(row, 7, "storage");
    b.storage_offset_bytes = whole(row, 8, "storage_offset_bytes");
    return b;
  }

  Event event_of(const SqliteStatement& row) const {
    Event e;
    e.time_ns = whole(row, 1, "time_ns");
    e.kind = name<EventKind>(row, 2);
    e.index = row.is_null(3) ? -1 : number(row, 3, "row");
    e.address_bytes = whole(row, 4, "address_bytes");
    e.size_bytes = whole(row, 5, "size_bytes");
    e.stream = number(row, 6, "stream");
    e.pool = number(row, 7, "pool");
    return e;
  }

  void check() {
    const Trace& t = out_.trace;
    if (const std::string fault = index_fault(t); !fault.empty()) throw InputError(fault);
    out_.device = t.meta.rank;
    for (const Event& e : t.events) {
      if (e.kind != EventKind::alloc) continue;
      const Buffer& b = t.buffers[static_cast<std::size_t>(e.index)];
      constexpr std::int64_t k_largest_total = std::int64_t{1} << 62;
      if (b.size_bytes > k_largest_total - out_.all_bytes) {
        throw InputError("events: expected at most 2^62 bytes in all, found more");
      }
      out_.all_bytes += b.size_bytes;
      if (b.category == Category::unknown) out_.unknown_bytes += b.size_bytes;
    }
  }

  const SqliteDatabase& database_;
  ImportedDevice out_;
  std::string table_;
  std::int64_t row_ = 0;
};

}  // namespace

std::vector<ImportedDevice> import_sqlite(const std::string& bytes, const std::string& title) {
  const SqliteDatabase database(bytes);
  if (database.has_table("tidemark")) {
    std::vector<ImportedDevice> out;
    out.push_back(OwnImport(database).run());
    return out;
  }
  if (!is_nsys(database)) {
    throw InputError(InputError::Parts{.place = "SQLite",
                                       .expected = "an export of Nsight Systems or of tidemark",
                                       .found = "other tables"});
  }
  return import_nsys(database, title);
}

}  // namespace tidemark
