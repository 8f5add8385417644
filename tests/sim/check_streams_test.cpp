// The happens-before rule: ops on other streams, events, and memory that is used again.
#include "../catch.h"
#include "sim/check.h"
#include "small_program.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// Stream 1 copies `a` to the host while compute goes on; compute waits before `a` is freed.
///   0 fill a | 1 record 0 | 2 (s1) wait 0 | 3 (s1) copy a -> host | 4 (s1) record 1 | 5 wait 1
Trace offload() {
  Trace t;
  t.streams = {{.name = "compute"},
               {.name = "out", .kind = StreamKind::device_to_host},
               {.name = "in", .kind = StreamKind::host_to_device}};
  t.buffers = {buffer("a", {4}), buffer("host", {4}), buffer("b", {4})};
  t.buffers[1].space.kind = SpaceKind::host_pinned;
  t.ops = {fill(0, 1),       record(0), on(1, wait(0)), on(1, copy(0, 1, 1, 1)),
           on(1, record(1)), wait(1)};
  t.program.body = {alloc(0), run(0), alloc(1), run(1),     run(2),
                    run(3),   run(4), run(5),   release(0), release(1)};
  return t;
}

void without(Trace t, int op, const std::string& words) {
  REQUIRE(std::erase(t.program.body, run(op)) == 1);
  const std::vector<Finding> findings = check(t);
  CAPTURE(op);
  REQUIRE_FALSE(findings.empty());
  CHECK_THAT(findings[0].message, Catch::Contains(words));
}

}  // namespace

TEST_CASE("an offload with its events is legal") {
  const std::vector<Finding> findings = check(offload());
  if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
}

TEST_CASE("each event of an offload is needed") {
  without(offload(), 1, "event 0 is not recorded before");
  without(offload(), 2, "expected a wait");
  without(offload(), 4, "event 1 is not recorded before");
  without(offload(), 5, "in use on stream 1: expected a wait for it before");
}

TEST_CASE("an event is recorded once in a section, and not carried into the next") {
  Trace t = offload();
  t.ops.push_back(record(1));
  t.program.body.insert(t.program.body.begin(), run(6));
  CHECK_THAT(check(t).at(0).message, Catch::Contains("event 1 is recorded twice"));
  t = offload();
  t.ops.push_back(wait(1));
  t.program.final = {run(6)};
  CHECK_THAT(check(t).at(0).message, Catch::Contains("event 1 is not recorded before"));
}

TEST_CASE("writing what another stream still reads is found") {
  Trace t = offload();
  t.ops.push_back(fill(0, 2));
  // Between the issue of the copy and the wait for it.
  t.program.body = {alloc(0), run(0), alloc(1), run(1),     run(2),    run(3),
                    run(4),   run(6), run(5),   release(0), release(1)};
  CHECK_THAT(check(t).at(0).message,
             Catch::Contains("in use on stream 1: expected a wait before writing"));
  t.program.body = {alloc(0), run(0), alloc(1), run(1),     run(2),    run(3),
                    run(4),   run(5), run(6),   release(0), release(1)};
  CHECK(check(t).empty());
}

TEST_CASE("reading beside another reader needs no wait") {
  Trace t = offload();
  t.ops.push_back(relu(0, 1, 2, 1));
  t.program.body = {alloc(0), alloc(2), run(0), alloc(1),   run(1),     run(2),    run(3),
                    run(6),   run(4),   run(5), release(2), release(0), release(1)};
  CHECK(check(t).empty());
}

TEST_CASE("a buffer allocated after the last point that a stream waited for is found") {
  Trace t = offload();
  t.program.body = {alloc(0), run(0), run(1), run(5), run(2)};
  t.ops[5] = fill(0, 2);  // compute goes on after the event
  t.ops[3].operands[0].reads = 1;
  t.program.body = {alloc(0), run(0), run(1), run(2),     alloc(1),
                    run(3),   run(4), run(6), release(0), release(1)};
  t.ops.push_back(wait(1));
  CHECK(check(t).empty());  // nothing was issued on compute between the event and the allocation
  t.buffers.push_back(buffer("c", {4}));
  t.ops.push_back(fill(3, 1));
  t.program.body = {alloc(0), run(0), alloc(3), run(1),     run(7),     run(2),    alloc(1),
                    run(3),   run(4), run(6),   release(0), release(1), release(3)};
  CHECK_THAT(check(t).at(0).message,
             Catch::Contains("allocated after the last point that this stream waited for"));
}

TEST_CASE("a race through memory that is used again after a wait is found") {
  // Stream 1 reads `a`. Compute waits for it, frees `a` and allocates `b` in its place. Stream 2
  // has waited only for what compute did before that wait, so it may write `b` too early.
  Trace t = offload();
  t.ops.insert(t.ops.end(), {record(2), on(2, wait(2)), on(2, fill(2, 1)), on(2, record(3)),
                             wait(3)});  // 6 .. 10
  for (Buffer& b : t.buffers) b.offset_bytes = 0;
  t.program.body = {alloc(0), run(0), alloc(1), run(1), run(2), run(3), run(4), run(6)};
  const std::vector<Instruction> rest{run(5), release(0), alloc(2),   run(7),    run(8),
                                      run(9), run(10),    release(2), release(1)};
  t.program.body.insert(t.program.body.end(), rest.begin(), rest.end());
  CHECK_THAT(check(t).at(0).message,
             Catch::Contains("allocated after the last point that this stream waited for"));
  // Recorded after the wait and the allocation, the event orders both.
  t.program.body = {alloc(0), run(0), alloc(1),   run(1),     run(2),    run(3),
                    run(4),   run(5), release(0), alloc(2),   run(6),    run(7),
                    run(8),   run(9), run(10),    release(2), release(1)};
  CHECK(check(t).empty());
}

TEST_CASE("what is live at the end of a section is not in use on another stream") {
  Trace t = offload();
  t.program.body = {alloc(0), run(0), alloc(1), run(1), run(2), run(3), run(4)};
  t.program.final = {release(0), release(1)};
  const std::vector<Finding> findings = check(t);
  REQUIRE(findings.size() >= 2);
  CHECK(findings[0].place == "end of body");
  CHECK_THAT(findings[0].message, Catch::Contains("still in use on stream 1"));
}

TEST_CASE("a wait carries what the recording stream itself had waited for") {
  // compute -> stream 1 -> stream 2: the third sees the first through the second.
  Trace t = offload();
  t.ops.insert(t.ops.end(), {on(2, wait(1)), on(2, copy(1, 1, 2, 1)), on(2, record(2)), wait(2)});
  t.program.body = {alloc(0), alloc(2), run(0), alloc(1), run(1),     run(2),     run(3),    run(4),
                    run(6),   run(7),   run(8), run(9),   release(0), release(1), release(2)};
  const std::vector<Finding> findings = check(t);
  if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
}
