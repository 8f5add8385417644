// Round trip: a database that is imported again gives the same layers, streams, buffers, ops and
// events; its table of live bytes is what the judge sums up.
#include "sim/export_sqlite.h"

#include "sim/export_events.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/sim/export_judge.h"
#include "tests/traces/random_trace.h"
#include "traces/file.h"
#include "traces/import_sqlite.h"
#include "traces/sqlite_database.h"

using namespace tidemark;
using test::Level;

TEST_CASE("export sqlite: an import gives the same events and buffers") {
  const auto seed = GENERATE(range<std::uint64_t>(0, 40));
  const Trace trace = test::random_trace(seed, 30);
  const auto devices = import_sqlite(to_sqlite(trace), "again");
  REQUIRE(devices.size() == 1);
  const Trace& again = devices[0].trace;
  CHECK(again.events == trace.events);
  CHECK(again.layers == trace.layers);
  REQUIRE(again.buffers.size() == trace.buffers.size());
  for (std::size_t i = 0; i < again.buffers.size(); ++i) {
    CHECK(again.buffers[i].name == trace.buffers[i].name);
    CHECK(again.buffers[i].category == trace.buffers[i].category);
    CHECK(again.buffers[i].storage == trace.buffers[i].storage);
  }
  CHECK(test::levels_of(again, again.events) == test::levels_of(trace, trace.events));
}

TEST_CASE("export sqlite: peaks of runs and plans come back, and SQL finds them") {
  for (const char* name : {"gpt2-tiny", "gpt2-tiny.planned"}) {
    const Trace trace =
        read_trace(std::string(TIDEMARK_SOURCE_DIR "/traces/samples/") + name + ".tmk");
    const std::string bytes = to_sqlite(trace);
    const Trace again = import_sqlite(bytes, "again").front().trace;
    const Peak peak = timeline_of(trace).peak;
    CHECK(recorded_timeline(again).peak.by_category == peak.by_category);
    const SqliteDatabase db(bytes);
    SqliteStatement sum =
        db.prepare("SELECT SUM(bytes) FROM peaks WHERE space = 'device' AND peak = 'step'");
    REQUIRE(sum.step());
    CHECK(sum.integer(0) == peak.bytes);
    SqliteStatement most = db.prepare("SELECT MAX(total_bytes) FROM live WHERE space = 'device'");
    REQUIRE(most.step());
    CHECK(most.integer(0) == timeline_of(trace).run_peak.bytes);
  }
}

TEST_CASE("export sqlite: live bytes are what the judge sums up") {
  const Trace trace = test::random_trace(3, 40);
  const std::vector<Level> levels = test::levels_of(trace, trace.events);
  const SqliteDatabase db(to_sqlite(trace));
  SqliteStatement rows =
      db.prepare("SELECT time_ns, space, category, bytes FROM live ORDER BY event");
  for (const Level& level : levels) {
    REQUIRE(rows.step());
    CHECK(rows.integer(0) == level.time_ns);
    const auto category = parse_enum<Category>(rows.text(2));
    REQUIRE(category.has_value());
    CHECK(rows.integer(3) == level.bytes[static_cast<std::size_t>(*category)]);
  }
  CHECK_FALSE(rows.step());
}
