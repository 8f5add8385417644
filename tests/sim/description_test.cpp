// Which of the formats a file is in.
#include "sim/description.h"

#include "../catch.h"
#include "description_file.h"
#include "sim/capacity_walk.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("description: the format by content, and a peak from each that has all") {
  const auto read = [](const char* name, std::int64_t ranks = 0) {
    return read_description(description_file(name), name, {.ranks = ranks, .sequence = 2048});
  };
  CHECK(read("llama.json").format == DescriptionFormat::huggingface);
  CHECK(read("deepspeed.json").format == DescriptionFormat::deepspeed);
  for (const Description& d :
       {read("megatron.args"), read("megatron.yaml", 8), read("torchtitan.toml", 64)}) {
    REQUIRE(d.model);
    REQUIRE(d.strategy);
    require_valid(d.model->model, *d.strategy);
    CHECK(walk(d.model->model, *d.strategy).memory.total() > 1e9);
  }
  // A configuration of DeepSpeed goes with any model.
  Description d = read("deepspeed.json");
  CHECK(problems(find_transformer("llama3-8b")->model, *d.strategy).empty());
}

TEST_CASE("description: neither of them is refused") {
  CHECK_THROWS_WITH(read_description("{\"a\": 1}", "x.json", {}), Catch::Contains("model_type"));
  CHECK_THROWS_AS(read_description("", "x", {}), InputError);
}
