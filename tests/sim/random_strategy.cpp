#include "random_strategy.h"

namespace tidemark::test {

Strategy random_strategy(Random& random, const Transformer& model) {
  while (true) {
    Strategy s;
    const auto power = [&random](std::size_t most) {
      return std::int64_t{1} << random.below(most + 1);
    };
    s.layout = {.tensor = power(3), .pipeline = power(3), .data = power(3), .context = power(1)};
    s.layout.sequence_parallel = s.layout.tensor > 1 && random.below(2) == 0;
    if (model.experts.count > 0) s.layout.expert = power(3);
    if (random.below(3) == 0) s.layout.shard = power(2);
    s.schedule = static_cast<PipelineSchedule>(random.below(4));
    if (s.schedule == PipelineSchedule::interleaved) s.layout.virtual_stages = 1 + power(1);
    const std::vector<StateRecipe>& recipes = named_recipes();
    s.recipe = recipes[random.below(recipes.size())];
    s.recipe.prefetch = static_cast<std::int64_t>(random.below(4));
    for (std::size_t i = 0; i < EnumNames<Recompute>::k_names.size(); ++i) {
      if (random.below(4) == 0) s.recompute.add(static_cast<Recompute>(i));
    }
    s.kept_on_host = random.below(4) == 0;
    s.kernels = {.attention = static_cast<AttentionLowering>(random.below(2)),
                 .fused_gate = random.below(2) == 0,
                 .dropout = random.below(2) == 0,
                 .f8_products = random.below(4) == 0,
                 .loss = static_cast<LossLowering>(random.below(5))};
    s.batch = {.sequence = 1024,
               .micro_batch = power(2),
               .micro_batches = s.schedule == PipelineSchedule::interleaved
                                    ? s.layout.pipeline * power(2)
                                    : 1 + power(4)};
    const auto stages = static_cast<std::size_t>(s.layout.pipeline * s.layout.virtual_stages);
    if (random.below(2) == 0) {
      s.stage_layers.assign(stages, 0);
      for (std::int64_t i = 0; i < model.layers; ++i) ++s.stage_layers[random.below(stages)];
    }
    if (problems(model, s).empty()) return s;
  }
}

Transformer with_layers(const char* name, std::int64_t layers) {
  Transformer m = find_transformer(name)->model;
  m.layers = layers;
  return m;
}

}  // namespace tidemark::test
