// What is left of a trace after tables were lost.
#include "traces/salvage.h"

#include "../catch.h"
#include "random_trace.h"
#include "traces/validate.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("a trace that lost nothing stays as it is") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Trace trace = random_trace(seed);
    if (trace.program.body.empty()) continue;
    const Trace before = trace;
    salvage(trace);
    REQUIRE(trace == before);
  }
}

TEST_CASE("rows lost at the end of any table leave a trace that is safe to walk") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Draw draw(seed);
    Trace trace = random_trace(seed);
    const auto cut = [&draw](auto& table) {
      if (draw.chance(40))
        table.resize(static_cast<std::size_t>(draw.between(0, 4)) % (table.size() + 1));
    };
    cut(trace.layers), cut(trace.streams), cut(trace.groups), cut(trace.buffers), cut(trace.ops);
    cut(trace.decisions), cut(trace.program.body);
    CAPTURE(seed);
    salvage(trace);
    REQUIRE(index_fault(trace) == "");
  }
}

TEST_CASE("without its decisions a planned program is still whole") {
  Trace trace = full_trace();
  trace.decisions.clear();
  salvage(trace);
  CHECK(trace.meta.level == 2);
  CHECK(trace.program == full_trace().program);
  CHECK_FALSE(trace.buffers[1].decision.valid());
}

TEST_CASE("without an op that it runs a program is no program") {
  Trace trace = full_trace();
  trace.ops.clear();
  salvage(trace);
  CHECK(trace.program == Program{});
  CHECK(trace.meta.level == 1);
  CHECK(trace.buffers == full_trace().buffers);
  CHECK(trace.events.size() == 1);  // cut at the first op that is not known
  CHECK(trace.health.dropped_events == 2);
}

TEST_CASE("a view without its storage counts for nothing") {
  Trace trace = full_trace();
  trace.buffers[1].storage = BufferId{5};
  salvage(trace);
  CHECK_FALSE(trace.buffers[1].storage.valid());
  CHECK(counted_bytes(trace.buffers[1]) == 0);
}
