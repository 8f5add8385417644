// Level B on cases small enough to add up by hand, and the schedules it walks.
#include "sim/capacity_walk.h"

#include <set>

#include "../catch.h"
#include "sim/layer_products.h"
#include "sim/schedule_events.h"

using namespace tidemark;

namespace {

using Events = std::vector<PipelineEvent>;

Strategy pipeline(std::int64_t ranks, std::int64_t chunks, PipelineSchedule schedule,
                  std::int64_t micro_batches) {
  Strategy s;
  s.layout = {.pipeline = ranks, .virtual_stages = chunks};
  s.schedule = schedule;
  s.recipe = find_recipe("ddp");
  s.batch = {.sequence = 8, .micro_batch = 1, .micro_batches = micro_batches};
  return s;
}

}  // namespace

TEST_CASE("walk: 1F1B and GPipe on two ranks, event by event") {
  using enum PipelinePass;
  const PipelineEvent f0{forward, 0, 0}, f1{forward, 0, 1}, f2{forward, 0, 2};
  const PipelineEvent b0{backward, 0, 0}, b1{backward, 0, 1}, b2{backward, 0, 2};
  const PipelineEvent w0{weights, 0, 0}, w1{weights, 0, 1}, w2{weights, 0, 2};
  const Strategy s = pipeline(2, 1, PipelineSchedule::one_f_one_b, 3);
  CHECK(schedule_events(s, 0) == Events{f0, f1, b0, f2, b1, b2});
  CHECK(schedule_events(s, 1) == Events{f0, b0, f1, b1, f2, b2});
  CHECK(schedule_events(pipeline(2, 1, PipelineSchedule::gpipe, 3), 1) ==
        Events{f0, f1, f2, b0, b1, b2});
  const Strategy apart = pipeline(2, 1, PipelineSchedule::zero_bubble, 3);
  CHECK(schedule_events(apart, 0) == Events{f0, f1, b0, w0, f2, b1, w1, b2, w2});
  CHECK(schedule_events(apart, 1) == Events{f0, b0, f1, b1, w0, f2, b2, w1, w2});
}

TEST_CASE("walk: interleaving goes through the chunks in groups, backward in reverse") {
  using enum PipelinePass;
  const Events events = schedule_events(pipeline(2, 2, PipelineSchedule::interleaved, 4), 1);
  CHECK(Events(events.begin(), events.begin() + 6) == Events{{forward, 0, 0},
                                                             {forward, 0, 1},
                                                             {forward, 1, 0},
                                                             {backward, 1, 0},
                                                             {forward, 1, 1},
                                                             {backward, 1, 1}});
}

TEST_CASE("walk: each micro-batch goes forward and backward once per chunk, in that order") {
  for (const PipelineSchedule schedule :
       {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b, PipelineSchedule::interleaved}) {
    for (std::int64_t p = 1; p <= 4; ++p) {
      for (std::int64_t v = 1; v <= 3; ++v) {
        const Strategy s = pipeline(p, v, schedule, 3 * p);
        if ((schedule == PipelineSchedule::interleaved) != (v > 1)) continue;
        for (std::int64_t rank = 0; rank < p; ++rank) {
          std::set<std::pair<std::int64_t, std::int64_t>> open;
          std::int64_t done = 0;
          for (const PipelineEvent& e : schedule_events(s, rank)) {
            if (e.pass == PipelinePass::forward) {
              CHECK(open.insert({e.chunk, e.micro_batch}).second);
            } else {
              CHECK(open.erase({e.chunk, e.micro_batch}) == 1);
              ++done;
            }
          }
          CHECK(open.empty());
          CHECK(done == 3 * p * v);
        }
      }
    }
  }
}

TEST_CASE("walk: one layer on one rank, added up by hand") {
  const Transformer m{.layers = 1,
                      .hidden = 4,
                      .heads = 2,
                      .kv_heads = 2,
                      .head_size = 2,
                      .mlp = 64,
                      .vocabulary = 1000,
                      .norm = Norm::rms_norm};
  Strategy s = pipeline(1, 1, PipelineSchedule::one_f_one_b, 1);
  s.kernels.loss = LossLowering::eager;
  REQUIRE(problems(m, s).empty());
  const WalkedPeak at_loss = walk(m, s);
  CHECK(at_loss.moment == PeakMoment::loss);
  // Per token: four rows of 8 bytes outside the attention, Q, K, V, output, 4 per head, MLP twice.
  const double layer = 8 * (4 * 8 + 4 * 8 + 4 * 2 + 2 * 2 * 64);
  CHECK(at_loss.memory.layers == layer);
  CHECK(at_loss.memory.ends == 8 * (2 * 8 + 4 * 1000));
  CHECK(at_loss.memory.working == 8 * 10 * 1000);
  CHECK(at_loss.memory.states == 16.0 * static_cast<double>(parameter_count(m)));

  // Without a large loss the peak is the backward: the gradient of the layer's output beside that
  // of the MLP product.
  Transformer few = m;
  few.vocabulary = 2;
  const WalkedPeak in_backward = walk(few, s);
  CHECK(in_backward.moment == PeakMoment::backward);
  CHECK(in_backward.memory.working == 8 * (8 + 2 * 64));
}

