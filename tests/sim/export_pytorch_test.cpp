// Round trip: a snapshot that is imported again has the same bytes of every category in the same
// order; its blocks tile its segments; recorded addresses and segments are kept.
#include "sim/export_pytorch.h"

#include <algorithm>

#include "sim/export_events.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/sim/export_judge.h"
#include "tests/traces/random_trace.h"
#include "traces/file.h"
#include "traces/import_snapshot.h"

using namespace tidemark;
using test::Level;

namespace {

/// Levels of the device, without times: a snapshot has microseconds.
std::vector<Level> device_levels(const Trace& trace, const std::vector<Event>& events,
                                 std::int32_t rank) {
  std::vector<Level> levels = test::levels_of(trace, events);
  std::erase_if(levels, [rank](const Level& level) {
    return level.space != Space{SpaceKind::device, rank};
  });
  for (Level& level : levels) {
    level.time_ns = 0;
    level.space = {};
  }
  return levels;
}

}  // namespace

TEST_CASE("export pytorch: an import finds the same bytes of every category in the same order") {
  const auto seed = GENERATE(range<std::uint64_t>(0, 60));
  Trace trace = test::random_trace(seed, 60);
  test::begin_with_memory(trace, 4);
  const auto devices = import_snapshot(to_snapshot(trace), "again");
  REQUIRE(devices.size() == 4);
  for (std::int32_t rank = 0; rank < 4; ++rank) {
    const Trace& again = devices[static_cast<std::size_t>(rank)].trace;
    CHECK(device_levels(again, again.events, rank) == device_levels(trace, trace.events, rank));
    CHECK(again.health == Health{});
    CHECK(devices[static_cast<std::size_t>(rank)].start_bytes == 0);
  }
}

TEST_CASE("export pytorch: steps, peaks, names and layers of a run come back") {
  for (const char* name : {"gpt2-tiny", "gpt2-tiny.measured", "gpt2-tiny.planned"}) {
    const Trace trace =
        read_trace(std::string(TIDEMARK_SOURCE_DIR "/traces/samples/") + name + ".tmk");
    const auto devices = import_snapshot(to_snapshot(trace), "again");
    REQUIRE(devices.size() == 1);
    const Trace& again = devices[0].trace;
    CHECK(device_levels(again, again.events, 0) == device_levels(trace, events_of(trace), 0));
    const Timeline before = timeline_of(trace);
    const Timeline after = recorded_timeline(again);
    CHECK(after.step_begin_ns.size() == before.step_begin_ns.size());
    CHECK(after.peak.by_category == before.peak.by_category);
    const Buffer& first = again.buffers.front();
    const auto same = std::ranges::find(trace.buffers, first.name, &Buffer::name);
    REQUIRE(same != trace.buffers.end());
    CHECK(layer_path(again, first.layer) == layer_path(trace, same->layer));
  }
}

TEST_CASE("export pytorch: a snapshot that was imported keeps its addresses and segments") {
  for (const char* name : {"cold", "warm"}) {
    const std::string file =
        std::string(TIDEMARK_SOURCE_DIR "/tests/golden/snapshots/") + name + ".pickle";
    const ImportedDevice once = std::move(import_snapshot(read_file(file), "x").front());
    const ImportedDevice twice = std::move(import_snapshot(to_snapshot(once.trace), "x").front());
    CHECK(twice.end_reserved_bytes == once.end_reserved_bytes);
    CHECK(twice.end_requested_bytes == once.end_requested_bytes);
    const auto addresses = [](const Trace& t) {
      std::vector<std::int64_t> out;
      for (const Event& e : t.events) {
        if (e.kind == EventKind::alloc) out.push_back(e.address_bytes);
      }
      return out;
    };
    CHECK(addresses(twice.trace) == addresses(once.trace));
    CHECK(recorded_timeline(twice.trace).run_peak.by_category ==
          recorded_timeline(once.trace).run_peak.by_category);
  }
}
