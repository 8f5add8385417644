#include "sim/collective_buckets.h"

#include <algorithm>

#include "sim/check.h"
#include "sim/op_table.h"
#include "sim/shard.h"
#include "tests/catch.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

std::vector<Op> ops_of(const Trace& trace, OpKind kind, Phase phase) {
  std::vector<Op> out;
  for (const Instruction& line : trace.program.body) {
    if (line.kind != InstructionKind::run) continue;
    const Op& op = trace[line.op()];
    if (op.kind == kind && op.phase == phase) out.push_back(op);
  }
  return out;
}

/// Elements that all collectives of a kind bring to this rank.
std::int64_t elements_of(const Trace& trace, OpKind kind, Phase phase) {
  std::int64_t out = 0;
  for (const Op& op : ops_of(trace, kind, phase)) {
    out += element_count(trace[op.operands.back().buffer]);
  }
  return out;
}

Trace rank_of(ShardStage stage, std::int32_t ranks = 2) {
  return shard(build_program(tiny_decoder(ranks)), stage, ranks)[0];
}

}  // namespace

TEST_CASE("weights of a block are gathered together, and no element more") {
  const Trace plain = rank_of(ShardStage::zero3);
  const Trace rank = put_in_buckets(plain, {.by_block = true});
  CHECK(check(rank).empty());
  // Two blocks, the embedding before them, the last norm and the tied head behind them.
  CHECK(ops_of(rank, OpKind::all_gather, Phase::forward).size() == 5);
  CHECK(ops_of(plain, OpKind::all_gather, Phase::forward).size() == 2 * 12 + 5);
  for (const Phase phase : {Phase::forward, Phase::backward}) {
    CHECK(elements_of(rank, OpKind::all_gather, phase) ==
          elements_of(plain, OpKind::all_gather, phase));
  }
  CHECK(elements_of(rank, OpKind::reduce_scatter, Phase::backward) ==
        elements_of(plain, OpKind::reduce_scatter, Phase::backward));
}

TEST_CASE("a bucket ends with the buffer that fills it") {
  const Trace plain = rank_of(ShardStage::data);
  for (const std::int64_t bytes : {1, 600, 2000, 1 << 20}) {
    CAPTURE(bytes);
    const Trace rank = put_in_buckets(plain, {.bytes = bytes});
    CHECK(check(rank).empty());
    const std::vector<Op> sums = ops_of(rank, OpKind::all_reduce, Phase::backward);
    for (std::size_t i = 0; i + 1 < sums.size(); ++i) {
      CHECK(rank[sums[i].operands[0].buffer].size_bytes >= bytes);
    }
    if (bytes == 1 << 20) CHECK(sums.size() == 1);
  }
}

TEST_CASE("gradients are summed as soon as they are complete, not in the optimizer") {
  for (const ShardStage stage : {ShardStage::data, ShardStage::zero1}) {
    const Trace plain = rank_of(stage);
    const OpKind kind = stage == ShardStage::data ? OpKind::all_reduce : OpKind::reduce_scatter;
    const Trace rank = put_in_buckets(plain, {.bytes = 1});
    const std::size_t clip = stage == ShardStage::data ? 1 : 0;  // the norm is summed, too
    CHECK(ops_of(plain, kind, Phase::optimizer).size() > clip);
    CHECK(ops_of(rank, kind, Phase::optimizer).size() <= 1);
    CHECK(ops_of(rank, kind, Phase::backward).size() + clip ==
          ops_of(plain, kind, Phase::optimizer).size());
  }
}

TEST_CASE("weights that stay gathered are gathered once per micro-batch") {
  const Trace plain = rank_of(ShardStage::zero3);
  const Trace rank = put_in_buckets(plain, {.reshard_after_forward = false});
  CHECK(check(rank).empty());
  CHECK(ops_of(rank, OpKind::all_gather, Phase::backward).empty());
  CHECK(ops_of(rank, OpKind::all_gather, Phase::forward).size() <=
        ops_of(plain, OpKind::all_gather, Phase::forward).size());
}

TEST_CASE("what goes through a bucket is communication, and the step keeps what it had") {
  const Trace plain = rank_of(ShardStage::zero3, 3);
  const Trace rank = put_in_buckets(plain, {.by_block = true});
  std::int64_t flat = 0;
  for (const Buffer& buffer : rank.buffers) {
    const bool is_flat = buffer.name.find(".bucket") != std::string::npos;
    if (is_flat && !buffer.storage.valid()) CHECK(buffer.category == Category::communication);
    flat += is_flat && !buffer.storage.valid();
  }
  CHECK(flat > 0);
  CHECK(rank.groups == plain.groups);
  CHECK(ops_of(rank, OpKind::adamw_update, Phase::optimizer).size() ==
        ops_of(plain, OpKind::adamw_update, Phase::optimizer).size());
}
