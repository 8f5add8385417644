// What is lost or cut short is said, in the words that every front end shows.
#include "sim/run_state.h"

#include "tests/catch.h"
#include "tests/report/two_layers.h"

using namespace tidemark;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// two_layers() until a third buffer does not fit in its first step.
Trace out_of_memory() {
  Trace t = test::two_layers();
  while (t.events.back().kind != EventKind::op_end || t.events.size() > 7) t.events.pop_back();
  Event e;
  e.kind = EventKind::out_of_memory;
  e.index = 2;
  e.size_bytes = 512;
  t.events.push_back(e);
  return t;
}

}  // namespace

TEST_CASE("state: a whole trace is complete and casts no doubt") {
  const Trace t = test::two_layers();
  CHECK(is_whole(t.health));
  CHECK(health_line(t.health) == "complete");
  CHECK(state_line(t).ends_with("complete"));
  CHECK(warning_line(t).empty());
  CHECK(ending_shortage(t) == nullptr);
  CHECK(peak_scope(t, timeline_of(t)) == "of one steady step");
}

TEST_CASE("state: what is lost is named, what is not lost is not") {
  CHECK(health_line({.damaged_blocks = 1, .truncated_bytes = 1530, .complete = false}) ==
        "NOT COMPLETE: 1 block damaged, the file ends early, its last 1530 bytes are unreadable");
  CHECK(health_line({.dropped_events = 3}) == "NOT COMPLETE: 3 events dropped");
  CHECK(health_line({.complete = false}) == "NOT COMPLETE: the recording was not closed in order");
  for (std::int64_t Health::*count :
       {&Health::dropped_events, &Health::unmatched_frees, &Health::damaged_blocks,
        &Health::skipped_blocks, &Health::truncated_bytes}) {
    Trace t = test::two_layers();
    t.health.*count = 7;
    CHECK_FALSE(is_whole(t.health));
    CHECK(has(state_line(t), "NOT COMPLETE: "));
    CHECK(has(warning_line(t), "7"));
  }
}

TEST_CASE("state: a run that ended out of memory says so, and its peak is one so far") {
  const Trace t = out_of_memory();
  CHECK(has(state_line(t), "ended OUT OF MEMORY: 512 B for 'h' did not fit"));
  CHECK_FALSE(has(state_line(t), "complete"));
  CHECK(has(warning_line(t), "OUT OF MEMORY"));
  CHECK(peak_scope(t, timeline_of(t)).starts_with("so far"));
  Trace damaged = t;
  damaged.health.dropped_events = 1;
  CHECK(has(warning_line(damaged), "1 event dropped; ended OUT OF MEMORY"));
}

TEST_CASE("state: a run that its program does not end was cancelled") {
  Trace t = test::two_layers();
  t.program.final = {{InstructionKind::free, 0}};  // of w
  t.steps.resize(2);
  CHECK_FALSE(was_cancelled(t));
  t.events.pop_back();
  CHECK(was_cancelled(t));
  CHECK(has(state_line(t), "CANCELLED after 2 steps"));
  CHECK(warning_line(t).empty());
  Trace early = t;
  early.steps.clear();
  early.events.resize(1);
  CHECK(warning_line(early) == "CANCELLED before a step was done");
  CHECK(peak_scope(early, timeline_of(early)).starts_with("so far: the run was cancelled"));
  Trace killed = t;
  killed.health.complete = false;
  CHECK_FALSE(was_cancelled(killed));
  Trace planned = t;
  planned.meta.kind = TraceKind::planned;
  CHECK_FALSE(was_cancelled(planned));
  test::add_event(t, EventKind::out_of_memory, 400, 2);
  CHECK_FALSE(was_cancelled(t));
}

TEST_CASE("state: a shortage that the run survived did not end it") {
  Trace t = out_of_memory();
  test::add_event(t, EventKind::alloc, 400, 2);
  CHECK(ending_shortage(t) == nullptr);
  CHECK(warning_line(t).empty());
}

TEST_CASE("state: without a step the peak is that of the recording, without events it is unknown") {
  Trace t = test::two_layers();
  t.events.resize(1);
  CHECK(peak_scope(t, timeline_of(t)) == "of the recording");
  t.events.clear();
  CHECK(peak_scope(t, timeline_of(t)) == "not known");
}