TEST_CASE("walk: the first rank of 1F1B holds as many micro-batches as there are ranks") {
  const Transformer m = find_transformer("gpt3-175b")->model;
  Strategy s = pipeline(8, 1, PipelineSchedule::one_f_one_b, 32);
  s.batch.sequence = 2048;
  const double first = walk_rank(m, s, 0).memory.layers;
  CHECK(first / walk_rank(m, s, 4).memory.layers == Approx(2));
  s.schedule = PipelineSchedule::gpipe;
  CHECK(walk_rank(m, s, 4).memory.layers / first == Approx(4));
}

TEST_CASE("walk: ZB-H1 holds operands of late gradients of weights, not whole micro-batches") {
  const Transformer& m = find_transformer("llama3-8b")->model;
  Strategy s = pipeline(4, 1, PipelineSchedule::one_f_one_b, 8);
  s.batch.sequence = 2048;
  s.recipe = find_recipe("zero1");
  std::vector<double> plain;
  for (std::int64_t rank = 0; rank < 4; ++rank)
    plain.push_back(walk_rank(m, s, rank).memory.layers);
  s.schedule = PipelineSchedule::zero_bubble;
  const double layers = static_cast<double>(m.layers) / 4;
  const double held = layers * held_bytes(layer_products(m, true, s), m, s);
  CHECK(walk_rank(m, s, 0).memory.layers == plain[0]);
  for (std::int64_t rank = 1; rank < 4; ++rank) {
    CAPTURE(rank);
    const auto at = static_cast<std::size_t>(rank);
    const double now = walk_rank(m, s, rank).memory.layers;
    CHECK(now > plain[at]);
    CHECK(now <= plain[at] + static_cast<double>(rank) * held * (1 + 1e-12));
  }
}

TEST_CASE("walk: torch.distributed.pipelining keeps the messages of all micro-batches") {
  const Transformer& m = find_transformer("llama3-8b")->model;
  Strategy s = pipeline(2, 1, PipelineSchedule::one_f_one_b, 4);
  s.layout.data = 4;
  s.recipe = find_recipe("fsdp2-keep-outputs");
  s.kernels.loss = LossLowering::eager;
  const double rows = 8.0 * 2 * 4096;
  const double logits = 8.0 * 2 * static_cast<double>(m.vocabulary);
  REQUIRE(message_bytes(m, s) == MessageBytes{rows, logits, rows});

  // Rank 1 at the loss of the last micro-batch: four buffers of inputs, of which that in flight is
  // the input of a layer, gradients of three inputs, and three logits.
  Strategy other = s;
  other.recipe.library = TrainingLibrary::megatron;
  const WalkedPeak last = walk_rank(m, s, 1);
  REQUIRE(last.moment == PeakMoment::loss);
  CHECK(last.memory.ends - walk_rank(m, other, 1).memory.ends == 6 * rows + 3 * logits);

  // Rank 0 with two in flight and two behind it: buffers of four gradients, and four outputs.
  const WalkedPeak first = walk_rank(m, s, 0);
  CHECK(first.memory.ends - walk_rank(m, other, 0).memory.ends == 8 * rows);

  // Where outputs do not stay: buffers of four gradients, and outputs of the two in flight.
  s.recipe = find_recipe("fsdp2-keep");
  REQUIRE(message_bytes(m, s) == MessageBytes{rows, 0, 0});
  const WalkedPeak lean = walk_rank(m, s, 0);
  other.recipe = s.recipe;
  other.recipe.library = TrainingLibrary::megatron;
  CHECK(lean.memory.ends - walk_rank(m, other, 0).memory.ends == 6 * rows);

  s.layout.pipeline = 1;
  CHECK(message_bytes(m, s) == MessageBytes{});
}
