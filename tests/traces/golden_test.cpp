// Files that must stay readable.
#include <algorithm>

#include "../catch.h"
#include "sim/check.h"
#include "sim/timeline.h"
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

TEST_CASE("the text twin is in canonical form") {
  const std::string text = read_file(golden("v1_small.tmk.json"));
  CHECK(to_text(read_trace(golden("v1_small.tmk.json"))) == text);
}

TEST_CASE("the figures of the golden file stay the same") {
  const Trace trace = read_trace(golden("v1_small.tmk"));
  CHECK(recorded_timeline(trace).peak.bytes == 1024);
  CHECK(replay(trace).peak.bytes == 1024);
}
