// Programs of several ranks on fake devices, one for each: the results are those of one device and
// near those of CPU ranks, and when one of them cannot go on all end.
#include <atomic>

#include "fake_nccl.h"
#include "fake_plugin.h"
#include "profiler/ranks.h"
#include "sim/compare.h"
#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/profiler/programs.h"
#include "tests/sim/shard_sources.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// A recorded keep-all run of a step in two micro-batches, and what it takes to run it again.
struct Case {
  RunConfig config = [] {
    RunConfig made = tiny_decoder(2);
    made.optimizer.kind = Optimizer::adamw;
    return made;
  }();
  Dataset data = data_for(config);
  Trace recorded = run(build_program(config), {.steps = 2, .data = &data});

  [[nodiscard]] RunOptions options(const FakePlugin& fake, const FakeNccl& nccl) const {
    return {.backend = BackendKind::cuda,
            .steps = 3,
            .device_memory_bytes = std::int64_t{1} << 20,
            .data = &data,
            .cuda = &fake.api,
            .nccl = &nccl.api};
  }
  [[nodiscard]] std::vector<Trace> ranks(ShardStage stage, std::int32_t count = 2) const {
    return shard_placed(recorded, stage, count);
  }
};

void require_readable(const RanksResult& result) {
  for (const RunResult& rank : result.ranks) {
    CHECK(from_bytes(to_binary(rank.trace), "rank") == rank.trace);
  }
}

}  // namespace

TEST_CASE("cuda ranks: every stage gives the bits of one device, whatever the streams do first") {
  const Case c;
  using Late = FakePlugin::Late;
  for (const ShardStage stage :
       {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
    for (const Late late : {Late::none, Late::all, Late::first, Late::others}) {
      CAPTURE(to_string(stage), static_cast<int>(late));
      FakePlugin fake(2);
      fake.late = late;
      FakeNccl nccl;
      const Trace alone = run(c.ranks(ShardStage::none)[0], c.options(fake, nccl));
      fake.opened = 0;
      const std::vector<Trace> planned = c.ranks(stage);
      const RanksResult result = execute_ranks(planned, c.options(fake, nccl));
      REQUIRE(result.ended_by == -1);
      for (std::size_t rank = 0; rank < 2; ++rank) {
        const Comparison same = compare(alone, result.ranks[rank].trace);
        CHECK(same.first_difference.empty());
        CHECK(same.compared_steps == 3);
        CHECK(compare(planned[rank], result.ranks[rank].trace).peak_error_bytes == 0);
        CHECK(result.ranks[rank].trace.meta.device == "fake device");
      }
      CHECK(fake.opened == 3);  // each its own
      CHECK(nccl.live == 0);
      CHECK(nccl.aborted == 0);
      CHECK(fake.live_bytes == 0);
      CHECK(fake.live_handles == 0);
    }
  }
}

TEST_CASE("cuda ranks: tensor parallel ranks are near those of the CPU") {
  const Case c;
  FakePlugin fake(2);
  FakeNccl nccl;
  const std::vector<Trace> planned = c.ranks(ShardStage::tensor);
  const RanksResult cuda = execute_ranks(planned, c.options(fake, nccl));
  const RanksResult cpu = execute_ranks(planned, {.steps = 3, .data = &c.data});
  for (std::size_t step = 0; step < 3; ++step) {
    CHECK(cuda.ranks[0].trace.steps[step].loss ==
          Approx(cpu.ranks[0].trace.steps[step].loss).epsilon(2e-5));
    CHECK(cuda.ranks[0].trace.steps[step].loss == cuda.ranks[1].trace.steps[step].loss);
  }
}

TEST_CASE("cuda ranks: more ranks than devices are refused before anything begins") {
  const Case c;
  FakePlugin fake(1);
  FakeNccl nccl;
  CHECK_THROWS_WITH(execute_ranks(c.ranks(ShardStage::zero1), c.options(fake, nccl)),
                    Catch::Contains("--backend cuda: expected a device for each of 2 ranks, "
                                    "found 1"));
  CHECK(fake.opened == 0);
}

TEST_CASE("cuda ranks: one that is out of memory ends all, and every trace is readable") {
  const Case c;
  FakePlugin fake(2);
  FakeNccl nccl;
  std::vector<Trace> planned = c.ranks(ShardStage::zero2);
  for (Buffer& b : planned[1].buffers) {
    if (b.name == "tokens" || b.category == Category::input) b.offset_bytes = 1 << 20;
  }
  RunOptions options = c.options(fake, nccl);
  options.check = false;
  const RanksResult result = execute_ranks(planned, options);
  CHECK(result.ended_by == 1);
  CHECK(result.ranks[1].shortage.has_value());
  CHECK(result.ranks[0].stopped);
  require_readable(result);
  CHECK(nccl.live == 0);
  CHECK(fake.live_bytes == 0);
}

TEST_CASE("cuda ranks: a device that disappears ends all with its message") {
  const Case c;
  for (const int fails_at : {3, 60, 200}) {
    CAPTURE(fails_at);
    FakePlugin fake(2);
    fake.failing_device = 1;
    fake.fails_at = fails_at;
    FakeNccl nccl;
    const RanksResult result = execute_ranks(c.ranks(ShardStage::zero1), c.options(fake, nccl));
    CHECK(result.ended_by == 1);
    CHECK(result.ranks[1].failure == "CUDA device: device is gone");
    CHECK(result.ranks[0].stopped);
    require_readable(result);
    CHECK(nccl.live == 0);
  }
}

TEST_CASE("cuda ranks: a way that breaks ends all with what NCCL says") {
  const Case c;
  for (const int breaks_at : {0, 3}) {
    FakePlugin fake(2);
    FakeNccl nccl;
    nccl.breaks_at = breaks_at;
    const RanksResult result = execute_ranks(c.ranks(ShardStage::data), c.options(fake, nccl));
    REQUIRE(result.ended_by >= 0);
    CHECK(result.ranks[static_cast<std::size_t>(result.ended_by)].failure ==
          "NCCL: remote process exited: no cable");
    require_readable(result);
    CHECK(nccl.live == 0);
  }
}

TEST_CASE("cuda ranks: all end when they are asked to") {
  const Case c;
  FakePlugin fake(2);
  FakeNccl nccl;
  std::atomic<bool> cancel{false};
  RunOptions options = c.options(fake, nccl);
  options.cancel = &cancel;
  options.on_step = [&cancel](const StepRecord&) { cancel = true; };
  const RanksResult result = execute_ranks(c.ranks(ShardStage::zero3), options);
  for (const RunResult& rank : result.ranks) CHECK(rank.cancelled);
  CHECK(result.ranks[0].trace.steps.size() == 1);
  CHECK(nccl.live == 0);
}
