// Experts on several ranks: what is where, who meets whom, and what is refused.
#include "sim/shard_experts.h"

#include <algorithm>

#include "../catch.h"
#include "sim/check.h"
#include "sim/op_table.h"
#include "sim/shard_layout.h"
#include "tests/sim/shard_sources.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

using Extents = std::vector<std::int64_t>;

/// Two blocks of 4 experts, 2 per token, on 16 tokens of a micro-batch: room for 10 of each expert.
RunConfig small_moe(std::int64_t micro_batches) {
  RunConfig config = default_run("moe-tiny");
  config.model.llama.layers = 2;
  config.model.llama.experts = 4;
  config.batch = micro_batches;
  config.accumulation = micro_batches;
  config.sequence = 16;
  config.optimizer.clip_norm = 1;
  return config;
}

std::vector<Trace> spread(const RunConfig& config, const Layout& sizes,
                          ShardStage states = ShardStage::data) {
  return shard_layout(build_program(config), {.sizes = sizes, .states = states});
}

const Buffer& named(const Trace& trace, const std::string& name) {
  const auto found = std::ranges::find(trace.buffers, name, &Buffer::name);
  if (found == trace.buffers.end()) FAIL("no buffer " << name);
  return *found;
}

/// Ranks with which the op of this name meets; empty when there is none.
std::vector<std::int32_t> meeting(const Trace& trace, const std::string& name) {
  const auto found = std::ranges::find(trace.ops, name, &Op::name);
  if (found == trace.ops.end()) return {};
  return trace.groups.at(static_cast<std::size_t>(integer_at(*found, "group", 0))).ranks;
}

std::ptrdiff_t count_of(const Trace& trace, OpKind kind) {
  return std::ranges::count(trace.ops, kind, &Op::kind);
}

}  // namespace

TEST_CASE("experts on ranks are legal on each and for all together, beside every other axis") {
  for (const Layout& sizes :
       {Layout{.data = 2, .expert = 2}, Layout{.data = 4, .expert = 2},
        Layout{.data = 4, .expert = 4}, Layout{.tensor = 2, .data = 2, .expert = 2},
        Layout{.pipeline = 2, .data = 2, .expert = 2},
        Layout{.tensor = 2, .pipeline = 2, .data = 2, .expert = 2}}) {
    RunConfig config = small_moe(8);
    for (const Precision precision : {Precision::full, Precision::bf16}) {
      config.precision = precision;
      config.eval_every = sizes.pipeline > 1 ? 0 : 1;
      config.model.llama.balance_loss = precision == Precision::full ? 0.01 : 0;
      for (const ShardStage states : {ShardStage::data, ShardStage::zero1, ShardStage::zero3}) {
        CAPTURE(to_text({.sizes = sizes, .states = states}), to_string(precision));
        const std::vector<Finding> findings = check_ranks(spread(config, sizes, states));
        if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
      }
    }
  }
}

TEST_CASE("an owner has whole experts, and the slots that all ranks filled for them") {
  const Trace rank = spread(small_moe(4), {.data = 4, .expert = 2})[0];
  const RunConfig config = small_moe(4);
  const std::int64_t hidden = config.model.llama.hidden;
  CHECK(named(rank, "block0.gate_up.w").shape == Extents{2, 2 * hidden, 64});
  CHECK(named(rank, "block0.down.w.m").shape == Extents{2, 64, hidden});
  CHECK(named(rank, "block0.router.w").shape == Extents{4, 64});
  CHECK(named(rank, "block0.dispatch.y.sent").shape == Extents{4, 10, 64});
  CHECK(named(rank, "block0.dispatch.y").shape == Extents{2, 20, 64});
  CHECK(named(rank, "block0.gate_up.y").shape == Extents{2, 20, 2 * hidden});
  CHECK(named(rank, "block0.down.y.sent").shape == Extents{2, 20, 64});
  CHECK(named(rank, "block0.down.y").shape == Extents{4, 10, 64});
  CHECK(named(rank, "block0.dispatch.y.sent").category == Category::communication);
  CHECK(named(rank, "block0.dispatch.y").category == Category::activation);
}

TEST_CASE("tokens travel four times per block and micro-batch, with neighbours alone") {
  const std::vector<Trace> ranks = spread(small_moe(8), {.data = 4, .expert = 2});
  CHECK(count_of(ranks[0], OpKind::all_to_all) == 4 * 2 * 2);
  CHECK(meeting(ranks[0], "block0.dispatch.y.all_to_all") == std::vector{0, 1});
  CHECK(meeting(ranks[3], "block1.down.y@6.all_to_all") == std::vector{2, 3});
}

TEST_CASE("gradients of experts are summed over those who own the same, others over all") {
  const std::vector<Trace> four = spread(small_moe(4), {.data = 4, .expert = 2});
  CHECK(meeting(four[1], "block0.gate_up.w.gradient.all_reduce") == std::vector{1, 3});
  CHECK(meeting(four[1], "block0.router.w.gradient.all_reduce") == std::vector{0, 1, 2, 3});
  const std::vector<Trace> two = spread(small_moe(4), {.data = 2, .expert = 2});
  CHECK(meeting(two[1], "block0.gate_up.w.gradient.all_reduce").empty());
  CHECK(meeting(two[1], "block0.router.w.gradient.all_reduce") == std::vector{0, 1});
  const std::vector<Trace> zero1 =
      spread(small_moe(4), {.data = 4, .expert = 2}, ShardStage::zero1);
  CHECK(meeting(zero1[2], "block0.down.w.gradient.reduce_scatter") == std::vector{0, 2});
  CHECK(meeting(zero1[2], "block0.down.w.all_gather") == std::vector{0, 2});
  const std::int64_t experts = element_count(named(four[2], "block0.down.w"));
  CHECK(element_count(named(zero1[2], "block0.down.w.m")) == experts / 2);
}

TEST_CASE("what has no experts, or not enough, is refused with the reason") {
  const auto refused = [](const RunConfig& config, const Layout& sizes, const std::string& part) {
    CHECK_THROWS_WITH(spread(config, sizes), Catch::Contains(part));
  };
  refused(tiny_decoder(2), {.data = 2, .expert = 2}, "a decoder with experts");
  refused(small_moe(3), {.data = 3, .expert = 3}, "a divisor of the 4 experts");
  refused(small_moe(4), {.data = 4, .expert = 3}, "ep: expected a divisor");
  refused(small_moe(4), {.tensor = 2, .data = 2, .expert = 4}, "ep: expected a divisor");
}
