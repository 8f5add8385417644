#include "sim/shard_share.h"

#include "../catch.h"
#include "sim/check.h"
#include "tests/sim/shard_sources.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("all shares get the times of the first, so that plans for them are the same") {
  Trace source = build_program(odd_mlp(4));
  std::int64_t next_ns = 0;
  for (Op& op : source.ops) op.duration_ns = ++next_ns;
  const ShardSource from = shard_source_of(source);
  const Trace first = shard_share(source, from, {.index = 0, .count = 2});
  const Trace second = shard_share(source, from, {.index = 1, .count = 2});
  REQUIRE(first.ops.size() == second.ops.size());
  for (std::size_t i = 0; i < first.ops.size(); ++i) {
    CHECK(first.ops[i].kind == second.ops[i].kind);
    CHECK(first.ops[i].duration_ns == second.ops[i].duration_ns);
    CHECK(first.ops[i].duration_ns == source[first.ops[i].origin].duration_ns);
  }
}

TEST_CASE("a share has its own micro-batches, numbered from 0, and all of the optimizer") {
  const Trace source = build_program(odd_mlp(4));
  const ShardSource from = shard_source_of(source);
  const Trace share = shard_share(source, from, {.index = 1, .count = 2});
  CHECK(check(share).empty());
  CHECK(share.meta.rank == 1);
  CHECK(share.meta.rank_count == 2);
  CHECK(share.groups.empty());  // they do not meet yet
  std::vector<std::int64_t> cursors;
  std::int64_t updates = 0;
  for (const Op& op : share.ops) {
    CHECK(op.micro_batch < 2);
    if (op.kind == OpKind::load_batch) cursors.push_back(integer_at(op, "cursor", 0));
    updates += is_update(op.kind);
  }
  CHECK(cursors == std::vector<std::int64_t>{4, 6});
  CHECK(updates == 6);
  CHECK(rank_source_of(share).micro_batches == 2);
  CHECK_THROWS_WITH(shard_share(source, from, {.count = 3}),
                    Catch::Contains("a divisor of the 4 micro-batches"));
}
