// Level A against published figures, and against level B, which it must never exceed.
#include "sim/capacity.h"

#include <map>

#include "../catch.h"
#include "csv_rows.h"
#include "random_strategy.h"
#include "sim/capacity_walk.h"
#include "sim/schedule_events.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr double k_gib = 1 << 30;

/// Korthikanti et al. count matrices only: 18 bytes for each element, no biases, norms, embedding.
struct Figure1 {
  double states_gib = 0;
  double activations_gib = 0;
};

Figure1 figure1(const Transformer& model, const Layout& layout, std::int64_t micro_batch,
                bool selective) {
  Strategy s;
  s.layout = layout;
  s.layout.sequence_parallel = selective;
  s.recipe = find_recipe("megatron");
  if (selective) s.recompute = {Recompute::attention_core};
  s.kernels = {.attention = AttentionLowering::composite, .dropout = true};
  s.schedule =
      layout.virtual_stages > 1 ? PipelineSchedule::interleaved : PipelineSchedule::one_f_one_b;
  s.batch = {.sequence = 2048, .micro_batch = micro_batch, .micro_batches = 8 * layout.pipeline};
  const CapacityModel level_a(model);
  REQUIRE(problems(model, s).empty());
  Transformer matrices = model;
  matrices.biases = false;
  const Parameters layers = CapacityModel(matrices).parameters(s, 0).layers;
  return {state_bytes(s.recipe, s.layout, {.tensor = layers.tensor}).total() / k_gib,
          level_a.rank(s, 0).layers / k_gib};
}

}  // namespace

TEST_CASE("capacity: Korthikanti figure 1, two models by hand") {
  // arXiv 2205.05198, figure 1: GPT-3 175B on 64 GPUs, Megatron 22B on 8.
  const Transformer gpt3 = find_transformer("gpt3-175b")->model;
  const Layout on_64{.tensor = 8, .pipeline = 8, .virtual_stages = 3};
  CHECK(figure1(gpt3, on_64, 1, false).states_gib == Approx(45.5625).epsilon(1e-9));
  CHECK(figure1(gpt3, on_64, 1, false).activations_gib == Approx(66.84375).epsilon(1e-9));
  CHECK(figure1(gpt3, on_64, 1, true).activations_gib == Approx(12.3515625).epsilon(1e-9));
  const Transformer small = find_transformer("megatron-22b")->model;
  CHECK(figure1(small, {.tensor = 8}, 4, false).activations_gib == Approx(59.25).epsilon(1e-9));
  CHECK(figure1(small, {.tensor = 8}, 4, true).activations_gib == Approx(9.5625).epsilon(1e-9));
}

TEST_CASE("capacity: all rows of Korthikanti figure 1, from the file") {
  const std::string folder = shared_data("capacity");
  if (folder.empty()) {
    WARN("skipped: no shared data (TIDEMARK_SHARED_DATA)");
    return;
  }
  for (const CsvRow& row : csv_rows(read_file(folder + "/korthikanti_fig1_memory.csv"))) {
    CAPTURE(row["model"], row["mode"]);
    Transformer m = find_transformer("gpt3-175b")->model;
    m.layers = row.integer("layers");
    m.hidden = row.integer("hidden");
    m.heads = m.kv_heads = row.integer("heads");
    m.head_size = m.hidden / m.heads;
    m.mlp = 4 * m.hidden;
    const Layout layout{.tensor = row.integer("TP"),
                        .pipeline = row.integer("PP"),
                        .virtual_stages = row.integer("VPP")};
    const Figure1 ours =
        figure1(m, layout, row.integer("micro_batch"), row["mode"] == "seqpar+selective");
    CHECK(ours.states_gib == Approx(row.number("params_and_optimizer_GiB")).epsilon(1e-4));
    CHECK(ours.activations_gib == Approx(row.number("activations_GiB")).epsilon(1e-4));
  }
}

TEST_CASE("capacity: micro-batches in flight are those that the events leave open") {
  Random random(7);
  const Transformer m = with_layers("gpt3-175b", 48);
  for (int round = 0; round < 300; ++round) {
    const Strategy s = random_strategy(random, m);
    for (std::int64_t rank = 0; rank < s.layout.pipeline; ++rank) {
      std::map<std::int64_t, std::int64_t> open;
      for (const PipelineEvent& event : schedule_events(s, rank)) {
        if (event.pass != PipelinePass::forward) break;
        ++open[event.chunk];
      }
      for (std::int64_t chunk = 0; chunk < s.layout.virtual_stages; ++chunk) {
        CAPTURE(round, rank, chunk);
        const std::int64_t forwards = forwards_ahead(s, rank);
        CHECK(forwards_of_chunk(s.layout, forwards, chunk) == open[chunk]);
      }
    }
  }
}

