// The hand-written ZeRO-1 run on two ranks: the proof that sharding, views, collectives and streams
// fit into the format; and that copies of it with one mistake are found out.
#include <functional>

#include "../catch.h"
#include "sim/check.h"
#include "sim/timeline.h"
#include "tests/paths.h"
#include "traces/file.h"
#include "traces/validate.h"

using namespace tidemark;

namespace {

using Ranks = std::vector<Trace>;

Ranks zero1() {
  return read_ranks(std::string(TIDEMARK_SOURCE_DIR) + "/tests/golden/zero1/zero1.tmk.json");
}

std::int32_t op_named(const Trace& t, const std::string& name) {
  for (std::size_t i = 0; i < t.ops.size(); ++i) {
    if (t.ops[i].name == name) return static_cast<std::int32_t>(i);
  }
  FAIL("no op " << name);
  return -1;
}

std::int32_t buffer_named(const Trace& t, const std::string& name) {
  for (std::size_t i = 0; i < t.buffers.size(); ++i) {
    if (t.buffers[i].name == name) return static_cast<std::int32_t>(i);
  }
  FAIL("no buffer " << name);
  return -1;
}

Op& op_of(Trace& t, const std::string& name) {
  return t.ops[static_cast<std::size_t>(op_named(t, name))];
}

void remove_run(Trace& t, const std::string& name) {
  const Instruction line{InstructionKind::run, op_named(t, name)};
  REQUIRE(std::erase(t.program.body, line) == 1);
}

void free_before(Trace& t, const std::string& buffer, const std::string& op) {
  const Instruction line{InstructionKind::free, buffer_named(t, buffer)};
  REQUIRE(std::erase(t.program.body, line) == 1);
  const Instruction before{InstructionKind::run, op_named(t, op)};
  t.program.body.insert(std::ranges::find(t.program.body, before), line);
}

/// The mistake, made on rank 1, is the first finding.
void found(const std::string& what, const std::function<void(Trace&)>& mistake) {
  Ranks ranks = zero1();
  mistake(ranks[1]);
  REQUIRE(index_fault(ranks[1]).empty());
  const std::vector<Finding> findings = check_ranks(ranks);
  CAPTURE(what);
  REQUIRE_FALSE(findings.empty());
  CAPTURE(findings[0].place);
  CHECK_THAT(findings[0].message, Catch::Contains(what));
}

}  // namespace

TEST_CASE("the ZeRO-1 program is legal on each rank and for both together") {
  const Ranks ranks = zero1();
  REQUIRE(ranks.size() == 2);
  for (const Trace& rank : ranks) {
    const std::vector<Finding> findings = check(rank);
    if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
  }
  CHECK(check_ranks(ranks).empty());
}

TEST_CASE("the ZeRO-1 program is the same in the binary form") {
  for (const Trace& rank : zero1()) CHECK(from_bytes(to_binary(rank), "zero1") == rank);
}

TEST_CASE("the ZeRO-1 shards cover the padded weight, and the padding is declared") {
  const Ranks ranks = zero1();
  std::int64_t data_bytes = 0;
  for (const Trace& rank : ranks) {
    const Buffer& shard =
        rank.buffers[static_cast<std::size_t>(buffer_named(rank, "linear.w.shard"))];
    CHECK(shard.shard.index == rank.meta.rank);
    CHECK(shard.shard.count == 2);
    CHECK(shard.storage_offset_bytes == shard.shard.index * shard.size_bytes);
    data_bytes += shard.size_bytes - shard.shard.padding_bytes;
  }
  CHECK(data_bytes == 9 * 4);  // the 3 x 3 weight
}

