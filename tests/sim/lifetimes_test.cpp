// From the order of ops to allocations, frees and versions.
#include "sim/lifetimes.h"

#include "../catch.h"
#include "sim/check.h"
#include "small_program.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// w is kept; a = relu(w), b = relu(a), c = relu(a), w -= b.
///          op:   1  2  3  4
///   a            |-----|
///   b               |-----|
///   c                  |
Trace four_ops(OpOrder& schedule) {
  Trace t;
  t.streams = {{.name = "compute"}};
  for (const char* name : {"w", "a", "b", "c"}) t.buffers.push_back(buffer(name, {4}));
  t.ops = {fill(0, 9), relu(0, 9, 1, 9), relu(1, 9, 2, 9), relu(1, 9, 3, 9),
           op(OpKind::sgd_update, {use("w", 0, 9, 9), use("dw", 2, 9)},
              {number("learning_rate", 0, 1), number("weight_decay", 0)})};
  schedule = {.init = {OpId{0}},
              .body = {OpId{1}, OpId{2}, OpId{3}, OpId{4}},
              .final = {},
              .persistent = {BufferId{0}}};
  return t;
}

}  // namespace

TEST_CASE("a buffer is allocated just before its first use and freed just after its last") {
  OpOrder schedule;
  const Trace t = four_ops(schedule);
  const Program program = with_lifetimes(t, schedule);
  CHECK(program.init == std::vector<Instruction>{alloc(0), run(0)});
  CHECK(program.body == std::vector<Instruction>{alloc(1), run(1), alloc(2), run(2), alloc(3),
                                                 run(3), release(1), release(3), run(4),
                                                 release(2)});
  CHECK(program.final == std::vector<Instruction>{release(0)});
}

TEST_CASE("versions count the writes of a section, from 0 at its begin") {
  OpOrder schedule;
  Trace t = four_ops(schedule);
  assign_versions(t, schedule);
  CHECK(t.ops[0].operands == std::vector{use("y", 0, -1, 1)});
  CHECK(t.ops[1].operands == std::vector{use("x", 0, 0), use("y", 1, -1, 1)});
  CHECK(t.ops[2].operands == std::vector{use("x", 1, 1), use("y", 2, -1, 1)});
  CHECK(t.ops[4].operands == std::vector{use("w", 0, 0, 1), use("dw", 2, 1)});
}

TEST_CASE("versions and lifetimes together are a legal program") {
  OpOrder schedule;
  Trace t = four_ops(schedule);
  assign_versions(t, schedule);
  t.program = with_lifetimes(t, schedule);
  CHECK(check(t).empty());
}

TEST_CASE("a gradient is written by the first use and accumulated by later ones") {
  Trace t;
  t.buffers = {buffer("dy", {2, 3}), buffer("x", {2, 4}), buffer("dw", {3, 4})};
  const auto accumulate = [] {
    return op(OpKind::linear_backward_weight,
              {use("dy", 0, -1), use("x", 1, -1), use("dw", 2, -1)});
  };
  t.ops = {fill(0, -1), fill(1, -1), accumulate(), accumulate()};
  assign_versions(
      t, {.init = {}, .body = {OpId{0}, OpId{1}, OpId{2}, OpId{3}}, .final = {}, .persistent = {}});
  CHECK(t.ops[2].operands[2] == use("dw", 2, -1, 1));
  CHECK(t.ops[3].operands[2] == use("dw", 2, 1, 2));
}

TEST_CASE("a view shares lifetime and versions with its storage") {
  Trace t;
  t.buffers = {buffer("whole", {8}), buffer("half", {4}), buffer("y", {4})};
  t.buffers[1].storage = BufferId{0};
  t.ops = {fill(0, -1), fill(1, -1), relu(1, -1, 2, -1)};
  const OpOrder schedule{
      .init = {}, .body = {OpId{0}, OpId{1}, OpId{2}}, .final = {}, .persistent = {}};
  assign_versions(t, schedule);
  CHECK(t.ops[1].operands[0] == use("y", 1, -1, 2));
  CHECK(t.ops[2].operands[0] == use("x", 1, 2));
  CHECK(with_lifetimes(t, schedule).body == std::vector<Instruction>{alloc(0), run(0), run(1),
                                                                     alloc(2), run(2), release(0),
                                                                     release(2)});
}

TEST_CASE("persistent buffers that init does not use are allocated at its end, freed in reverse") {
  Trace t;
  t.buffers = {buffer("a", {4}), buffer("b", {4})};
  t.ops = {fill(0, 1)};
  const Program p = with_lifetimes(
      t, {.init = {OpId{0}}, .body = {}, .final = {}, .persistent = {BufferId{0}, BufferId{1}}});
  CHECK(p.init == std::vector<Instruction>{alloc(0), run(0), alloc(1)});
  CHECK(p.final == std::vector<Instruction>{release(1), release(0)});
}

TEST_CASE("a buffer that one op uses twice is freed once") {
  Trace t;
  t.buffers = {buffer("a", {4}), buffer("y", {4})};
  t.ops = {fill(0, 1), op(OpKind::add, {use("a", 0, 1), use("b", 0, 1), use("y", 1, -1, 1)})};
  const Program p =
      with_lifetimes(t, {.init = {}, .body = {OpId{0}, OpId{1}}, .final = {}, .persistent = {}});
  CHECK(p.body ==
        std::vector<Instruction>{alloc(0), run(0), alloc(1), run(1), release(0), release(1)});
}

TEST_CASE("what a wait touches lives up to it, and the order of a program is what it was made of") {
  Trace t;
  t.buffers = {buffer("a", {4}), buffer("b", {4}), buffer("c", {4})};
  t.ops = {fill(0, 1), fill(1, 1), fill(2, 1), wait(0)};
  const OpOrder schedule{.init = {OpId{0}},
                         .body = {OpId{1}, OpId{2}, OpId{3}},
                         .final = {},
                         .persistent = {BufferId{0}}};
  t.program = with_lifetimes(t, schedule, {{}, {}, {}, {BufferId{1}}});
  CHECK(t.program.body == std::vector<Instruction>{alloc(1), run(1), alloc(2), run(2), release(2),
                                                   run(3), release(1)});
  const OpOrder again = order_of(t);
  CHECK(again.init == schedule.init);
  CHECK(again.body == schedule.body);
  CHECK(again.persistent == schedule.persistent);
}
