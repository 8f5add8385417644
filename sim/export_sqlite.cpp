#include "sim/export_sqlite.h"

#include "sim/export_events.h"
#include "traces/sqlite_database.h"

namespace tidemark {
namespace {

/// Tables by name, in the order in which they are filled.
constexpr const char* k_schema[] = {
    "CREATE TABLE tidemark (format INTEGER NOT NULL, title TEXT, tool TEXT, kind TEXT, device "
    "TEXT, "
    "device_memory_bytes INTEGER, rank INTEGER, rank_count INTEGER)",
    "CREATE TABLE layers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT, parent INTEGER "
    "REFERENCES layers)",
    "CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL)",
    "CREATE TABLE buffers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, layer INTEGER REFERENCES "
    "layers, category TEXT NOT NULL, space TEXT NOT NULL, rank INTEGER NOT NULL, size_bytes "
    "INTEGER "
    "NOT NULL, counted_bytes INTEGER NOT NULL, storage INTEGER REFERENCES buffers, "
    "storage_offset_bytes INTEGER NOT NULL)",
    "CREATE TABLE ops (id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, layer "
    "INTEGER "
    "REFERENCES layers, phase TEXT NOT NULL, stream INTEGER REFERENCES streams, duration_ns "
    "INTEGER)",
    "CREATE TABLE events (id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, kind TEXT NOT NULL, "
    "row "
    "INTEGER, address_bytes INTEGER, size_bytes INTEGER, stream INTEGER, pool INTEGER)",
    "CREATE TABLE live (event INTEGER NOT NULL REFERENCES events, time_ns INTEGER NOT NULL, space "
    "TEXT NOT NULL, rank INTEGER NOT NULL, category TEXT NOT NULL, bytes INTEGER NOT NULL, "
    "total_bytes INTEGER NOT NULL)",
    "CREATE TABLE peaks (space TEXT NOT NULL, rank INTEGER NOT NULL, peak TEXT NOT NULL, time_ns "
    "INTEGER NOT NULL, category TEXT NOT NULL, bytes INTEGER NOT NULL)",
};

class SqliteExport {
 public:
  explicit SqliteExport(const Trace& trace) : trace_(trace) {}

  std::string bytes() && {
    for (const char* table : k_schema) db_.run(table);
    db_.run("BEGIN");
    dictionaries();
    events();
    peaks();
    db_.run("COMMIT");
    return db_.bytes();
  }

 private:
  /// No row is NULL, not -1: joins then find nothing.
  static void bind_row(SqliteStatement& s, int parameter, std::int32_t row) {
    if (row >= 0) s.bind(parameter, std::int64_t{row});
  }

  SqliteStatement insert(const std::string& table, int columns) const {
    std::string sql = "INSERT INTO " + table + " VALUES (?";
    for (int i = 1; i < columns; ++i) sql += ", ?";
    return db_.prepare(sql + ")");
  }

  void dictionaries() {
    const Meta& m = trace_.meta;
    SqliteStatement meta = insert("tidemark", 8);
    meta.bind(0, std::int64_t{1}).bind(1, m.title).bind(2, m.tool).bind(3, to_string(m.kind));
    meta.bind(4, m.device).bind(5, m.device_memory_bytes);
    meta.bind(6, std::int64_t{m.rank}).bind(7, std::int64_t{m.rank_count}).run();
    SqliteStatement layers = insert("layers", 4);
    for (std::size_t i = 0; i < trace_.layers.size(); ++i) {
      const Layer& l = trace_.layers[i];
      layers.clear().bind(0, static_cast<std::int64_t>(i)).bind(1, l.name).bind(2, l.kind);
      bind_row(layers, 3, l.parent.value);
      layers.run();
    }
    SqliteStatement streams = insert("streams", 3);
    for (std::size_t i = 0; i < trace_.streams.size(); ++i) {
      const Stream& s = trace_.streams[i];
      streams.bind(0, static_cast<std::int64_t>(i))
          .bind(1, s.name)
          .bind(2, to_string(s.kind))
          .run();
    }
    buffers();
    SqliteStatement ops = insert("ops", 7);
    for (std::size_t i = 0; i < trace_.ops.size(); ++i) {
      const Op& op = trace_.ops[i];
      ops.clear()
          .bind(0, static_cast<std::int64_t>(i))
          .bind(1, op.name)
          .bind(2, to_string(op.kind));
      bind_row(ops, 3, op.layer.value);
      ops.bind(4, to_string(op.phase));
      bind_row(ops, 5, op.stream.value);
      ops.bind(6, op.duration_ns).run();
    }
  }

  void buffers() {
    SqliteStatement rows = insert("buffers", 10);
    for (std::size_t i = 0; i < trace_.buffers.size(); ++i) {
      const Buffer& b = trace_.buffers[i];
      rows.clear().bind(0, static_cast<std::int64_t>(i)).bind(1, b.name);
      bind_row(rows, 2, b.layer.value);
      rows.bind(3, to_string(b.category)).bind(4, to_string(b.space.kind));
      rows.bind(5, std::int64_t{b.space.rank}).bind(6, b.size_bytes).bind(7, counted_bytes(b));
      bind_row(rows, 8, b.storage.value);
      rows.bind(9, b.storage_offset_bytes).run();
    }
  }

  void events() {
    SqliteStatement rows = insert("events", 8);
    SqliteStatement levels = insert("live", 7);
    LiveBytes live(trace_);
    std::int64_t id = 0;
    for (const Event& e : events_of(trace_)) {
      rows.clear().bind(0, id).bind(1, e.time_ns).bind(2, to_string(e.kind));
      bind_row(rows, 3, e.index);
      rows.bind(4, e.address_bytes).bind(5, e.size_bytes);
      rows.bind(6, std::int64_t{e.stream}).bind(7, std::int64_t{e.pool}).run();
      if (live.apply(e)) {
        const Buffer& b = trace_.buffers[static_cast<std::size_t>(e.index)];
        levels.bind(0, id).bind(1, e.time_ns).bind(2, to_string(b.space.kind));
        levels.bind(3, std::int64_t{b.space.rank}).bind(4, to_string(b.category));
        levels.bind(5, live.in(b.space)[static_cast<std::size_t>(b.category)]);
        levels.bind(6, live.total(b.space)).run();
      }
      ++id;
    }
  }

  void peaks() {
    SqliteStatement rows = insert("peaks", 6);
    const auto put = [&rows](Space space, std::string_view name, const Peak& peak) {
      for (std::size_t i = 0; i < k_category_count && peak.change >= 0; ++i) {
        rows.bind(0, to_string(space.kind)).bind(1, std::int64_t{space.rank}).bind(2, name);
        rows.bind(3, peak.time_ns).bind(4, to_string(static_cast<Category>(i)));
        rows.bind(5, peak.by_category[i]).run();
      }
    };
    for (const Space space : LiveBytes(trace_).spaces()) {
      const Timeline t = timeline_of(trace_, space);
      put(space, "step", t.peak);
      put(space, "run", t.run_peak);
      put(space, "eval", t.eval_peak);
    }
  }

  const Trace& trace_;
  SqliteDatabase db_;
};

}  // namespace

std::string to_sqlite(const Trace& trace) {
  return SqliteExport(trace).bytes();
}

}  // namespace tidemark
