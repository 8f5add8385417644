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
  CHECK(llama_from_huggingface(j) == default_run("llama-1B").model.llama);
  json newer = j;
  newer.erase("rope_theta");
  newer["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}};
  CHECK(llama_from_huggingface(newer) == llama_from_huggingface(j));
}

TEST_CASE("what we cannot compute is refused by name") {
  for (const char* change : {R"({"hidden_act": "gelu"})", R"({"tie_word_embeddings": true})",
                             R"({"attention_bias": true})", R"({"rope_scaling": {"factor": 8}})",
                             R"({"rope_parameters": {"rope_type": "llama3"}})"}) {
    CAPTURE(change);
    CHECK_THROWS_AS(llama_from_huggingface(json::parse(change)), InputError);
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
  m.rotary_base = 0;
  refused(m, "rotary_base");
  m = tiny();
  m.vocabulary = std::int64_t{1} << 24;
  m.channels = 1 << 24;
  refused(m, "a tensor of at most");
}
