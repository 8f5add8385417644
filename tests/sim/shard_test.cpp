#include "sim/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "../catch.h"
#include "sim/check.h"
#include "sim/op_table.h"
#include "sim/timeline.h"
#include "tests/sim/shard_sources.h"
#include "traces/error.h"
#include "traces/validate.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::array k_stages{ShardStage::data, ShardStage::zero1, ShardStage::zero2,
                              ShardStage::zero3};

std::int64_t peak_of(const Trace& trace) {
  return replay(trace, {SpaceKind::device, trace.meta.rank}).peak.bytes;
}

/// Bytes of a category that live from step to step, from the program alone.
std::int64_t lasting_bytes(const Trace& trace, Category category) {
  std::map<std::int32_t, bool> live;
  for (const Instruction& line : trace.program.init) {
    if (line.kind != InstructionKind::run) {
      live[line.index] = line.kind == InstructionKind::alloc;
    }
  }
  std::int64_t bytes = 0;
  for (const auto& [row, is_live] : live) {
    const Buffer& b = trace.buffers[static_cast<std::size_t>(row)];
    if (is_live && b.category == category) bytes += b.size_bytes;
  }
  return bytes;
}

/// Numbers of elements of all weights of `source`, each rounded up to a multiple of `ranks`.
std::int64_t padded_elements(const Trace& source, std::int64_t ranks) {
  std::int64_t sum = 0;
  for (const Buffer& b : source.buffers) {
    if (b.category != Category::weight) continue;
    sum += (element_count(b) + ranks - 1) / ranks * ranks;
  }
  return sum;
}

std::vector<OpKind> kinds_of(const Trace& trace) {
  std::vector<OpKind> out;
  for (const Instruction& line : trace.program.body) {
    if (line.kind == InstructionKind::run) out.push_back(trace[line.op()].kind);
  }
  return out;
}

std::int64_t count_of(const Trace& trace, OpKind kind) {
  return std::ranges::count(kinds_of(trace), kind);
}

}  // namespace

TEST_CASE("every stage on every number of ranks is a legal program of all ranks") {
  for (const std::int64_t micro_batches : {2, 4, 6}) {
    for (const RunConfig& config : {odd_mlp(micro_batches), tiny_decoder(micro_batches)}) {
      const Trace source = build_program(config);
      for (const std::int32_t ranks : {1, 2, 3, 6}) {
        if (micro_batches % ranks != 0) continue;
        for (const ShardStage stage : k_stages) {
          CAPTURE(config.model.name, micro_batches, ranks, to_string(stage));
          const std::vector<Trace> out = shard(source, stage, ranks);
          REQUIRE(out.size() == static_cast<std::size_t>(ranks));
          const std::vector<Finding> findings = check_ranks(out);
          if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
        }
        const Trace alone = shard(source, ShardStage::none, ranks).at(0);
        const std::vector<Finding> findings = check(alone);
        if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
        CHECK(alone.meta.rank_count == 1);
      }
    }
  }
}

TEST_CASE("each stage keeps less on a rank: parts of state, of gradients, of weights") {
  RunConfig larger = default_run("gpt2-tiny");
  larger.batch = larger.accumulation = 6;
  for (const RunConfig& config : {odd_mlp(6), tiny_decoder(6), larger}) {
    const Trace source = build_program(config);
    for (const std::int32_t ranks : {2, 3}) {
      CAPTURE(config.model.name, ranks);
      const std::int64_t weight_bytes = 4 * padded_elements(source, ranks);
      std::map<ShardStage, std::int64_t> peak;
      for (const ShardStage stage : k_stages) {
        const std::vector<Trace> out = shard(source, stage, ranks);
        peak[stage] = peak_of(out[0]);
        for (const Trace& rank : out) {
          CHECK(peak_of(rank) == peak[stage]);
          const bool third = stage == ShardStage::zero3;
          CHECK(lasting_bytes(rank, Category::weight) ==
                (third ? weight_bytes / ranks : weight_bytes));
          if (stage != ShardStage::data) {  // AdamW has two states
            CHECK(lasting_bytes(rank, Category::optimizer_state) == 2 * weight_bytes / ranks);
          }
        }
      }
      CHECK(peak[ShardStage::zero1] <= peak[ShardStage::data]);
      if (config != larger) continue;  // parts below the granule save nothing
      CHECK(peak[ShardStage::zero2] <= peak[ShardStage::zero1]);
      CHECK(peak[ShardStage::zero3] < peak[ShardStage::zero2]);
    }
  }
}

