#include "sim/shard_alone.h"

#include <algorithm>

#include "../catch.h"
#include "sim/shard.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

std::int64_t ops_named(const Trace& trace, const std::string& part) {
  return std::ranges::count_if(
      trace.ops, [&](const Op& op) { return op.name.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("gradients of the shares are apart and added in the order of the ranks") {
  const Trace alone = shard(build_program(odd_mlp(6)), ShardStage::none, 3).at(0);
  CHECK(std::ranges::count(alone.ops, OpKind::add, &Op::kind) == 2 * 6);
  for (const Op& op : alone.ops) {
    if (op.kind != OpKind::add) continue;
    const std::string& b = alone[op.operands[1].buffer].name;
    CHECK_THAT(b, Catch::EndsWith(op.name.ends_with("sum1") ? ".of_rank1" : ".of_rank2"));
  }
}

TEST_CASE("one share is the source itself, but for the names of the sums") {
  const Trace source = build_program(odd_mlp(2));
  const Trace alone = shard(source, ShardStage::none, 1).at(0);
  CHECK(alone.ops.size() == source.ops.size());
  CHECK(alone.program.body.size() == source.program.body.size());
  CHECK(ops_named(alone, ".sum") == 0);
}

TEST_CASE("the norm of all gradients is made of the norms of the parts") {
  const Trace source = build_program(tiny_decoder(2));
  const Trace alone = shard(source, ShardStage::none, 2).at(0);
  const auto norms = [](const Trace& trace) {
    return std::ranges::count(trace.ops, OpKind::sum_of_squares, &Op::kind);
  };
  CHECK(norms(alone) == 2 * norms(source));
  CHECK(ops_named(alone, "clip.sum.sum1") == 1);
}
