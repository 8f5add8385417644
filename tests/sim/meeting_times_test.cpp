// Waiting of ranks for each other, by hand.
#include "sim/meeting_times.h"

#include "../catch.h"

using namespace tidemark;

namespace {

/// A rank whose body is these ops: a duration, and the group where it meets others (-1 = none).
Trace rank_of(std::int32_t rank, const std::vector<std::pair<std::int64_t, int>>& ops) {
  Trace trace;
  trace.meta.rank = rank;
  trace.meta.rank_count = 3;
  trace.groups = {{.name = "all", .ranks = {0, 1, 2}}, {.name = "pair", .ranks = {0, 1}}};
  for (const auto& [duration_ns, group] : ops) {
    Op op;
    op.duration_ns = duration_ns;
    if (group >= 0) op.attributes.push_back({.name = "group", .integer = group, .text = {}});
    trace.program.body.push_back(
        {InstructionKind::run, static_cast<std::int32_t>(trace.ops.size())});
    trace.ops.push_back(op);
  }
  return trace;
}

std::vector<std::int64_t> durations(const Trace& trace) {
  std::vector<std::int64_t> out;
  for (const Op& op : trace.ops) out.push_back(op.duration_ns);
  return out;
}

}  // namespace

TEST_CASE("meeting times: a collective begins with its last rank, the others wait in it") {
  //   rank 0  |--5--|pair 2...|-1-|......all 3|
  //   rank 1  |-----6-----|pair 2|-4-|..all 3|
  //   rank 2  |-------------13---------|all 3|
  std::vector<Trace> ranks{rank_of(0, {{5, -1}, {2, 1}, {1, -1}, {3, 0}}),
                           rank_of(1, {{6, -1}, {1, 1}, {4, -1}, {3, 0}}),
                           rank_of(2, {{13, -1}, {3, 0}, {7, -1}})};
  CHECK(add_waiting(ranks) == 13 + 3 + 7);
  CHECK(durations(ranks[0]) == std::vector<std::int64_t>{5, 3, 1, 7});
  CHECK(durations(ranks[1]) == std::vector<std::int64_t>{6, 2, 4, 4});
  CHECK(durations(ranks[2]) == std::vector<std::int64_t>{13, 3, 7});
  CHECK(ranks[0].ops[1].time_source == TimeSource::modelled);
}
