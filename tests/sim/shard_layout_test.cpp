// Layouts of a mesh: legal together, each op of the step where it belongs, rows alike where ranks
// do the same.
#include "sim/shard_layout.h"

#include <algorithm>
#include <map>

#include "../catch.h"
#include "sim/check.h"
#include "sim/timeline.h"
#include "tests/sim/shard_sources.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

Layout sizes(std::int64_t tensor, std::int64_t pipeline, std::int64_t data,
             std::int64_t shard = 0) {
  return {.tensor = tensor, .pipeline = pipeline, .data = data, .shard = shard};
}

void require_legal(const std::vector<Trace>& ranks) {
  const std::vector<Finding> findings = check_ranks(ranks);
  if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
}

}  // namespace

TEST_CASE("every product of axes is a legal program of all ranks, numbered as Megatron does") {
  const Trace source = build_program(tiny_decoder(4));
  for (const Layout& layout : {sizes(2, 2, 2), sizes(2, 1, 2), sizes(1, 2, 4), sizes(2, 2, 1),
                               sizes(1, 1, 4, 2), sizes(2, 2, 4, 2), sizes(1, 1, 1)}) {
    for (const ShardStage states :
         {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
      if (states == ShardStage::data && layout.shard > 0) continue;
      const RankLayout mesh{.sizes = layout, .states = states};
      CAPTURE(to_text(mesh));
      const std::vector<Trace> ranks = shard_layout(source, mesh);
      REQUIRE(std::ssize(ranks) == layout.ranks());
      require_legal(ranks);
      for (std::size_t i = 0; i < ranks.size(); ++i) {
        CHECK(ranks[i].meta.rank == static_cast<std::int32_t>(i));
        CHECK(ranks[i].meta.rank_count == layout.ranks());
        for (const Group& group : ranks[i].groups) {
          CHECK(std::ranges::count(group.ranks, ranks[i].meta.rank) == 1);
          CHECK(std::ranges::is_sorted(group.ranks));
        }
      }
    }
  }
}

TEST_CASE("groups are rows of the mesh") {
  const RankLayout mesh{.sizes = sizes(2, 2, 2), .states = ShardStage::zero1};
  const std::vector<Trace> ranks = shard_layout(build_program(tiny_decoder(4)), mesh);
  std::map<std::string, std::vector<std::int32_t>> of_last;  // rank 7: t 1, d 1, p 1
  for (const Group& group : ranks[7].groups) of_last[group.name] = group.ranks;
  CHECK(of_last["tensor_parallel"] == std::vector{6, 7});
  CHECK(of_last["data_parallel"] == std::vector{5, 7});
  CHECK(of_last["messages"] == std::vector{3, 7});
}

TEST_CASE("hybrid sharding: neighbours share states, sets of them are alike") {
  const Trace source = build_program(odd_mlp(4));
  const RankLayout mesh{.sizes = sizes(1, 1, 4, 2), .states = ShardStage::zero2};
  const std::vector<Trace> ranks = shard_layout(source, mesh);
  std::map<std::string, std::vector<std::int32_t>> of_last;
  for (const Group& group : ranks[3].groups) of_last[group.name] = group.ranks;
  CHECK(of_last["shard_group"] == std::vector{2, 3});
  CHECK(of_last["replicas"] == std::vector{1, 3});
  for (const Buffer& buffer : ranks[3].buffers) {
    if (buffer.shard.count > 1) CHECK(buffer.shard.index == 1);
  }
}

TEST_CASE("each op of the step is done once by each set of ranks, and origins lead to the source") {
  const Trace source = build_program(tiny_decoder(4));
  const RankLayout mesh{.sizes = sizes(2, 2, 2), .states = ShardStage::zero2};
  std::map<std::int32_t, int> times;
  for (const Trace& rank : shard_layout(source, mesh)) {
    for (const Op& op : rank.ops) {
      if (!op.origin.valid()) continue;
      CHECK(source[op.origin].kind == op.kind);
      if (op.phase == Phase::forward && op.kind == OpKind::linear_forward) {
        ++times[op.origin.value];
      }
    }
    for (const Buffer& buffer : rank.buffers) {
      CHECK(buffer.name.starts_with(source[buffer.origin].name));
    }
  }
  for (const Instruction& line : source.program.body) {
    if (line.kind != InstructionKind::run) continue;
    const Op& op = source[line.op()];
    if (op.phase != Phase::forward || op.kind != OpKind::linear_forward) continue;
    CAPTURE(op.name);
    CHECK(times[line.index] == 2);  // by both ranks of one tensor group
  }
}

TEST_CASE("ranks of one stage have rows alike, and one of each is enough to plan them") {
  const Trace source = build_program(tiny_decoder(4));
  const RankLayout mesh{.sizes = sizes(2, 2, 2), .states = ShardStage::zero3};
  const std::vector<Trace> ranks = shard_layout(source, mesh);
  const std::vector<Trace> firsts = shard_layout_first(source, mesh);
  REQUIRE(firsts.size() == 2);
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const Trace& first = firsts[i / 4];
    CHECK((i % 4 != 0 || ranks[i] == first));
    CHECK(ranks[i].program == first.program);
    REQUIRE(ranks[i].buffers.size() == first.buffers.size());
    for (std::size_t row = 0; row < first.buffers.size(); ++row) {
      CHECK(ranks[i].buffers[row].size_bytes == first.buffers[row].size_bytes);
    }
  }
}

TEST_CASE("sizes that contradict each other are refused, all of them at once") {
  const Trace source = build_program(tiny_decoder(4));
  const auto refusal = [&](const RankLayout& layout) {
    try {
      (void)shard_layout(source, layout);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  const std::string several = refusal({.sizes = {.tensor = 0, .data = 2000}});
  CHECK(several.find("tp: expected 1 to 1024, found 0") != std::string::npos);
  CHECK(several.find("dp: expected 1 to 1024, found 2000") != std::string::npos);
  CHECK(refusal({.sizes = sizes(64, 64, 1)}).find("at most 1024 ranks") != std::string::npos);
  CHECK(refusal({.sizes = sizes(1, 1, 4, 3), .states = ShardStage::zero1})
            .find("shard: expected a divisor of the 4 ranks") != std::string::npos);
  CHECK(refusal({.sizes = sizes(1, 1, 4, 2)}).find("found data") != std::string::npos);
  CHECK(refusal({.sizes = sizes(1, 1, 3)}).find("4 micro-batches") != std::string::npos);
  CHECK(refusal({.sizes = sizes(3, 1, 1)}).find("2 heads") != std::string::npos);
  CHECK(refusal({.sizes = sizes(1, 3, 1)}).find("at most 2 stages") != std::string::npos);
}

TEST_CASE("a layout is named in the words in which it is asked for") {
  CHECK(to_text(RankLayout{}) == "one rank");
  CHECK(to_text({.sizes = sizes(2, 2, 2), .states = ShardStage::zero1}) ==
        "tp=2,pp=2,dp=2 zero1 one_f_one_b");
  CHECK(to_text({.sizes = sizes(2, 1, 1)}) == "tp=2");
}
