// What is refused: all of it at once, a line for each field.
#include "sim/strategy.h"

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

using Lines = std::vector<std::string>;

Transformer llama() {
  return find_transformer("llama3-8b")->model;
}

Strategy plain() {
  Strategy s;
  s.recipe = find_recipe("zero1");
  s.batch = {.sequence = 8192, .micro_batch = 1, .micro_batches = 8};
  return s;
}

}  // namespace

TEST_CASE("strategy: a valid one has no problems") {
  Strategy s = plain();
  CHECK(problems(llama(), s).empty());
  s.layout = {.tensor = 8, .pipeline = 4, .data = 2, .context = 2, .sequence_parallel = true};
  CHECK(problems(llama(), s).empty());
  CHECK_NOTHROW(require_valid(llama(), s));
  CHECK(s.layout.ranks() == 128);
}

TEST_CASE("strategy: everything that is wrong is said at once, each line with its field") {
  Strategy s = plain();
  s.layout = {.tensor = 3,
              .pipeline = 5,
              .virtual_stages = 2,
              .context = 3,
              .expert = 2,
              .shard = 2,
              .sequence_parallel = true};
  CHECK(
      problems(llama(), s) ==
      Lines{"layout data x context: expected a multiple of layout.shard = 2, found 3",
            "model.layers: expected a multiple of layout pipeline x virtual_stages = 10, found 32",
            "layout.virtual_stages: expected 1 unless the schedule is interleaved",
            "model.heads: expected a multiple of layout.tensor = 3, found 32",
            "model.kv_heads: expected a multiple of layout.tensor = 3, found 8",
            "model.mlp: expected a multiple of layout.tensor = 3, found 14336",
            "batch.sequence: expected a multiple of layout.context = 3, found 8192",
            "batch.sequence: expected a multiple of layout context x tensor = 9, found 8192",
            "layout.expert: expected 1, as the model has no experts"});
  CHECK_THROWS_WITH(require_valid(llama(), s),
                    Catch::Contains("model.heads") && Catch::Contains("\nlayout.expert"));
}

TEST_CASE("strategy: sizes that cannot be are named before they are divided by") {
  Strategy s = plain();
  s.layout = {.tensor = 0, .pipeline = -1, .data = 0};
  s.batch = {};
  CHECK(problems(llama(), s) == Lines{"layout.tensor: expected 1 to 16777216, found 0",
                                      "layout.pipeline: expected 1 to 10000, found -1",
                                      "layout.data: expected 1 to 16777216, found 0",
                                      "batch.sequence: expected 1 to 16777216, found 0"});
  s = plain();
  s.layout.data = s.layout.tensor = std::int64_t{1} << 24;
  CHECK(problems(llama(), s) == Lines{"layout: expected at most 16777216 ranks, found more"});
}

TEST_CASE("strategy: a model that cannot be is named field by field") {
  const Lines lines = problems(Transformer{.heads = 3, .kv_heads = 2}, plain());
  CHECK(lines.size() == 6);
  CHECK(lines[0] == "model.layers: expected 1 to 10000, found 0");
  CHECK(lines[2] == "model.heads: expected a multiple of model.kv_heads = 2, found 3");
}

TEST_CASE("strategy: a model of more parameters than anybody counts is refused") {
  Transformer m = llama();
  m.mlp = m.hidden = m.vocabulary = std::int64_t{1} << 24;
  CHECK(problems(m, plain()) == Lines{"model: expected at most 1e15 parameters, found more"});
}

TEST_CASE("strategy: explicit stages must be as many as there are, and hold all layers") {
  Strategy s = plain();
  s.layout.pipeline = 3;
  s.stage_layers = {10, 12, 10};
  CHECK(problems(llama(), s).empty());
  CHECK(layers_of_stage(llama(), s, 1) == 12);
  s.stage_layers = {10, 12};
  CHECK(problems(llama(), s) ==
        Lines{"stage_layers: expected 3 numbers (pipeline x virtual_stages), found 2",
              "stage_layers: expected a sum of model.layers = 32, found 22"});
  s.stage_layers = {40, -8, 0};
  CHECK(problems(llama(), s) == Lines{"stage_layers: expected 0 to 10000, found -8"});
}

TEST_CASE("strategy: interleaving needs chunks and whole groups of micro-batches") {
  Strategy s = plain();
  s.schedule = PipelineSchedule::interleaved;
  s.layout.pipeline = 4;
  s.batch.micro_batches = 6;
  CHECK(problems(llama(), s) ==
        Lines{"schedule: interleaved expects layout.virtual_stages above 1",
              "batch.micro_batches: expected a multiple of layout.pipeline = 4, found 6"});
  s.layout = {.virtual_stages = 2};
  CHECK(problems(llama(), s) == Lines{"schedule: interleaved expects layout.pipeline above 1"});
}

TEST_CASE("strategy: experts spread over tensor x data x context ranks") {
  const Transformer m = find_transformer("qwen3-30b-a3b")->model;
  Strategy s = plain();
  s.layout = {.tensor = 2, .data = 8, .expert = 8};
  CHECK(problems(m, s).empty());
  CHECK(expert_shard_sizes(s.layout) == ShardSizes{.data = 2, .shard = 2});
  s.layout.expert_tensor = 2;
  CHECK(expert_shard_sizes(s.layout) == ShardSizes{.data = 1, .shard = 1});
  s.layout.expert = 6;
  CHECK(problems(m, s) ==
        Lines{"model.experts.count: expected a multiple of layout.expert = 6, found 128",
              "layout tensor x data x context: expected a multiple of layout expert x "
              "expert_tensor = 12, found 16"});
}

TEST_CASE("strategy: learned positions bound the sequence") {
  const Transformer m = find_transformer("gpt3-175b")->model;
  CHECK(problems(m, plain()) ==
        Lines{"batch.sequence: expected at most model.positions = 2048, found 8192"});
}
