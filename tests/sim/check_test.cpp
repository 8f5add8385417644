// Each rule of the checker: a program that breaks exactly it, and the finding that names it.
#include "sim/check.h"

#include <functional>

#include "../catch.h"
#include "random_program.h"
#include "small_program.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// w lives through; a = relu(w); w -= a. Placed: w at 0, a at 256.
Trace legal() {
  Trace t;
  t.streams = {{.name = "compute"}};
  t.buffers = {buffer("w", {4}), buffer("a", {4})};
  t.buffers[0].offset_bytes = 0;
  t.buffers[1].offset_bytes = 256;
  t.ops = {fill(0, 1), relu(0, 0, 1, 1),
           op(OpKind::sgd_update, {use("w", 0, 0, 1), use("dw", 1, 1)},
              {number("learning_rate", 0, 1), number("weight_decay", 0)})};
  t.program = {{alloc(0), run(0)}, {alloc(1), run(1), run(2), release(1)}, {release(0)}};
  return t;
}

/// Exactly one finding, at this place and with these words.
void only(const std::string& place, const std::string& words,
          const std::function<void(Trace&)>& mistake) {
  Trace t = legal();
  mistake(t);
  const std::vector<Finding> findings = check(t);
  CAPTURE(words);
  REQUIRE_FALSE(findings.empty());
  CHECK_THAT(findings[0].place, Catch::Contains(place));
  CHECK_THAT(findings[0].message, Catch::Contains(words));
  const Finding second = findings.size() > 1 ? findings[1] : Finding{};
  CAPTURE(second.place, second.message);
  CHECK(findings.size() == 1);
}

}  // namespace

TEST_CASE("the small program is legal") {
  CHECK(check(legal()).empty());
  CHECK_NOTHROW(require_legal(legal(), "f"));
}

TEST_CASE("random programs made by lifetimes and versions are legal") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const std::vector<Finding> findings =
        check(seed % 2 == 0 ? random_program(seed) : random_program_with_eval(seed));
    CAPTURE(seed);
    if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
  }
}

TEST_CASE("an early free of any buffer in a random program is found") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Trace t = random_program(seed);
    auto& body = t.program.body;
    for (std::size_t i = 1; i < body.size(); ++i) {
      if (body[i].kind != InstructionKind::free) continue;
      const auto last_use = [&] {
        for (std::size_t j = i; j-- > 0;) {
          if (body[j].kind != InstructionKind::run) continue;
          for (const Operand& o : t[body[j].op()].operands) {
            if (o.buffer == body[i].buffer()) return j;
          }
        }
        return std::size_t{0};
      }();
      Trace mutant = t;
      mutant.program.body.erase(mutant.program.body.begin() + static_cast<std::ptrdiff_t>(i));
      mutant.program.body.insert(
          mutant.program.body.begin() + static_cast<std::ptrdiff_t>(last_use), body[i]);
      CAPTURE(seed, i);
      REQUIRE_FALSE(check(mutant).empty());
    }
  }
}

TEST_CASE("a trace without a program, or with a dangling id, is refused") {
  only("program", "level 2", [](Trace& t) { t.program = {}; });
  only("trace", "ops[1]", [](Trace& t) { t.ops[1].operands[0].buffer = BufferId{9}; });
}

TEST_CASE("rule: an op that was recorded elsewhere cannot be executed") {
  only("body[4] run op 3", "foreign", [](Trace& t) {
    t.ops.push_back(op(OpKind::foreign, {}));
    t.program.body.push_back(run(3));
  });
}

TEST_CASE("rule: operands, attributes and shapes are those of the op table") {
  only("body[2] run op 2", "expected attribute 'learning_rate'",
       [](Trace& t) { t.ops[2].attributes.clear(); });
}

TEST_CASE("rule: an op runs in one place") {
  only("body[4] run op 3", "one place", [](Trace& t) {
    t.buffers.push_back(buffer("loss", {1}));
    t.buffers[2].offset_bytes = 512;
    t.ops.push_back(op(OpKind::report_loss, {use("loss", 2, 0)}));
    t.ops.push_back(fill(2, 1));
    t.program.init.insert(t.program.init.end(), {alloc(2), run(4)});
    t.program.body = {alloc(1), run(1), run(2), run(3), run(3), release(1)};
    t.program.final.push_back(release(2));
  });
}

