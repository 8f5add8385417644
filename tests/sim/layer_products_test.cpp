// Products of a layer against the published counts of floating point operations.
#include "sim/layer_products.h"

#include "../catch.h"

using namespace tidemark;

namespace {

double sum_flops(const LayerProducts& products) {
  double sum = 0;
  for (const LayerProduct& p : products) sum += p.forward.flops();
  return sum;
}

Strategy one_rank(std::int64_t sequence) {
  Strategy s;
  s.kernels.attention = AttentionLowering::composite;
  s.batch.sequence = sequence;
  return s;
}

}  // namespace

TEST_CASE("layer products: a GPT step has the flops of Korthikanti, appendix A") {
  for (const char* name : {"megatron-22b", "gpt3-175b", "megatron-1t"}) {
    const Transformer& m = find_transformer(name)->model;
    Strategy s = one_rank(2048);
    s.batch.micro_batch = 3;
    s.batch.micro_batches = 5;
    s.layout.data = 2;
    const auto real = [](std::int64_t n) { return static_cast<double>(n); };
    const double h = real(m.hidden);
    const double l = real(m.layers);
    const double v = real(m.vocabulary);
    const double expected = 72 * 30 * l * 2048 * h * h * (1 + 2048 / (6 * h) + v / (12 * h * l));
    CHECK(model_flops(m, s) == Approx(expected).epsilon(1e-9));
  }
}

TEST_CASE("layer products: what ranks share adds up to the whole layer") {
  for (const char* name : {"gpt3-175b", "llama3-70b", "qwen3-30b-a3b", "moonlight-16b"}) {
    const Transformer& m = find_transformer(name)->model;
    for (const bool dense : {true, false}) {
      if (dense ? !is_dense(m, 0) : m.experts.count == 0) continue;
      const Strategy whole = one_rank(4096);
      Strategy split = whole;
      split.layout = {.tensor = 4, .context = 2, .sequence_parallel = true};
      if (m.experts.count > 0) split.layout.expert = 8;
      CHECK(8 * sum_flops(layer_products(m, dense, split)) ==
            Approx(sum_flops(layer_products(m, dense, whole))).epsilon(1e-9));
    }
  }
}

TEST_CASE("layer products: full recomputation makes all of them again, selective only the core") {
  const Transformer& m = find_transformer("gpt3-175b")->model;
  for (const LayerProduct& p : layer_products(m, true, one_rank(2048))) {
    CHECK(p.again_with.has(Recompute::full));
    CHECK(p.again_with.has(Recompute::attention_core) == p.is_core);
  }
}

TEST_CASE("layer products: flash attention skips the masked half and makes scores again") {
  const Transformer& m = find_transformer("llama3-8b")->model;
  Strategy s = one_rank(8192);
  const LayerProducts composite = layer_products(m, true, s);
  s.kernels.attention = AttentionLowering::flash;
  const LayerProducts flash = layer_products(m, true, s);
  const auto core = [](const LayerProducts& products, bool backward) {
    double sum = 0;
    for (const LayerProduct& p : products) {
      if (p.is_core) sum += p.forward.flops() * (backward ? p.backward_count : 1);
    }
    return sum;
  };
  CHECK(core(flash, false) == Approx(core(composite, false) / 2));
  CHECK(core(flash, true) == Approx(2.5 * core(flash, false)));  // Dao 2023, section 3.1
}