TEST_CASE("the ZeRO-1 ranks hold half of the optimizer state each and run in 2048 bytes") {
  for (const Trace& rank : zero1()) {
    const Timeline timeline = replay(rank, {SpaceKind::device, rank.meta.rank}, 2);
    CHECK(timeline.peak.bytes == 2048);
    CHECK(timeline.step_ns == 10'000 + 2 * 5000);  // the collectives are waited for
    std::int64_t height = 0;
    for (const Buffer& b : rank.buffers) {
      if (!b.storage.valid()) height = std::max(height, b.offset_bytes + counted_bytes(b));
    }
    CHECK(height == 2048);
  }
}

TEST_CASE("collectives in another order on one rank are found") {
  Ranks ranks = zero1();
  Op& scatter = op_of(ranks[1], "linear.w.gradient.reduce_scatter");
  Op& gather = op_of(ranks[1], "linear.w.all_gather");
  scatter.attributes[1].integer = 1;
  gather.attributes[1].integer = 0;
  const std::vector<Finding> findings = check_ranks(ranks);
  REQUIRE(findings.size() == 3);
  CHECK(findings[0].message == "expected sequence 0 in its group and section, found 1");
  CHECK(findings[2].place == "ranks 0 and 1");
  CHECK(findings[2].message ==
        "collective 0: expected reduce_scatter, sequence 0, order rank, 10 f32, found "
        "reduce_scatter, sequence 1, order rank, 10 f32");
}

TEST_CASE("a collective that one rank does not issue, or reduces in another order, is found") {
  Ranks ranks = zero1();
  op_of(ranks[1], "linear.w.gradient.reduce_scatter").attributes[2].text = "tree";
  CHECK_THAT(check_ranks(ranks).at(0).message, Catch::Contains("order tree"));
  ranks = zero1();
  remove_run(ranks[0], "linear.w.all_gather");
  const std::vector<Finding> findings = check_ranks(ranks);
  CHECK_THAT(findings.back().message, Catch::Contains("collective 1: expected nothing"));
}

TEST_CASE("a group with a rank that has no trace, and two traces of one rank, are found") {
  Ranks ranks = zero1();
  ranks.pop_back();
  CHECK(check_ranks(ranks) ==
        std::vector<Finding>{{"rank 1", "expected a trace of every rank of the group"}});
  ranks = {zero1()[0], zero1()[0]};
  CHECK_THAT(check_ranks(ranks).at(0).message, Catch::Contains("one trace per rank"));
}

TEST_CASE("a wait that is missing is found, whichever it is") {
  found("was allocated after the last point that this stream waited for",
        [](Trace& t) { remove_run(t, "linear.w.gradient.wait"); });
  found("in use on stream 1", [](Trace& t) { remove_run(t, "linear.w.gradient.wait_reduced"); });
  found("was written on stream 0: expected a wait",
        [](Trace& t) { remove_run(t, "linear.w.wait_updated"); });
  found("still in use on stream 1", [](Trace& t) { remove_run(t, "linear.w.wait_gathered"); });
  found("event 1 is not recorded", [](Trace& t) { remove_run(t, "linear.w.gradient.reduced"); });
}

TEST_CASE("a buffer freed too early is found") {
  found("in use on stream 1: expected a wait", [](Trace& t) {
    free_before(t, "linear.w.gradient.padded", "linear.w.gradient.wait_reduced");
  });
  found("dw = buffer 12 'linear.w.gradient.shard' is not allocated",
        [](Trace& t) { free_before(t, "linear.w.gradient.shard", "linear.w.update"); });
}

TEST_CASE("a wrong version is found") {
  found("w = buffer 1 'linear.w': expected version 1, found 0",
        [](Trace& t) { op_of(t, "linear.forward").operands[1].reads = 1; });
  found("expected to write version 2, found 3",
        [](Trace& t) { op_of(t, "linear.w.all_gather").operands[1].writes = 3; });
}

TEST_CASE("placements that overlap are found") {
  found("bytes [512, 768) overlap a live buffer", [](Trace& t) {
    t.buffers[static_cast<std::size_t>(buffer_named(t, "input.x"))].offset_bytes = 512;
  });
}

TEST_CASE("the part of another rank in an all_gather in place is found") {
  found("x must be part 1 of y", [](Trace& t) {
    t.buffers[static_cast<std::size_t>(buffer_named(t, "linear.w.shard"))].storage_offset_bytes = 0;
  });
}

TEST_CASE("a rank that is not in the group of its collective is found") {
  found("rank 1 is not in the group", [](Trace& t) { t.groups[0].ranks = {0, 2}; });
}
