// ds_config.json of DeepSpeed: recipe, batch and what is kept.
#include "../catch.h"
#include "description_file.h"
#include "sim/description.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

Description read(const std::string& from = "", const std::string& to = "", std::int64_t ranks = 0) {
  const std::string text = description_file("deepspeed.json");
  return read_deepspeed(from.empty() ? text : replaced(text, from, to), "ds.json",
                        {.ranks = ranks, .sequence = 4096});
}

}  // namespace

TEST_CASE("deepspeed: stage 3 with the optimizer on the host") {
  const Description d = read();
  const Strategy& s = *d.strategy;
  CHECK(s.layout == Layout{.data = 8});  // 64 / (2 x 4)
  CHECK(s.batch == Batch{.sequence = 4096, .micro_batch = 2, .micro_batches = 4});
  CHECK(s.recipe.moments.on_host);
  CHECK(s.recipe.master.on_host);
  CHECK(bytes_per_parameter(s.recipe, {.data = 8, .shard = 8}).total() == 2.0 / 8);
  CHECK_FALSE(d.model);
  CHECK(d.ignored == std::vector<std::string>{"flops_profiler"});
  CHECK(d.assumptions.size() == 3);
}

TEST_CASE("deepspeed: stages and types") {
  const auto bytes = [](const std::string& zero, const std::string& type) {
    const std::string text = R"({"train_micro_batch_size_per_gpu": 1, "zero_optimization":
      {"stage": )" + zero + "}, " +
                             type + "}";
    const Description d = read_deepspeed(text, "ds", {.ranks = 4});
    return bytes_per_parameter(d.strategy->recipe, shard_sizes(d.strategy->layout)).total();
  };
  const std::string bf16 = R"("bf16": {"enabled": true})";
  // ZeRO, arXiv 1910.02054, table 1: 16, 4 + 12/N; current DeepSpeed: 2 + gradients + 16/N.
  CHECK(bytes("0", bf16) == 16);
  CHECK(bytes("1", R"("fp16": {"enabled": true})") == 4 + 12.0 / 4);
  CHECK(bytes("0", R"("fp16": {"enabled": "auto"})") == 16);  // f32: 4 + 4 + 8
  CHECK(bytes("3", bf16) == 18.0 / 4);
}

TEST_CASE("deepspeed: automatic values are as good as none") {
  const Description d =
      read("\"train_batch_size\": 64, \"train_micro_batch_size_per_gpu\": 2",
           "\"train_batch_size\": \"auto\", \"train_micro_batch_size_per_gpu\": \"auto\"", 16);
  CHECK(d.strategy->layout.data == 16);
  CHECK(d.strategy->batch == Batch{.sequence = 4096, .micro_batch = 1, .micro_batches = 4});
}

TEST_CASE("deepspeed: a batch that does not multiply out, and what is not reckoned with") {
  CHECK_THROWS_WITH(read("\"train_batch_size\": 64", "\"train_batch_size\": 60"),
                    Catch::Contains("ds.json: train_batch_size: expected "
                                    "train_micro_batch_size_per_gpu x "
                                    "gradient_accumulation_steps x ranks = 2 x 4 x 7, found 60"));
  CHECK_THROWS_WITH(read("", "", 4), Catch::Contains("= 2 x 4 x 4, found 64"));
  CHECK_THROWS_WITH(read("\"stage\": 3",
                         "\"stage\": 4, \"zero_hpz_partition_size\": 8, "
                         "\"mics_shard_size\": 8"),
                    Catch::Contains("zero_optimization.stage: expected 0 to 3, found 4") &&
                        Catch::Contains("zero_hpz_partition_size: expected 1") &&
                        Catch::Contains("mics_shard_size: expected none"));
  CHECK_THROWS_WITH(read("\"AdamW\"", "\"Lion\""),
                    Catch::Contains("optimizer.type: expected Adam"));
}
