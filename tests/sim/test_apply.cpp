// Recompute and offload as transforms of programs; the judge is the brute force.
#include <algorithm>

#include "sim/body_writer.h"
#include "sim/check.h"
#include "sim/placement.h"
#include "sim/plan.h"
#include "sim/timeline.h"
#include "sim/units.h"
#include "tests/catch.h"
#include "tests/sim/brute_force.h"
#include "tests/sim/tiny.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

constexpr const char* k_chain =
    "x=load a=gelu:x b=gelu:a c=gelu:b loss:c "
    "e=gelu_backward:c,b d=gelu_backward:e,a update:d";

Decision recompute(const Trace& t, const char* buffer, const char* until) {
  Decision d;
  d.buffer = buffer_named(t, buffer);
  d.until = op_named(t, until);
  return d;
}

Decision offload(const Trace& t, const char* buffer, const char* until) {
  Decision d = recompute(t, buffer, until);
  d.kind = DecisionKind::offload;
  return d;
}

/// "op_x op_a ..." of the body, without structural ops.
std::string order(const Trace& t) {
  std::string out;
  for (const Instruction& line : t.program.body) {
    if (line.kind == InstructionKind::run) out += t[line.op()].name + " ";
  }
  return out;
}

}  // namespace

TEST_CASE("apply: no decisions give the same body") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Trace t = random_program(seed, 30);
    const Trace planned = apply_plan(t, {});
    CHECK(planned.program == t.program);
    CHECK(planned.ops == t.ops);
    CHECK(planned.meta.kind == TraceKind::planned);
  }
}

TEST_CASE("apply: a value is made again before its use, and its inputs with it") {
  const Trace t = tiny(k_chain);
  const Trace planned = apply_plan(t, {recompute(t, "b", "op_e"), recompute(t, "a", "op_e")});
  CHECK(order(planned) == "op_x op_a op_b op_c op_loss op_a~1 op_b~1 op_e op_d op_update ");
  const Buffer& copy = planned[buffer_named(planned, "b~1")];
  CHECK(copy.category == Category::recomputed_activation);
  CHECK(copy.origin == buffer_named(t, "b"));
  CHECK(copy.copy == 1);
  CHECK(copy.decision == DecisionId{0});
  const Op& clone = planned[op_named(planned, "op_b~1")];
  CHECK(clone.origin == op_named(t, "op_b"));
  CHECK(clone.phase == Phase::backward);
  CHECK(clone.duration_ns == t[op_named(t, "op_b")].duration_ns);
  // The second use of a reads the instance that was made for the first.
  CHECK(find_operand(planned[op_named(planned, "op_d")], "x")->buffer ==
        buffer_named(planned, "a~1"));
  CHECK(replay(planned).step_ns == replay(t).step_ns + 20000);
  CHECK(planned.decisions[0].reason == "evicted: " + format_bytes(1024) + " idle for 1 op, costs " +
                                           format_ns(10000) + " to make again");
}

TEST_CASE("apply: outputs that nobody wants live for the clone only") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const Trace t = random_program(seed, 40);
    const Trace planned = apply_plan(t, random_plan(t, seed, 6));
    for (std::size_t i = 1; i + 1 < planned.program.body.size(); ++i) {
      const Instruction& line = planned.program.body[i];
      if (line.kind != InstructionKind::run || planned[line.op()].copy == 0) continue;
      for (const Operand& operand : planned[line.op()].operands) {
        const auto uses = std::count_if(planned.ops.begin(), planned.ops.end(), [&](const Op& op) {
          return std::any_of(op.operands.begin(), op.operands.end(),
                             [&](const Operand& o) { return o.buffer == operand.buffer; });
        });
        if (operand.writes < 0 || uses > 1) continue;
        const Instruction end{InstructionKind::free, operand.buffer.value};
        const auto& body = planned.program.body;
        const auto stop =
            std::find_if(body.begin() + static_cast<std::ptrdiff_t>(i) + 1, body.end(),
                         [](const Instruction& n) { return n.kind == InstructionKind::run; });
        CHECK(std::find(body.begin() + static_cast<std::ptrdiff_t>(i), stop, end) != stop);
      }
    }
  }
}

