// config.json of HuggingFace; shapes against the parameter counts that the publishers name.
#include "../catch.h"
#include "description_file.h"
#include "sim/description.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;
using Lines = std::vector<std::string>;

namespace {

Description read(const std::string& name) {
  return read_huggingface(description_file(name), name);
}

}  // namespace

TEST_CASE("huggingface: published models have the parameters that their publishers count") {
  CHECK(parameter_count(read("llama.json").model->model) == 8'030'261'248);
  CHECK(parameter_count(read("gpt2.json").model->model) == 124'439'808);
  // 671 billion without the layer that predicts a second token.
  CHECK(static_cast<double>(parameter_count(read("deepseek.json").model->model)) ==
        Approx(671.03e9).epsilon(1e-4));
  // Pythia-160m (EleutherAI): 162,322,944.
  const std::string pythia = R"({"model_type": "gpt_neox", "num_hidden_layers": 12,
    "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072,
    "vocab_size": 50304, "max_position_embeddings": 2048})";
  CHECK(parameter_count(read_huggingface(pythia, "c").model->model) == 162'322'944);
}

TEST_CASE("huggingface: what is not read is listed, dropout is an assumption") {
  const Description llama = read("llama.json");
  CHECK(llama.ignored == Lines{"rope_theta", "rms_norm_eps"});
  CHECK(llama.assumptions.empty());
  CHECK_FALSE(llama.strategy);
  const Description gpt2 = read("gpt2.json");
  CHECK(gpt2.assumptions.size() == 3);
  CHECK(gpt2.ignored == Lines{"activation_function"});
  CHECK(gpt2.model->sequence == 1024);
}

TEST_CASE("huggingface: fields that change memory and have no place are errors, all at once") {
  const std::string text = replaced(description_file("deepseek.json"), "\"moe_layer_freq\": 1",
                                    "\"moe_layer_freq\": 2, \"mlp_only_layers\": [4]");
  CHECK_THROWS_WITH(
      read_huggingface(replaced(text, "\"hidden_size\": 7168", "\"hidden_size\": 0.5"), "c.json"),
      Catch::Contains("c.json: moe_layer_freq: expected 1") &&
          Catch::Contains("\nc.json: mlp_only_layers: expected an empty list") &&
          Catch::Contains("c.json: hidden_size: expected an integer, found 0.5"));
  CHECK_THROWS_WITH(read_huggingface(R"({"model_type": "mamba"})", "c.json"),
                    Catch::Contains("expected one of deepseek_v2") && Catch::Contains("'mamba'"));
}
