// Arguments of Megatron-LM: a shell script and YAML, as model, layout, recipe and batch.
#include "../catch.h"
#include "description_file.h"
#include "sim/description.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;
using Lines = std::vector<std::string>;

namespace {

Description script(const std::string& from = "", const std::string& to = "") {
  const std::string text = description_file("megatron.args");
  return read_megatron(from.empty() ? text : replaced(text, from, to), "run.sh", {});
}

Description yaml(const std::string& from = "", const std::string& to = "",
                 std::int64_t ranks = 16) {
  const std::string text = description_file("megatron.yaml");
  return read_megatron(from.empty() ? text : replaced(text, from, to), "run.yaml",
                       {.ranks = ranks});
}

}  // namespace

TEST_CASE("megatron: the script of GPT-3 is the model that is known by name") {
  const Description d = script();
  Transformer expected = find_transformer("gpt3-175b")->model;
  expected.name = "megatron";
  CHECK(d.model->model == expected);
  const Strategy& s = *d.strategy;
  CHECK(s.layout ==
        Layout{
            .tensor = 8, .pipeline = 8, .virtual_stages = 3, .data = 1, .sequence_parallel = true});
  CHECK(s.schedule == PipelineSchedule::interleaved);
  CHECK(s.batch == Batch{.sequence = 2048, .micro_batch = 1, .micro_batches = 64});
  CHECK(s.recompute == RecomputeSet{Recompute::attention_core});
  CHECK(s.kernels.dropout);
  CHECK(s.kernels.attention == AttentionLowering::composite);
  CHECK(s.recipe.gradient.type == StateType::f32);
  CHECK(bytes_per_parameter(s.recipe, {}).total() == 18);
  CHECK(problems(d.model->model, s).empty());
  CHECK(d.ignored == Lines{"--log-throughput"});
}

TEST_CASE("megatron: YAML, grouped queries, a gate, and the rest of the ranks as data") {
  const Description d = yaml();
  Transformer expected = find_transformer("qwen3-8b")->model;
  expected.name = "megatron";
  expected.vocabulary = 152'064;  // a multiple of 128 x 2
  CHECK(d.model->model == expected);
  const Strategy& s = *d.strategy;
  CHECK(s.layout == Layout{.tensor = 2, .data = 8, .sequence_parallel = true});
  CHECK(s.batch.micro_batches == 4);
  CHECK(s.recompute == RecomputeSet{Recompute::attention_core, Recompute::norms});
  CHECK_FALSE(s.kernels.dropout);
  // Megatron-LM docs, distributed optimizer: 6 + 12 / N.
  CHECK(bytes_per_parameter(s.recipe, {.data = 8, .shard = 8}).total() == 7.5);
}

TEST_CASE("megatron: recipes by their flags") {
  const auto bytes = [](const Description& d) {
    return bytes_per_parameter(d.strategy->recipe, shard_sizes(d.strategy->layout)).total();
  };
  CHECK(bytes(yaml("--overlap-grad-reduce: true", "--grad-reduce-in-bf16: true")) == 5.5);
  CHECK(bytes(yaml("--bf16: true", "--fp16: true")) == 5.5);
  CHECK(bytes(yaml("--bf16: true", "--lr: 1")) == 8 + 8.0 / 8);  // no master copy beside f32
  CHECK(bytes(yaml("--use-distributed-optimizer: true",
                   "--use-megatron-fsdp: true\n  --data-parallel-sharding-strategy: "
                   "optim_grads_params")) == 18.0 / 8);
  CHECK(bytes(yaml("--overlap-grad-reduce: true",
                   "--use-precision-aware-optimizer: true\n  --exp-avg-dtype: bf16\n  "
                   "--exp-avg-sq-dtype: bf16\n  --main-grads-dtype: bf16")) == 4 + 8.0 / 8);
  const Description hybrid =
      yaml("--overlap-grad-reduce: true", "--num-distributed-optimizer-instances: 2");
  CHECK(hybrid.strategy->layout.shard == 4);
  CHECK(bytes(hybrid) == 6 + 12.0 / 4);
}

TEST_CASE("megatron: stages of different sizes, experts after dense layers") {
  const Description d = yaml("--sequence-parallel: true",
                             "--pipeline-model-parallel-size: 4\n  "
                             "--decoder-first-pipeline-num-layers: 8\n  "
                             "--decoder-last-pipeline-num-layers: 4\n  --num-experts: 64\n  "
                             "--moe-ffn-hidden-size: 1536\n  --moe-layer-freq: ([0]*1+[1]*35)");
  CHECK(d.strategy->stage_layers == std::vector<std::int64_t>{8, 12, 12, 4});
  CHECK(d.model->model.experts.dense_layers == 1);
  CHECK(d.model->model.experts.per_token == 2);
  CHECK(d.strategy->layout.expert_tensor == 2);
}

TEST_CASE("megatron: all contradictions at once, each with option and line") {
  CHECK_THROWS_WITH(
      script("--bf16 --transformer-impl local",
             "--bf16 --fp16 --mtp-num-layers 1 --seq-length 4096 --global-batch-size 65 "
             "--nnodes 4 --optimizer sgd --micro-batch-size x"),
      Catch::Contains(
          "run.sh: line 20: --seq-length: expected once, found '4096' here and '2048'") &&
          Catch::Contains("--global-batch-size: expected once") &&
          Catch::Contains("--nnodes: expected once") &&
          Catch::Contains("run.sh: line 20: --fp16: expected one of --bf16 and --fp16") &&
          Catch::Contains("--mtp-num-layers: expected none") &&
          Catch::Contains("--optimizer: expected adam, found 'sgd'"));
  CHECK_THROWS_WITH(yaml("--global-batch-size: 32", "--global-batch-size: 12"),
                    Catch::Contains("run.yaml: line 19: --global-batch-size: expected a multiple "
                                    "of micro-batch-size x data parallel = 8, found '12'"));
  CHECK_THROWS_WITH(yaml("", "", 7), Catch::Contains("to divide 7 ranks"));
  CHECK_THROWS_WITH(yaml("--vocab-size: 151936", "--tokenizer-model: x"),
                    Catch::Contains("--vocab-size: expected the size that the tokenizer has"));
  CHECK_THROWS_WITH(read_megatron("echo hello", "x.sh", {}), Catch::Contains("--num-layers"));
}

TEST_CASE("megatron: without ranks there is one replica, and it says so") {
  const Description d = yaml("", "", 0);
  CHECK(d.strategy->layout.data == 1);
  CHECK(d.assumptions == Lines{"run.yaml: one model replica, as ranks are not known"});
}
