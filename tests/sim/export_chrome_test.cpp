// Round trip: what is exported and imported again has the same bytes of every category at the same
// times; the counters are what the judge sums up.
#include "sim/export_chrome.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sim/export_events.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/sim/export_judge.h"
#include "tests/traces/random_trace.h"
#include "traces/file.h"
#include "traces/import_kineto.h"

using namespace tidemark;
using Json = nlohmann::json;
using test::Level;

namespace {

/// A random recording of the devices 0 and 1, each with memory from the start.
Trace random_recording(std::uint64_t seed) {
  Trace trace = test::random_trace(seed, 40);
  for (Buffer& b : trace.buffers) b.space.rank %= 2;
  for (Buffer& b : trace.buffers) {
    if (b.storage.valid()) b.space = trace[b.storage].space;
  }
  test::begin_with_memory(trace, 2);
  return trace;
}

std::vector<Level> of_rank(std::vector<Level> levels, std::int32_t rank) {
  std::erase_if(levels, [rank](const Level& level) { return level.space.rank != rank; });
  return levels;
}

}  // namespace

TEST_CASE("export chrome: an import finds the same bytes of every category at the same times") {
  const auto seed = GENERATE(range<std::uint64_t>(0, 60));
  const Trace trace = random_recording(seed);
  const std::vector<Level> levels = test::levels_of(trace, trace.events);
  const auto devices = import_kineto(to_chrome(trace), "again");
  REQUIRE(devices.size() == 2);
  for (std::int32_t rank = 0; rank < 2; ++rank) {
    const Trace& again = devices[static_cast<std::size_t>(rank)].trace;
    CHECK(test::levels_of(again, again.events) == of_rank(levels, rank));
    CHECK(again.health.unmatched_frees == 0);
  }
}

TEST_CASE("export chrome: steps and ops of a recorded run come back as they were") {
  for (const char* name : {"gpt2-tiny", "gpt2-tiny.measured", "gpt2-tiny.planned"}) {
    const Trace trace =
        read_trace(std::string(TIDEMARK_SOURCE_DIR "/traces/samples/") + name + ".tmk");
    const auto devices = import_kineto(to_chrome(trace), "again");
    REQUIRE(devices.size() == 1);
    const Trace& again = devices[0].trace;
    CHECK(again.health == Health{});
    std::vector<Event> kept = events_of(trace);
    std::erase_if(kept, [&trace](const Event& e) {
      const bool is_memory = e.kind == EventKind::alloc || e.kind == EventKind::free;
      return (is_memory && counted_bytes(trace.buffers[static_cast<std::size_t>(e.index)]) == 0) ||
             e.kind > EventKind::out_of_memory;
    });
    REQUIRE(again.events.size() == kept.size());
    for (std::size_t i = 0; i < kept.size(); ++i) {
      CHECK(again.events[i].kind == kept[i].kind);
      CHECK(again.events[i].time_ns == kept[i].time_ns);
    }
    Timeline before = trace.events.empty() ? replay(trace) : recorded_timeline(trace);
    const Timeline after = recorded_timeline(again);
    CHECK(after.peak.by_category == before.peak.by_category);
    CHECK(after.peak.time_ns == before.peak.time_ns);
    CHECK(after.spans.size() == before.spans.size());
  }
}

TEST_CASE("export chrome: the counters are the bytes by category that the judge sums up") {
  const Trace trace = random_recording(7);
  const std::vector<Level> levels = test::levels_of(trace, trace.events);
  std::size_t at = 0;
  const Json file = Json::parse(to_chrome(trace));
  for (const Json& event : file["traceEvents"]) {
    if (event["ph"] != "C") continue;
    REQUIRE(at < levels.size());
    const Level& level = levels[at++];
    CHECK(event["name"] == std::string(to_string(level.space.kind)) + " " +
                               std::to_string(level.space.rank) + ", bytes by category");
    for (std::size_t c = 0; c < k_category_count; ++c) {
      const std::string name(to_string(static_cast<Category>(c)));
      CHECK(event["args"].value(name, std::int64_t{0}) == level.bytes[c]);
    }
  }
  CHECK(at == levels.size());
}
