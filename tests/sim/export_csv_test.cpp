// The tables hold what the judge sums up, row by row; names are quoted; gzip gives the content
// back.
#include "sim/export_csv.h"

#include <unistd.h>

#include <filesystem>
#include <numeric>

#include "sim/export_events.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/sim/csv_rows.h"
#include "tests/sim/export_judge.h"
#include "tests/traces/random_trace.h"
#include "traces/file.h"
#include "traces/gzip.h"

using namespace tidemark;
using test::CsvRow;
using test::Level;

TEST_CASE("export csv: a row for each change, with the totals that the judge sums up") {
  const auto seed = GENERATE(range<std::uint64_t>(0, 40));
  const Trace trace = test::random_trace(seed, 30);
  const std::vector<Level> levels = test::levels_of(trace, trace.events);
  const std::vector<CsvRow> rows = test::csv_rows(events_csv(trace));
  REQUIRE(rows.size() == levels.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Level& level = levels[i];
    CHECK(rows[i].integer("time_ns") == level.time_ns);
    CHECK(rows[i]["space"] == to_string(level.space.kind));
    CHECK(rows[i].integer("live_bytes") ==
          std::accumulate(level.bytes.begin(), level.bytes.end(), std::int64_t{0}));
    for (std::size_t c = 0; c < k_category_count; ++c) {
      const std::string column = std::string(to_string(static_cast<Category>(c))) + "_bytes";
      CHECK((rows[i].has(column) ? rows[i].integer(column) : 0) == level.bytes[c]);
    }
  }
}

TEST_CASE("export csv: peaks by category add up to what the timeline says") {
  const Trace trace = read_trace(TIDEMARK_SOURCE_DIR "/traces/samples/gpt2-tiny.tmk");
  std::int64_t sum = 0;
  std::int64_t total = 0;
  for (const CsvRow& row : test::csv_rows(peaks_csv(trace))) {
    if (row["space"] != "device" || row["peak"] != "step") continue;
    (row["category"] == "total" ? total : sum) += row.integer("bytes");
  }
  CHECK(total == recorded_timeline(trace).peak.bytes);
  CHECK(sum == total);
}

TEST_CASE("export: a trace that never ran is exported as the replay of its program") {
  Trace trace = read_trace(TIDEMARK_SOURCE_DIR "/traces/samples/gpt2-tiny.planned.tmk");
  REQUIRE(trace.events.empty());
  const std::vector<Level> levels = test::levels_of(trace, events_of(trace));
  for (const SpaceKind kind : {SpaceKind::device, SpaceKind::host_pinned}) {
    std::int64_t highest = 0;
    for (const Level& level : levels) {
      if (level.space.kind != kind) continue;
      highest = std::max(highest,
                         std::accumulate(level.bytes.begin(), level.bytes.end(), std::int64_t{0}));
    }
    CHECK(highest == replay(trace, {kind, 0}).run_peak.bytes);
  }
  // Recorded as it is, it is the same timeline.
  const Peak planned = replay(trace).peak;
  trace.events = events_of(trace);
  CHECK(recorded_timeline(trace).peak.by_category == planned.by_category);
  CHECK(recorded_timeline(trace).peak.time_ns == planned.time_ns);
}

TEST_CASE("gzip: reading gives the content back, and the bytes are always the same") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{3'000'000}}) {
    std::string content(size, 'x');
    for (std::size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i * i >> 3);
    const std::string file =
        (std::filesystem::temp_directory_path() / ("tidemark-gzip-" + std::to_string(::getpid())))
            .string();
    write_file(file, gzip(content));
    CHECK(read_file(file) == content);
    std::filesystem::remove(file);
    CHECK(gzip(content) == gzip(content));
  }
}