TEST_CASE("rule: what an op uses is allocated") {
  only("body[0] run op 1", "y = buffer 1 'a' is not allocated", [](Trace& t) {
    t.program.body = {run(1), alloc(1), release(1)};
  });
}

TEST_CASE("rule: nothing is allocated or freed twice, or allocated as a view") {
  only("init[1] alloc buffer 0 'w'", "not allocated", [](Trace& t) {
    t.program.init = {alloc(0), alloc(0), run(0)};
  });
  only("body[4] free buffer 1", "an allocated buffer",
       [](Trace& t) { t.program.body.push_back(release(1)); });
  only("init[2] alloc buffer 2", "found a view", [](Trace& t) {
    t.buffers.push_back(buffer("view", {4}));
    t.buffers[2].storage = BufferId{0};
    t.buffers[2].offset_bytes = 512;
    t.program.init.push_back(alloc(2));
  });
}

TEST_CASE("rule: nothing leaks") {
  only("final", "buffer 0 'w' is never freed", [](Trace& t) { t.program.final.clear(); });
}

TEST_CASE("rule: the body ends with the buffers and the content that it began with") {
  only("end of body", "'w' is live at its begin but not at its end", [](Trace& t) {
    t.program.body.push_back(release(0));
    t.program.final.clear();
  });
  only("end of body", "'a' is live at its end but not at its begin", [](Trace& t) {
    t.program.body.pop_back();
    t.program.final.insert(t.program.final.begin(), release(1));
  });
  only("end of body", "'w' has lost its content", [](Trace& t) {
    t.program.body.push_back(release(0));
    t.program.body.push_back(alloc(0));
  });
}

namespace {

/// legal() with an evaluation: b = relu(w) is made and given up.
void add_eval(Trace& t) {
  t.meta.eval_every = 2;
  t.buffers.push_back(buffer("b", {4}));
  t.buffers[2].offset_bytes = 256;  // where a is in the body
  t.ops.push_back(relu(0, 0, 2, 1));
  t.ops[3].phase = Phase::eval;
  t.program.eval = {alloc(2), run(3), release(2)};
}

void only_in_eval(const std::string& place, const std::string& words,
                  const std::function<void(Trace&)>& mistake) {
  only(place, words, [&](Trace& t) {
    add_eval(t);
    mistake(t);
  });
}

}  // namespace

TEST_CASE("rule: an evaluation changes nothing that it finds") {
  Trace t = legal();
  add_eval(t);
  CHECK(check(t).empty());
  only_in_eval("eval[1] run op 3", "y = buffer 0 'w' was there before", [](Trace& e) {
    e.ops[3] = fill(0, 1);
    e.ops[3].phase = Phase::eval;
  });
  only_in_eval("eval[3] free buffer 0", "must free nothing that it found", [](Trace& e) {
    e.program.eval.push_back(release(0));
    e.program.final.clear();
    e.program.eval.push_back(alloc(0));
    e.program.eval.push_back(run(4));
    e.ops.push_back(fill(0, 1));
    e.ops[4].phase = Phase::eval;
    e.program.final.push_back(release(0));
  });
  only_in_eval("end of eval", "'b' is live at its end but not at its begin", [](Trace& e) {
    e.program.eval.pop_back();
    e.program.final.push_back(release(2));
  });
  only_in_eval("eval[1] run op 3", "expected ops of phase eval in eval only",
               [](Trace& e) { e.ops[3].phase = Phase::forward; });
  only_in_eval("body[1] run op 1", "expected ops of phase eval in eval only",
               [](Trace& e) { e.ops[1].phase = Phase::eval; });
  only_in_eval("eval[0] alloc", "overlap a live buffer",
               [](Trace& e) { e.buffers[2].offset_bytes = 0; });
}

TEST_CASE("rule: eval_every says how often the section eval runs") {
  only_in_eval("meta", "expected eval_every above 0", [](Trace& e) { e.meta.eval_every = 0; });
  only("meta", "expected eval_every above 0", [](Trace& e) { e.meta.eval_every = 1; });
}