TEST_CASE("apply: an offload is two copies, and frees stand behind waits") {
  const Trace t = tiny(k_chain);
  const Trace planned = apply_plan(t, {offload(t, "b", "op_e")});
  CHECK(check(planned).empty());
  CHECK(planned.streams.size() == 3);
  CHECK(planned[buffer_named(planned, "b~host1")].space.kind == SpaceKind::host_pinned);
  const BruteVerdict verdict = brute_force(planned, CopyTime::latest);
  CHECK(verdict.peak_bytes.at(Space{SpaceKind::host_pinned, 0}) == 1024);
  CHECK(judged_equal(planned, brute_force(t, CopyTime::latest)));
}

TEST_CASE("apply: random plans give the results of keep-all, placed and not") {
  int decisions = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    const Trace t = random_program(seed, 10 + static_cast<int>(seed % 40));
    const BruteVerdict truth = brute_force(t, CopyTime::latest);
    const std::vector<Decision> plan = random_plan(t, seed, 12);
    decisions += static_cast<int>(plan.size());
    Trace planned = apply_plan(t, plan);
    INFO("seed " << seed << "\n" << print_plan(t, plan));
    const auto findings = check(planned);
    INFO((findings.empty() ? "" : findings[0].place + ": " + findings[0].message));
    CHECK(findings.empty());
    CHECK(judged_equal(planned, truth));
    place_all(planned);
    CHECK(check(planned).empty());
    CHECK(judged_equal(planned, truth));
    const BruteVerdict verdict = brute_force(planned, CopyTime::latest);
    CHECK(verdict.peak_bytes.at(Space{}) == replay(planned).peak.bytes);
  }
  CHECK(decisions > 300);
}

TEST_CASE("apply: mutated plans are caught by the checker, and where it matters by the judge") {
  int wrong = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Trace t = random_program(seed, 24);
    const BruteVerdict truth = brute_force(t, CopyTime::latest);
    Trace planned = apply_plan(t, random_plan(t, seed, 10));
    place_all(planned);
    auto& body = planned.program.body;
    for (std::size_t i = 1; i < body.size(); ++i) {
      Trace mutant = planned;
      auto& lines = mutant.program.body;
      const bool frees = lines[i].kind == InstructionKind::free;
      const bool waits = lines[i].kind == InstructionKind::run &&
                         planned[lines[i].op()].kind == OpKind::wait_event;
      if (frees) {
        std::swap(lines[i], lines[i - 1]);  // one early free
      } else if (waits) {
        lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        continue;
      }
      const bool equal = judged_equal(mutant, truth);
      INFO("seed " << seed << " line " << i);
      // Whatever changes a result must be illegal; legal mutants are harmless.
      if (!equal) CHECK_FALSE(check(mutant).empty());
      wrong += equal ? 0 : 1;
    }
  }
  CHECK(wrong > 200);
}

TEST_CASE("apply: what cannot apply is refused with its reason") {
  const Trace t =
      tiny("x=load a=gelu:x b=scale:a loss:b e=gelu_backward:b,a update:e c=gelu:b loss:c");
  const auto message = [&](std::vector<Decision> plan) -> std::string {
    try {
      static_cast<void>(apply_plan(t, plan));
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  const auto has = [](const std::string& text, const char* part) {
    INFO(text);
    return text.find(part) != std::string::npos;
  };
  CHECK(has(message({recompute(t, "a", "op_c")}), "no effect"));
  CHECK(has(message({recompute(t, "x", "op_a")}), "written once by an op that may run again"));
  CHECK(has(message({recompute(t, "a", "op_a")}), "made there or later"));
  CHECK(has(message({recompute(t, "b", "op_c")}), "unchanged"));  // the weight has been updated
  CHECK(has(message({recompute(t, "w", "op_b")}), "that one step allocates"));
  CHECK(has(message({recompute(t, "a", "op_e"), offload(t, "a", "op_e")}), "one decision"));
  Decision early = offload(t, "a", "op_e");
  early.release_before = op_named(t, "op_b");
  CHECK(has(message({early}), "last use < release"));
  Decision nowhere;
  nowhere.buffer = BufferId{std::size_t{9999}};
  CHECK(has(message({nowhere}), "a buffer of the trace"));
  const Trace planned = apply_plan(t, {recompute(t, "a", "op_e")});
  CHECK_THROWS_AS(apply_plan(planned, {}), InputError);
}
