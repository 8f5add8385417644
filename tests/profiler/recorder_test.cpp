#include "profiler/recorder.h"

#include "tests/catch.h"

using namespace tidemark;

namespace {

/// A recorder whose clock the test moves.
struct Tape {
  Clock clock{true};
  Recorder recorder{clock, 64};

  void op(std::size_t row, std::int64_t duration_ns) {
    recorder.op_begin(OpId{row});
    clock.advance_to(clock.now_ns() + duration_ns);
    recorder.op_end(OpId{row});
  }
  void step(std::int32_t number, std::int64_t duration_ns) {
    recorder.step_begin(number);
    op(0, duration_ns);
    StepRecord record;
    recorder.step_end(record);
  }
};

}  // namespace

TEST_CASE("recorder: events carry what they are about, in order") {
  Tape tape;
  tape.recorder.alloc(BufferId{3}, 1024, 512);
  tape.clock.advance_to(10);
  tape.recorder.free(BufferId{3});
  tape.recorder.segment(EventKind::segment_alloc, 0, 2048);
  tape.recorder.out_of_memory(BufferId{4}, 4096);
  CHECK(tape.recorder.events() == std::vector<Event>{{EventKind::alloc, 0, 3, 1024, 512},
                                                     {EventKind::free, 10, 3, -1, 0},
                                                     {EventKind::segment_alloc, 10, -1, 0, 2048},
                                                     {EventKind::out_of_memory, 10, 4, -1, 4096}});
}

TEST_CASE("recorder: a step knows its time and a dropped one leaves nothing") {
  Tape tape;
  tape.recorder.step_begin(0);
  tape.clock.advance_to(70);
  StepRecord record;
  tape.recorder.step_end(record);
  CHECK(record.step == 0);
  CHECK(record.wall_ns == 70);
  CHECK(record.cpu_ns >= 0);
  const std::vector<Event> before = tape.recorder.events();
  tape.recorder.step_begin(1);
  tape.op(0, 5);
  tape.recorder.drop_step();
  CHECK(tape.recorder.events() == before);
}

TEST_CASE("recorder: spans of other streams are merged in by time, frees keep their order") {
  Tape tape;
  tape.op(0, 10);
  tape.recorder.free(BufferId{0});
  tape.recorder.alloc(BufferId{1}, 0, 256);
  tape.op(1, 10);
  const CopySpan spans[] = {{OpId{std::size_t{2}}, 3, 15}};
  tape.recorder.merge(spans);
  std::vector<std::pair<EventKind, std::int32_t>> order;
  for (const Event& event : tape.recorder.events()) order.emplace_back(event.kind, event.index);
  CHECK(order == std::vector<std::pair<EventKind, std::int32_t>>{{EventKind::op_begin, 0},
                                                                 {EventKind::op_begin, 2},
                                                                 {EventKind::op_end, 0},
                                                                 {EventKind::free, 0},
                                                                 {EventKind::alloc, 1},
                                                                 {EventKind::op_begin, 1},
                                                                 {EventKind::op_end, 2},
                                                                 {EventKind::op_end, 1}});
}

TEST_CASE("recorder: what was merged before is not touched by a later merge") {
  Tape tape;
  tape.op(0, 100);
  tape.recorder.merge({});
  const std::vector<Event> before = tape.recorder.events();
  const CopySpan early[] = {{OpId{std::size_t{1}}, 5, 6}};
  tape.recorder.merge(early);
  CHECK(std::vector<Event>(tape.recorder.events().begin(), tape.recorder.events().begin() + 2) ==
        before);
}

TEST_CASE("durations are the median over the steps without the first") {
  Tape tape;
  tape.op(1, 40);  // init
  const std::int64_t times[] = {900, 30, 10, 20};
  for (std::int32_t s = 0; s < 4; ++s) tape.step(s, times[s]);
  Trace trace;
  trace.ops.resize(3);
  trace.events = tape.recorder.take_events();
  set_durations(trace, TimeSource::measured);
  CHECK(trace.ops[0].duration_ns == 20);
  CHECK(trace.ops[0].time_source == TimeSource::measured);
  CHECK(trace.ops[1].duration_ns == 40);
  CHECK(trace.ops[2].duration_ns == -1);
  CHECK(trace.ops[2].time_source == TimeSource::none);
}

TEST_CASE("durations of a single step are those of that step") {
  Tape tape;
  tape.step(0, 900);
  Trace trace;
  trace.ops.resize(1);
  trace.events = tape.recorder.take_events();
  set_durations(trace, TimeSource::measured);
  CHECK(trace.ops[0].duration_ns == 900);
}

TEST_CASE("clock: no time passes while a machine clock is stopped") {
  Clock clock(false);
  clock.stop();
  const std::int64_t at_stop = clock.now_ns();
  while (clock.now_ns() < at_stop + 2'000'000) {
  }
  clock.go();
  CHECK(clock.now_ns() < at_stop + 2'000'000);
  CHECK(clock.now_ns() >= 0);
}

TEST_CASE("recorder: a device that works behind gives the times, the order stays that of issue") {
  Clock clock(true);
  Recorder recorder(clock, 16);
  recorder.step_begin(0);
  recorder.alloc(BufferId{0}, 0, 256);
  recorder.op_begin(OpId{0});
  recorder.op_end(OpId{0});
  recorder.free(BufferId{0});
  recorder.op_begin(OpId{1});
  recorder.op_end(OpId{1});
  recorder.alloc(BufferId{1}, 0, 256);
  clock.advance_to(300);
  const std::vector<CopySpan> spans{{OpId{0}, 100, 150}, {OpId{1}, 140, 305}};
  recorder.restamp(spans);
  std::vector<std::int64_t> times;
  for (const Event& e : recorder.events()) times.push_back(e.time_ns);
  CHECK(times == std::vector<std::int64_t>{0, 0, 100, 150, 150, 150, 300, 300});
}