TEST_CASE("rule: a value is read before the next version of it is written") {
  only("body[3] run op 1", "x = buffer 0 'w': expected version 0, found 1", [](Trace& t) {
    t.buffers.push_back(buffer("b", {4}));
    t.buffers[2].offset_bytes = 512;
    t.ops.push_back(fill(0, 1));
    t.program.body = {alloc(1), alloc(2), run(3), run(1), release(1), release(2)};
  });
}

TEST_CASE("rule: a write makes the next version") {
  only("body[1] run op 1", "expected to write version 1, found 2", [](Trace& t) {
    t.ops[1].operands[1].writes = 2;
    t.ops[2].operands[1].reads = 2;
  });
}

TEST_CASE("rule: nothing is read before it is written") {
  only("body[1] run op 1", "x = buffer 0 'w' is read before anything was written", [](Trace& t) {
    t.program.init = {alloc(0)};
    t.program.body = {alloc(1), run(1), release(1)};
  });
}

TEST_CASE("rule: an op does not write what another operand of it shares") {
  only("body[1] run op 1", "y = buffer 1 'a' shares its storage with operand 'x'", [](Trace& t) {
    t.buffers[1].storage = BufferId{0};
    t.buffers[1].size_bytes = 16;
    t.buffers[1].offset_bytes = -1;
    t.buffers.push_back(buffer("other", {4}));
    t.buffers[2].offset_bytes = 512;
    t.program.body = {alloc(2), run(1), release(2)};
  });
}

TEST_CASE("rule: only a copy touches the host") {
  only("body[1] run op 1", "y = buffer 1 'a' is on the host", [](Trace& t) {
    t.buffers[1].space.kind = SpaceKind::host_pinned;
    t.program.body = {alloc(1), run(1), release(1)};
  });
  Trace t = legal();
  t.buffers.push_back(buffer("host", {4}));
  t.buffers[2].space.kind = SpaceKind::host_pageable;
  t.ops.push_back(copy(0, 1, 2, 1));
  t.program.body.insert(t.program.body.end(), {alloc(2), run(3), release(2)});
  CHECK(check(t).empty());
}

TEST_CASE("rule: an op uses the memory of its own rank") {
  only("body[1] run op 1", "belongs to rank 1: expected rank 0", [](Trace& t) {
    t.buffers[1].space.rank = 1;
    t.program.body = {alloc(1), run(1), release(1)};
  });
}

TEST_CASE("rule: placements are aligned, apart, and all or none in a space") {
  only("alloc buffer 1", "not aligned to 256", [](Trace& t) { t.buffers[1].offset_bytes = 300; });
  only("alloc buffer 1", "not aligned to 1024",
       [](Trace& t) { t.buffers[1].alignment_bytes = 1024; });
  only("body[0] alloc buffer 1", "bytes [0, 256) overlap",
       [](Trace& t) { t.buffers[1].offset_bytes = 0; });
  only("space device of rank 0", "'w' placed and 'a' not",
       [](Trace& t) { t.buffers[1].offset_bytes = -1; });
}

TEST_CASE("buffers that do not live together may share their place") {
  Trace t = legal();
  t.buffers.push_back(buffer("later", {4}));
  t.buffers[2].offset_bytes = 256;
  t.program.body.insert(t.program.body.end(), {alloc(2), release(2)});
  CHECK(check(t).empty());
  std::swap(t.program.body[3], t.program.body[4]);
  CHECK_THAT(check(t).at(0).message, Catch::Contains("overlap"));
}

TEST_CASE("findings stop at the limit, and the first is thrown with the file") {
  Trace t = legal();
  t.program.final.clear();
  for (int i = 0; i < 30; ++i) t.program.body.push_back(release(1));
  CHECK(check(t).size() == 20);
  CHECK(check(t, 3).size() == 3);
  CHECK_THROWS_WITH(require_legal(t, "plan.tmk"),
                    Catch::Contains("plan.tmk: body[4] free buffer 1 'a'"));
}