TEST_CASE("the collectives of a step are those of its stage") {
  const Trace source = build_program(odd_mlp(2));  // 6 weights
  const auto counts = [&](ShardStage stage) {
    const Trace rank = shard(source, stage, 2)[1];
    return std::array{count_of(rank, OpKind::all_reduce), count_of(rank, OpKind::reduce_scatter),
                      count_of(rank, OpKind::all_gather)};
  };
  CHECK(counts(ShardStage::data) == std::array<std::int64_t, 3>{6, 0, 0});
  CHECK(counts(ShardStage::zero1) == std::array<std::int64_t, 3>{0, 6, 6});
  CHECK(counts(ShardStage::zero2) == std::array<std::int64_t, 3>{0, 6, 6});
  // Forward needs all 6; backward needs the weights of two layers again, not of the first.
  CHECK(counts(ShardStage::zero3) == std::array<std::int64_t, 3>{0, 6, 8});
}

TEST_CASE("a rank takes its own micro-batches, in order") {
  const Trace source = build_program(odd_mlp(4));
  const std::vector<Trace> out = shard(source, ShardStage::zero1, 2);
  for (const Trace& rank : out) {
    std::vector<std::int64_t> cursors;
    for (const Op& op : rank.ops) {
      if (op.kind == OpKind::load_batch) cursors.push_back(integer_at(op, "cursor", 0));
    }
    CHECK(cursors == (rank.meta.rank == 0 ? std::vector<std::int64_t>{0, 2}
                                          : std::vector<std::int64_t>{4, 6}));
  }
}

TEST_CASE("rows are alike on all ranks but for the part and the data") {
  const std::vector<Trace> out = shard(build_program(tiny_decoder(2)), ShardStage::zero2, 2);
  REQUIRE(out[0].buffers.size() == out[1].buffers.size());
  for (std::size_t row = 0; row < out[0].buffers.size(); ++row) {
    CHECK(out[0].buffers[row].size_bytes == out[1].buffers[row].size_bytes);
    CHECK(out[0].buffers[row].shape == out[1].buffers[row].shape);
  }
  CHECK(out[0].program == out[1].program);
}

TEST_CASE("the padding of a weight is declared, and its parts cover it once") {
  const std::vector<Trace> out = shard(build_program(odd_mlp(3)), ShardStage::zero1, 3);
  std::int64_t data_bytes = 0;
  for (const Trace& rank : out) {
    const auto part = std::ranges::find(rank.buffers, "linear0.w.shard", &Buffer::name);
    REQUIRE(part != rank.buffers.end());
    CHECK(part->shard.index == rank.meta.rank);
    CHECK(part->storage_offset_bytes == part->shard.index * part->size_bytes);
    data_bytes += part->size_bytes - part->shard.padding_bytes;
    CHECK(index_fault(rank).empty());
  }
  CHECK(data_bytes == 3 * 5 * 4);
}

TEST_CASE("an op on a part takes its share of the measured time") {
  Trace source = build_program(odd_mlp(2));
  for (Op& op : source.ops) {
    op.duration_ns = 1000;
    op.time_source = TimeSource::measured;
  }
  const Trace rank = shard(source, ShardStage::zero1, 2)[0];
  for (const Op& op : rank.ops) {
    if (op.kind == OpKind::adamw_update) {
      CHECK(op.duration_ns == 500);
      CHECK(op.time_source == TimeSource::modelled);
    }
    if (op.kind == OpKind::linear_forward) CHECK(op.duration_ns == 1000);
    if (op.kind == OpKind::reduce_scatter) CHECK(op.duration_ns == -1);
  }
}

TEST_CASE("micro-batches that do not divide among the ranks are refused") {
  CHECK_THROWS_WITH(
      shard(build_program(odd_mlp(4)), ShardStage::zero1, 3),
      Catch::Contains("a divisor of the 4 micro-batches") && Catch::Contains("found 3"));
}

TEST_CASE("collectives are numbered per section in issue order") {
  Trace rank = shard(build_program(odd_mlp(2)), ShardStage::zero3, 2)[0];
  for (Op& op : rank.ops) {
    for (Attribute& a : op.attributes) {
      if (a.name == "sequence") a.integer = 77;
    }
  }
  number_collectives(rank);
  CHECK(check(rank).empty());
  std::int64_t next = 0;
  for (const Instruction& line : rank.program.body) {
    if (line.kind != InstructionKind::run) continue;
    if (find_attribute(rank[line.op()], "sequence") == nullptr) continue;
    CHECK(integer_at(rank[line.op()], "sequence", 0) == next++);
  }
  CHECK(next == 14);
}
