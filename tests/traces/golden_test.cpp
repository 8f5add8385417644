// Files that must stay readable.
#include <algorithm>

#include "../catch.h"
#include "sim/check.h"
#include "sim/timeline.h"
#include "tests/paths.h"
#include "traces/file.h"
#include "traces/mapped.h"

using namespace tidemark;

namespace {

std::string golden(const std::string& name) {
  return std::string(TIDEMARK_SOURCE_DIR) + "/tests/golden/" + name;
}

}  // namespace

TEST_CASE("a binary file of version 1.0 stays readable and equal to its text twin") {
  const Trace binary = read_trace(golden("v1_small.tmk"));
  const Trace text = read_trace(golden("v1_small.tmk.json"));
  CHECK(binary == text);
  CHECK(binary.meta.title == "a small trace of format version 1.0");
  CHECK(binary.health == Health{});
  CHECK(binary.events.size() == 8);
  CHECK(check(binary).empty());
}

TEST_CASE("a binary file of version 1.1, with index and live sets, stays readable") {
  const Trace trace = read_trace(golden("v1_1_small.tmk"));
  CHECK(trace == read_trace(golden("v1_small.tmk.json")));
  MappedTrace mapped(golden("v1_1_small.tmk"));
  CHECK_FALSE(mapped.index_rebuilt());
  CHECK(mapped.health() == Health{});
  CHECK(mapped.events_between(INT64_MIN, INT64_MAX) == trace.events);
  const auto is_live = [](const IndexRow& row) { return row.type == "live"; };
  CHECK(std::ranges::any_of(mapped.index(), is_live));
}

TEST_CASE("a binary file of version 1.2, with an evaluation and a cache, stays readable") {
  const Trace trace = read_trace(golden("v1_2_eval.tmk"));
  CHECK(trace == read_trace(golden("v1_2_eval.tmk.json")));
  CHECK(trace.health == Health{});
  CHECK(check(trace).empty());
  CHECK(trace.meta.eval_every == 1);
  CHECK(trace.steps.at(0).eval_loss == 2.5);
  CHECK(recorded_timeline(trace).peak.bytes == 1024);
  for (const Timeline& timeline : {recorded_timeline(trace), replay(trace)}) {
    CHECK(timeline.eval_peak.bytes == 1792);
    CHECK(timeline.eval_peak.by_category[static_cast<std::size_t>(Category::kv_cache)] == 512);
  }
}

TEST_CASE("the text twins are in canonical form") {
  for (const char* name : {"v1_small.tmk.json", "v1_2_eval.tmk.json"}) {
    CHECK(to_text(read_trace(golden(name))) == read_file(golden(name)));
  }
}

TEST_CASE("the figures of the golden file stay the same") {
  const Trace trace = read_trace(golden("v1_small.tmk"));
  CHECK(recorded_timeline(trace).peak.bytes == 1024);
  CHECK(replay(trace).peak.bytes == 1024);
}
