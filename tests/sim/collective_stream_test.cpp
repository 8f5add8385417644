#include "sim/collective_stream.h"

#include <algorithm>

#include "sim/check.h"
#include "sim/collective_buckets.h"
#include "sim/shard.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// Collectives take 10, all other ops 4.
Trace timed(Trace trace) {
  for (Op& op : trace.ops) {
    const bool event = op.kind == OpKind::record_event || op.kind == OpKind::wait_event;
    op.duration_ns = event ? 0 : find_attribute(op, "group") != nullptr ? 10 : 4;
  }
  return trace;
}

Timeline timeline(const Trace& rank) {
  return replay(timed(rank), {SpaceKind::device, rank.meta.rank});
}

Trace rank_of(ShardStage stage) {
  return put_in_buckets(shard(build_program(tiny_decoder(2)), stage, 2)[0], {.by_block = true});
}

}  // namespace

TEST_CASE("every collective of states stands on the stream, and the program is legal") {
  for (const ShardStage stage :
       {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
    for (const std::int32_t prefetch : {0, 1, 5, 1000}) {
      CAPTURE(to_string(stage), prefetch);
      const Trace rank = overlap_collectives(rank_of(stage), prefetch);
      CHECK(check(rank).empty());
      REQUIRE(rank.streams.size() == 2);
      CHECK(rank.streams[1].kind == StreamKind::communication);
      for (const Op& op : rank.ops) {
        if (find_attribute(op, "group") != nullptr) CHECK(op.stream == StreamId{1});
      }
    }
  }
}

TEST_CASE("what is gathered early hides behind the computation, and costs its bytes") {
  const Trace serial = rank_of(ShardStage::zero3);
  const Timeline before = timeline(serial);
  std::int64_t step_ns = before.step_ns;
  for (const std::int32_t prefetch : {0, 1, 2}) {
    CAPTURE(prefetch);
    const Timeline now = timeline(overlap_collectives(serial, prefetch));
    CHECK(now.step_ns <= step_ns);
    step_ns = now.step_ns;
  }
  CHECK(step_ns < before.step_ns);
  CHECK(timeline(overlap_collectives(serial, 2)).peak.bytes >= before.peak.bytes);
}

TEST_CASE("a wait that is left out is found") {
  Trace rank = overlap_collectives(rank_of(ShardStage::zero3), 1);
  REQUIRE(check(rank).empty());
  std::size_t found = 0, waits = 0;
  for (std::size_t i = 0; i < rank.program.body.size(); ++i) {
    const Instruction line = rank.program.body[i];
    if (line.kind != InstructionKind::run || rank[line.op()].kind != OpKind::wait_event) continue;
    Trace mutated = rank;
    mutated.program.body.erase(mutated.program.body.begin() + static_cast<std::ptrdiff_t>(i));
    ++waits;
    found += !check(mutated).empty();
  }
  CHECK(waits > 20);
  // A sum whose rank waits for another collective of the stream behind it has waited for it, too.
  CHECK(found * 10 >= waits * 9);
}

TEST_CASE("a program without collectives of states stays as it is") {
  const Trace plain = build_program(tiny_decoder(2));
  const Trace same = overlap_collectives(plain, 1);
  CHECK(same.streams == plain.streams);
  CHECK(same.ops == plain.ops);
  CHECK(same.program == plain.program);
}
