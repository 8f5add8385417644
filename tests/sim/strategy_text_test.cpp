// Layouts, recompute sets and config.json as people write them.
#include "sim/strategy_text.h"
#include "sim/description.h"

#include "../catch.h"
#include "sim/random.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

using Lines = std::vector<std::string>;

Layout layout(const std::string& text) {
  Lines problems;
  const Layout out = layout_from_text(text, problems);
  CHECK(problems.empty());
  return out;
}

Lines wrong(const std::string& text) {
  Lines problems;
  (void)layout_from_text(text, problems);
  return problems;
}

constexpr const char* k_llama = R"({"model_type": "llama", "num_hidden_layers": 32,
  "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
  "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 8192,
  "rope_theta": 500000.0, "tie_word_embeddings": false, "attention_bias": false})";

// The shape fields of Moonlight-16B-A3B and Qwen3-30B-A3B.
constexpr const char* k_moonlight = R"({"model_type": "deepseek_v3", "num_hidden_layers": 27,
  "hidden_size": 2048, "num_attention_heads": 16, "num_key_value_heads": 16,
  "intermediate_size": 11264, "moe_intermediate_size": 1408, "n_routed_experts": 64,
  "num_experts_per_tok": 6, "n_shared_experts": 2, "first_k_dense_replace": 1,
  "kv_lora_rank": 512, "q_lora_rank": null, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "v_head_dim": 128, "vocab_size": 163840, "max_position_embeddings": 8192})";
constexpr const char* k_qwen = R"({"model_type": "qwen3_moe", "num_hidden_layers": 48,
  "hidden_size": 2048, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
  "intermediate_size": 6144, "moe_intermediate_size": 768, "num_experts": 128,
  "num_experts_per_tok": 8, "vocab_size": 151936, "max_position_embeddings": 40960})";

Transformer named_as(Transformer model, const char* name) {
  model.name = name;
  return model;
}

}  // namespace

TEST_CASE("strategy text: sizes in any order, and back") {
  CHECK(layout("tp=8,pp=2,dp=4") == Layout{.tensor = 8, .pipeline = 2, .data = 4});
  CHECK(layout("sp,vp=3,etp=2,shard=8,ep=4,cp=2") == Layout{.virtual_stages = 3,
                                                            .context = 2,
                                                            .expert = 4,
                                                            .expert_tensor = 2,
                                                            .shard = 8,
                                                            .sequence_parallel = true});
  CHECK(layout("") == Layout{});
  CHECK(layout_text(Layout{}).empty());
  Random random(3);
  for (int round = 0; round < 100; ++round) {
    const auto size = [&random] { return static_cast<std::int64_t>(1 + random.below(9)); };
    const Layout drawn{.tensor = size(),
                       .pipeline = size(),
                       .virtual_stages = size(),
                       .data = size(),
                       .context = size(),
                       .expert = size(),
                       .expert_tensor = size(),
                       .shard = size() - 1,
                       .sequence_parallel = random.below(2) == 0};
    CHECK(layout(layout_text(drawn)) == drawn);
  }
}

TEST_CASE("strategy text: every word that is wrong has its line") {
  CHECK(wrong("tp=8,xp=2,dp=,tp=4,pp=two,sp=1") ==
        Lines{"--layout xp=2: expected tp, pp, vp, dp, cp, ep, etp, shard with a size, or sp",
              "--layout dp: expected a number, found ''", "--layout tp: expected once, found again",
              "--layout pp: expected a number, found 'two'",
              "--layout sp=1: expected tp, pp, vp, dp, cp, ep, etp, shard with a size, or sp"});
  CHECK(wrong("tp=99999999999999999999").size() == 1);
  CHECK(wrong(",").size() == 2);
}

TEST_CASE("strategy text: recompute sets by the names of their parts") {
  Lines problems;
  CHECK(recompute_from_text("norms+mlp", problems) ==
        RecomputeSet{Recompute::norms, Recompute::mlp});
  CHECK(recompute_from_text("none", problems).empty());
  CHECK(problems.empty());
  CHECK(recompute_from_text("full+half", problems) == RecomputeSet{Recompute::full});
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].starts_with("--recompute half: expected none or full+"));
}

TEST_CASE("strategy text: config.json gives the models that are known by name") {
  const auto read = [](const char* text) {
    return transformer_from_huggingface(text, "config.json").model;
  };
  CHECK(read(k_llama) == named_as(find_transformer("llama3-8b")->model, "llama"));
  CHECK(read(k_moonlight) == named_as(find_transformer("moonlight-16b")->model, "deepseek_v3"));
  CHECK(read(k_qwen) == named_as(find_transformer("qwen3-30b-a3b")->model, "qwen3_moe"));
  CHECK(transformer_from_huggingface(k_llama, "config.json").sequence == 8192);
}

TEST_CASE("strategy text: a config.json that cannot be read says all that it lacks") {
  const auto read = [](const std::string& text) {
    return transformer_from_huggingface(text, "c.json");
  };
  CHECK_THROWS_WITH(
      read(R"({"model_type": "llama", "hidden_size": "x", "vocab_size": 1.5})"),
      Catch::Contains("\nc.json: num_hidden_layers: expected an integer") &&
          Catch::Contains("\nc.json: hidden_size: expected an integer, found \"x\"") &&
          Catch::Contains("c.json: vocab_size: expected an integer, found 1.5"));
  CHECK_THROWS_WITH(read("{}"), Catch::Contains("model_type") && Catch::Contains("qwen3_moe"));
  CHECK_THROWS_AS(read("not json"), InputError);
  CHECK_THROWS_AS(read(R"(["llama"])"), InputError);
  CHECK_THROWS_AS(read(R"({"model_type": 7})"), InputError);
}

TEST_CASE("strategy text: no mutation of a config.json crashes what reads it") {
  Random random(17);
  for (int round = 0; round < 3000; ++round) {
    std::string text = round % 2 == 0 ? k_llama : k_moonlight;
    for (std::size_t change = 1 + random.below(4); change > 0; --change) {
      const std::size_t at = random.below(text.size());
      const auto byte =
          static_cast<char>(random.below(2) == 0 ? '0' + random.below(10) : random.below(256));
      switch (random.below(3)) {
        case 0:
          text[at] = byte;
          break;
        case 1:
          text.insert(at, 1 + random.below(12), byte);
          break;
        default:
          text.erase(at, 1 + random.below(5));
      }
    }
    try {
      const Transformer m = transformer_from_huggingface(text, "input").model;
      Strategy s;
      s.recipe = find_recipe("ddp");
      s.batch.sequence = 16;
      if (problems(m, s).empty()) CHECK(parameter_count(m) > 0);
    } catch (const InputError& e) {
      CHECK(std::string(e.what()).starts_with("input"));
    }
  }
}
