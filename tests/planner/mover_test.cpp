#include "sim/mover.h"

#include <set>

#include "tests/catch.h"
#include "tests/planner/small_graph.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

namespace {

/// What can be seen of a state, for comparison.
struct Seen {
  Schedule schedule;
  std::int64_t cost_ns = 0;
  std::int64_t excess_bytes = 0;
  bool operator==(const Seen&) const = default;
};

Seen see(const Mover& mover) {
  return {mover.state().schedule(), mover.state().cost_ns(), mover.state().excess_bytes()};
}

std::int64_t total(const std::vector<ByteChange>& changes, Moment when) {
  std::int64_t sum = 0;
  for (const ByteChange& change : changes) {
    if (change.after < when && when < change.before) sum += change.bytes;
  }
  return sum;
}

void wander(const Dataflow& flow, std::int64_t seed) {
  const ScheduleTask task = task_of(flow);
  const std::int64_t limit = evaluate(flow, keep_all_schedule(flow)).peak_bytes * 8 / 10;
  Mover mover(task, limit, seed);
  Mover other(task, limit, seed);
  std::vector<ByteChange> log;
  int moved = 0;
  for (int i = 0; i < 200; ++i) {
    const Seen before = see(mover);
    std::vector<std::int64_t> live;
    for (std::size_t op = 0; op < flow.body.size(); ++op) {
      live.push_back(mover.state().live_bytes(static_cast<Position>(op)));
    }
    log.clear();
    mover.state().record(&log);
    mover.propose();
    mover.state().record(nullptr);
    const std::vector<Mover::Change> journal = mover.journal();
    for (std::size_t op = 0; op < live.size(); ++op) {
      const auto at = static_cast<Position>(op);
      REQUIRE(mover.state().live_bytes(at) == live[op] + total(log, moment(at, at)));
    }
    REQUIRE(evaluate(flow, mover.state().schedule()).illegal.empty());
    const Seen after = see(mover);
    if (i % 2 == 0) {
      mover.undo();
      REQUIRE(see(mover) == before);
      mover.apply(journal);
      REQUIRE(see(mover) == after);
    }
    mover.keep();
    other.adopt(mover.state().added());
    REQUIRE(see(other) == after);
    moved += journal.empty() ? 0 : 1;
  }
  if (!mover.movable().empty()) CHECK(moved > 20);
}

}  // namespace

TEST_CASE("mover: moves of plain graphs are legal, undone without a trace, and logged exactly") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    wander(dataflow_of(small_graph(seed, 8)), static_cast<std::int64_t>(seed));
  }
}

TEST_CASE("mover: moves of programs are legal, undone without a trace, and logged exactly") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    wander(dataflow_of(random_program(seed, 30)), static_cast<std::int64_t>(seed));
  }
}
