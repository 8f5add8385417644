// TOML of torchtitan: flavor, degrees, batch, checkpoints.
#include "../catch.h"
#include "description_file.h"
#include "sim/description.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

Description read(const std::string& from = "", const std::string& to = "",
                 std::int64_t ranks = 256) {
  const std::string text = description_file("torchtitan.toml");
  return read_torchtitan(from.empty() ? text : replaced(text, from, to), "t.toml",
                         {.ranks = ranks});
}

}  // namespace

TEST_CASE("torchtitan: the 70B configuration on 256 ranks") {
  const Description d = read();
  CHECK(d.model->model == find_transformer("llama3-70b")->model);
  const Strategy& s = *d.strategy;
  CHECK(s.layout == Layout{.tensor = 8, .data = 32, .sequence_parallel = true});
  CHECK(s.recipe == find_recipe("fsdp2"));
  CHECK(s.recompute == RecomputeSet{Recompute::full});
  CHECK(s.batch == Batch{.sequence = 8192, .micro_batch = 8, .micro_batches = 1});
  CHECK(s.kernels.fused_gate);
  CHECK(s.kernels.loss == LossLowering::fused);
  CHECK(problems(d.model->model, s).empty());
  CHECK(d.ignored == std::vector<std::string>{"optimizer.lr", "training.max_norm"});
}

TEST_CASE("torchtitan: pipelines keep what they gather, stages as even as it goes") {
  const Description d = read("pipeline_parallel_degree = 1",
                             "pipeline_parallel_degree = 3\npipeline_parallel_schedule = "
                             "\"Interleaved1F1B\"",
                             48);
  const Strategy& s = *d.strategy;
  CHECK(s.layout.pipeline == 3);
  CHECK(s.layout.virtual_stages == 2);
  CHECK(s.stage_layers == std::vector<std::int64_t>{13, 14, 14, 13, 13, 13});
  CHECK_FALSE(s.recipe.reshard_after_forward);
  CHECK(s.batch == Batch{.sequence = 8192, .micro_batch = 1, .micro_batches = 8});
}

TEST_CASE("torchtitan: hybrid shards, and ranks that nobody names") {
  const Description d =
      read("data_parallel_replicate_degree = 1", "data_parallel_replicate_degree = 4");
  CHECK(d.strategy->layout.data == 32);
  CHECK(d.strategy->layout.shard == 8);
  const Description unknown = read("", "", 0);
  CHECK(unknown.strategy->layout.data == 8);
  CHECK(unknown.assumptions.size() == 1);
}

TEST_CASE("torchtitan: all that is wrong, each with line and field") {
  CHECK_THROWS_WITH(read("flavor = \"70B\"", "flavor = \"71B\""),
                    Catch::Contains("t.toml: line 6: model.flavor: expected name and flavor of"));
  CHECK_THROWS_WITH(
      read("mode = \"full\"", "mode = \"selective\"\nselective_ac_option = \"2\"", 100),
      Catch::Contains("line 19: parallelism.data_parallel_shard_degree: expected degrees whose "
                      "product 8 divides 100 ranks, found -1") &&
          Catch::Contains("activation_checkpoint.selective_ac_option: expected op or 1"));
  CHECK_THROWS_WITH(read("local_batch_size = 8", "global_batch_size = 100"),
                    Catch::Contains("global_batch_size: expected a multiple of"));
  CHECK_THROWS_WITH(read("data_parallel_shard_degree = -1", "data_parallel_shard_degree = 16"),
                    Catch::Contains("degrees whose product is 256 ranks, found 16"));
}