TEST_CASE("capacity: level A never exceeds level B, and finds the largest rank") {
  Random random(11);
  for (const Transformer& m :
       {with_layers("gpt3-175b", 24), with_layers("llama3-8b", 24),
        with_layers("moonlight-16b", 24), with_layers("qwen3-30b-a3b", 12)}) {
    const CapacityModel level_a(m);
    for (int round = 0; round < 150; ++round) {
      const Strategy s = random_strategy(random, m);
      RankMemory largest;
      for (const RankMemory& rank : level_a.ranks(s)) {
        CAPTURE(m.name, round, rank.rank);
        CHECK(rank.total() <= walk_rank(m, s, rank.rank).memory.total() * (1 + 1e-12));
        if (rank.total() > largest.total()) largest = rank;
      }
      CHECK(level_a.peak(s).total() == largest.total());
    }
  }
}

TEST_CASE("capacity: states of all ranks together are the recipe times the model") {
  const Transformer m = find_transformer("llama3-8b")->model;
  Strategy s;
  s.layout = {.tensor = 4, .pipeline = 4, .data = 8};
  s.recipe = find_recipe("zero3");
  s.batch = {.sequence = 8192, .micro_batches = 8};
  double sum = 0;
  for (const RankMemory& rank : CapacityModel(m).ranks(s)) sum += rank.states * 32;
  // Norms are whole on each of the four tensor-parallel ranks.
  const double norms = 4096 * (2 * 32 + 1);
  CHECK(sum == Approx(16 * (static_cast<double>(parameter_count(m)) + 3 * norms)).epsilon(1e-12));
}

TEST_CASE("capacity: gradients that are made anew are not there in the first forward") {
  const Transformer m = with_layers("llama3-8b", 2);
  const CapacityModel level_a(m);
  Strategy s;
  s.recipe = find_recipe("bf16");
  s.kernels.loss = LossLowering::eager;
  s.batch = {.sequence = 8192};
  const auto count = static_cast<double>(parameter_count(m));
  CHECK(level_a.rank(s, 0).states == 6 * count);
  s.batch.micro_batches = 2;  // then the second one finds them
  CHECK(level_a.rank(s, 0).states == 8 * count);
  s.batch = {.sequence = 1};  // then the optimizer holds the most
  CHECK(level_a.rank(s, 0).total() == 8 * count);
  s.recipe.gradients_stay = true;
  s.batch.sequence = 8192;
  CHECK(level_a.rank(s, 0).states == 8 * count);
}

TEST_CASE("capacity: more of each parallelism never needs more") {
  const Transformer m = find_transformer("llama3-70b")->model;
  const CapacityModel level_a(m);
  Strategy s;
  s.recipe = find_recipe("fsdp2");
  s.batch = {.sequence = 8192, .micro_batches = 16};
  double last = level_a.peak(s).total();
  const auto smaller = [&] {
    const double now = level_a.peak(s).total();
    const bool falls = now < last;
    last = now;
    return falls;
  };
  s.layout.data = 8;
  CHECK(smaller());
  s.layout.tensor = 8;
  CHECK(smaller());
  s.layout.sequence_parallel = true;
  CHECK(smaller());
  s.recompute = {Recompute::alternate_products};
  CHECK(smaller());
  s.recompute = {Recompute::full};
  CHECK(smaller());
  s.layout.context = 2;
  CHECK(smaller());
}

TEST_CASE("capacity: a unit that is gathered stays when nothing reshards") {
  const Transformer m = find_transformer("llama3-8b")->model;
  const CapacityModel level_a(m);
  Strategy s;
  s.layout.data = 64;
  s.recipe = find_recipe("fsdp2");
  s.batch = {.sequence = 2048};
  const RankParameters p = level_a.parameters(s, 0);
  CHECK(level_a.gathered_bytes(s, p) == 2.0 * (2 * 128256 * 4096 + 4096));
  s.recipe.reshard_after_forward = false;
  CHECK(level_a.gathered_bytes(s, p) == 2.0 * static_cast<double>(parameter_count(m)));
}

TEST_CASE("capacity: QLoRA has layers in 4 bits, embedding and output layer in 16") {
  const Transformer& m = find_transformer("llama3-8b")->model;
  Strategy s;
  s.recipe = find_recipe("frozen-nf4");
  s.batch = {.sequence = 2048};
  const CapacityModel level_a(m);
  const RankParameters p = level_a.parameters(s, 0);
  const auto count = [](const Parameters& of) { return static_cast<double>(of.total()); };
  CHECK(level_a.rank(s, 0).states == Approx(4.127 / 8 * count(p.layers) +
                                            2 * (count(p.embedding) + count(p.head))));
}
