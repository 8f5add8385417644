#include "sim/llama_config.h"

#include <nlohmann/json.hpp>

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;
using nlohmann::json;

namespace {

LlamaConfig tiny() {
  return default_run("llama-tiny").model.llama;
}

void refused(const LlamaConfig& config, const std::string& part) {
  CHECK_THROWS_WITH(validate_llama(config, 1, 4), Catch::Contains(part));
}

}  // namespace

TEST_CASE("a Llama configuration survives its JSON form, and grouping is optional") {
  json j = json::object();
  add_llama(tiny(), j);
  CHECK(llama_from(j) == tiny());
  j.erase("kv_heads");
  CHECK(llama_from(j).kv_heads == tiny().heads);
  const RunConfig run = default_run("llama-tiny");
  CHECK(run_config_from_json(to_json(run)) == run);
}

TEST_CASE("the configuration of a transformers model is taken over") {
  const json j = json::parse(R"({"model_type": "llama", "hidden_size": 2048,
      "intermediate_size": 8192, "num_attention_heads": 32, "num_hidden_layers": 16,
      "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 2048,
      "rope_theta": 500000.0, "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_scaling": null,
      "tie_word_embeddings": false})");
  CHECK(llama_from_huggingface(j, false) == default_run("llama-1B").model.llama);
  json newer = j;
  newer.erase("rope_theta");
  newer["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}};
  CHECK(llama_from_huggingface(newer, false) == llama_from_huggingface(j, false));
}

TEST_CASE("experts survive the JSON form, and a model without them does not name them") {
  json j = json::object();
  const LlamaConfig moe = default_run("moe-tiny").model.llama;
  add_llama(moe, j);
  CHECK(llama_from(j) == moe);
  CHECK(j["capacity_factor"] == 1.25);
  json dense = json::object();
  add_llama(tiny(), dense);
  CHECK_FALSE(dense.contains("experts"));
}

TEST_CASE("an expert has room for its share, times the factor, and never for more than all") {
  LlamaConfig m = default_run("moe-tiny").model.llama;  // 2 of 8 experts
  CHECK(expert_capacity(m, 64) == 20);
  CHECK(expert_capacity(m, 65) == 21);
  m.capacity_factor = 100;
  CHECK(expert_capacity(m, 64) == 64);
  m.capacity_factor = 0.01;
  CHECK(expert_capacity(m, 64) == 1);
}

TEST_CASE("the configuration of a Mixtral of transformers is taken over") {
  const json j = json::parse(R"({"model_type": "mixtral", "hidden_size": 64,
      "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2,
      "num_local_experts": 4, "num_experts_per_tok": 1, "sliding_window": null})");
  const LlamaConfig m = llama_from_huggingface(j, true);
  CHECK(m == LlamaConfig{.layers = 2,
                         .heads = 4,
                         .kv_heads = 2,
                         .channels = 64,
                         .hidden = 14336,
                         .vocabulary = 32000,
                         .positions = 131072,
                         .rotary_base = 1e6,
                         .epsilon = 1e-5,
                         .experts = 4,
                         .experts_per_token = 1});
  for (const char* change : {R"({"sliding_window": 4096})", R"({"router_jitter_noise": 0.1})",
                             R"({"output_router_logits": 1})", R"({"num_local_experts": 0})"}) {
    CAPTURE(change);
    CHECK_THROWS_AS(llama_from_huggingface(json::parse(change), true), InputError);
  }
}

TEST_CASE(
    "transformers' loss of the router is taken over where it is added, at the same strength") {
  json j = json::parse(R"({"model_type": "mixtral", "num_hidden_layers": 4,
      "num_experts_per_tok": 2, "router_aux_loss_coef": 0.02})");
  CHECK(llama_from_huggingface(j, true).balance_loss == 0);
  j["output_router_logits"] = true;
  // Theirs is, of equal layers, 0.02 x the sum over 2 choices; ours is summed over 4 layers.
  CHECK(llama_from_huggingface(j, true).balance_loss == Approx(0.02 * 2 / 4));
  j.erase("router_aux_loss_coef");
  CHECK(llama_from_huggingface(j, true).balance_loss == Approx(0.001 * 2 / 4));
}

TEST_CASE("a load-balancing loss survives the JSON form, and is named only where there is one") {
  LlamaConfig moe = default_run("moe-tiny").model.llama;
  json j = json::object();
  add_llama(moe, j);
  CHECK_FALSE(j.contains("balance_loss"));
  moe.balance_loss = 0.01;
  add_llama(moe, j);
  CHECK(llama_from(j) == moe);
  moe.balance_loss = -1;
  refused(moe, "balance_loss");
}

TEST_CASE("what we cannot compute is refused by name") {
  for (const char* change : {R"({"hidden_act": "gelu"})", R"({"tie_word_embeddings": true})",
                             R"({"attention_bias": true})", R"({"rope_scaling": {"factor": 8}})",
                             R"({"rope_parameters": {"rope_type": "llama3"}})"}) {
    CAPTURE(change);
    CHECK_THROWS_AS(llama_from_huggingface(json::parse(change), false), InputError);
  }
}

TEST_CASE("sizes that do not divide, or overflow, are refused by name") {
  LlamaConfig m = tiny();
  m.kv_heads = 3;
  refused(m, "kv_heads");
  m = tiny();
  m.heads = 5;
  refused(m, "heads");
  m = tiny();
  m.hidden = 0;
  refused(m, "hidden");
  m = tiny();
  m.experts = 1;
  refused(m, "experts_per_token: expected a number from 1 to 1, found 2");
  m.experts = 5000;
  refused(m, "experts");
  m.experts = 4;
  m.capacity_factor = 0;
  refused(m, "capacity_factor");
  m = tiny();
  m.rotary_base = 0;
  refused(m, "rotary_base");
  m = tiny();
  m.vocabulary = std::int64_t{1} << 24;
  m.channels = 1 << 24;
  refused(m, "a tensor of at most");
}
