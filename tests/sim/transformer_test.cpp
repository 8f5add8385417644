// Parameter counts against the counts that the publishers give.
#include "sim/transformer.h"

#include <set>

#include "../catch.h"

using namespace tidemark;

namespace {

double billions(const char* name) {
  const NamedTransformer* named = find_transformer(name);
  REQUIRE(named != nullptr);
  return static_cast<double>(parameter_count(named->model)) / 1e9;
}

Transformer tiny() {
  return {.layers = 2,
          .hidden = 6,
          .heads = 3,
          .kv_heads = 1,
          .head_size = 2,
          .mlp = 10,
          .vocabulary = 7};
}

}  // namespace

TEST_CASE("published models have the published number of parameters") {
  // Exact counts: numel() of the published checkpoints, as their model pages state them.
  CHECK(parameter_count(find_transformer("llama3-8b")->model) == 8'030'261'248);
  CHECK(parameter_count(find_transformer("llama3-70b")->model) == 70'553'706'496);
  CHECK(parameter_count(find_transformer("llama3.2-3b")->model) == 3'212'749'824);
  CHECK(parameter_count(find_transformer("qwen3-8b")->model) == 8'190'735'360);
  CHECK(parameter_count(find_transformer("qwen3-30b-a3b")->model) == 30'532'122'624);
  // Rounded counts of the papers and model cards.
  CHECK(billions("llama3-405b") == Approx(405.9).epsilon(0.001));
  CHECK(billions("megatron-22b") == Approx(22).epsilon(0.005));
  CHECK(billions("gpt3-175b") == Approx(175).epsilon(0.005));
  CHECK(billions("turing-530b") == Approx(530).epsilon(0.005));
  CHECK(billions("megatron-1t") == Approx(1008).epsilon(0.001));
  CHECK(billions("gpt-oss-120b") == Approx(116.8).epsilon(0.001));
  CHECK(billions("moonlight-16b") == Approx(15.96).epsilon(0.001));
}

TEST_CASE("names of models are unique and each says where its shape is from") {
  std::set<std::string> names;
  for (const NamedTransformer& named : named_transformers()) {
    CHECK(names.insert(named.model.name).second);
    CHECK_FALSE(named.about.empty());
    CHECK(named.sequence > 0);
  }
  CHECK(find_transformer("llama") == nullptr);
}

TEST_CASE("each matrix and bias of a small layer is counted in its bucket") {
  Transformer m = tiny();
  // Q 6x6, K and V 6x2 each, back 6x6; MLP 6x10 twice; two RMS norms of 6.
  CHECK(layer_parameters(m, true) == Parameters{.tensor = 36 + 24 + 36 + 120, .replicated = 12});
  m.gated_mlp = true;
  CHECK(layer_parameters(m, true).tensor == 36 + 24 + 36 + 180);
  m.biases = true;  // split: 6 + 2 + 2 of Q, K, V and 10 + 10; whole: 6 + 6
  CHECK(layer_parameters(m, true) == Parameters{.tensor = 276 + 30, .replicated = 24});
  m.norm = Norm::layer_norm;
  CHECK(layer_parameters(m, true).replicated == 36);
  m.biases = false;
  m.qkv_biases = true;
  m.qk_norm = true;
  CHECK(layer_parameters(m, true) == Parameters{.tensor = 276 + 10, .replicated = 24 + 8});
}

TEST_CASE("experts and their router are counted apart from the shared expert") {
  Transformer m = tiny();
  m.experts = {.count = 4, .per_token = 2, .width = 5, .shared_width = 3, .dense_layers = 1};
  const Parameters routed = layer_parameters(m, false);
  CHECK(routed.expert == 4 * 2 * 6 * 5);
  CHECK(routed.tensor == 96 + 2 * 6 * 3);
  CHECK(routed.replicated == 12 + 4 * 6);
  CHECK(is_dense(m, 0));
  CHECK_FALSE(is_dense(m, 1));
  CHECK(parameter_count(m) == 2 * 42 + 6 + layer_parameters(m, true).total() + routed.total());
}

TEST_CASE("a tied output layer counts once, positions are whole on every rank") {
  Transformer m = tiny();
  const std::int64_t untied = parameter_count(m);
  m.tied_head = true;
  CHECK(untied - parameter_count(m) == 42);
  m.positions = 5;
  CHECK(embedding_parameters(m) == Parameters{.tensor = 42, .replicated = 30});
}
