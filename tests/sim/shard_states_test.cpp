// What the states step does with the program of a rank that earlier transforms made; all stages of
// plain programs are in shard_test.cpp.
#include "sim/shard_states.h"

#include <algorithm>

#include "../catch.h"
#include "sim/check.h"
#include "sim/shard_tensor.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

std::int64_t count_of(const Trace& trace, OpKind kind, const std::string& group) {
  std::int64_t count = 0;
  for (const Instruction& line : trace.program.body) {
    if (line.kind != InstructionKind::run || trace[line.op()].kind != kind) continue;
    const auto row = static_cast<std::size_t>(integer_at(trace[line.op()], "group", 0));
    count += trace.groups[row].name == group;
  }
  return count;
}

}  // namespace

TEST_CASE("weights that a rank makes by way of others keep their parts") {
  const Trace source = build_program(tiny_decoder(2));
  const Trace tensor = shard_tensor(source, shard_source_of(source), 1, 2);
  for (const ShardStage stage : {ShardStage::zero1, ShardStage::zero3}) {
    CAPTURE(to_string(stage));
    const Trace rank =
        shard_states(tensor, rank_source_of(tensor),
                     {.stage = stage, .axis = {.index = 1, .count = 2, .stride = 2}});
    CHECK(check(rank).empty());
    CHECK(rank.meta.rank == 3);
    CHECK(rank.meta.rank_count == 4);
    const auto row = std::ranges::find_if(
        rank.buffers, [](const Buffer& b) { return b.name == "block0.qkv.w.shard"; });
    REQUIRE(row != rank.buffers.end());
    CHECK(row->size_bytes == 8 * 24 / 2 / 2 * 4);  // of both axes
    CHECK(row->storage.valid() == (stage == ShardStage::zero1));
  }
}

TEST_CASE("in hybrid sharding parts are summed over the sets") {
  const Trace source = build_program(odd_mlp(2));  // 6 weights
  const StatesSplit split{.stage = ShardStage::zero2, .axis = {.index = 3, .count = 4}, .shard = 2};
  const Trace rank = shard_states(source, rank_source_of(source), split);
  CHECK(count_of(rank, OpKind::reduce_scatter, "shard_group") == 6);
  CHECK(count_of(rank, OpKind::all_reduce, "replicas") == 6);
  CHECK(count_of(rank, OpKind::all_gather, "shard_group") == 6);
  CHECK(count_of(rank, OpKind::all_gather, "replicas") == 0);
  StatesSplit all = split;
  all.shard = 4;  // one set: no replicas
  const Trace whole = shard_states(source, rank_source_of(source), all);
  CHECK(count_of(whole, OpKind::reduce_scatter, "data_parallel") == 6);
  CHECK(count_of(whole, OpKind::all_reduce, "replicas") == 0);
}
