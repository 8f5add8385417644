// The enumeration against a count of all products that passes every combination to the validator.
#include "sim/screening.h"

#include <set>
#include <tuple>

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                       std::int64_t, std::int64_t, bool, PipelineSchedule, std::string, bool>;

Key key(const Strategy& s) {
  const Layout& l = s.layout;
  return {l.tensor,   l.pipeline,    l.virtual_stages,    l.data,
          l.context,  l.expert,      s.batch.micro_batch, l.sequence_parallel,
          s.schedule, s.recipe.name, s.recompute.empty()};
}

std::set<Key> brute_force(const Transformer& model, const SearchSpace& space) {
  std::set<Key> keys;
  const auto most = [](std::int64_t n) { return n; };
  Strategy s;
  s.batch.sequence = space.sequence;
  const auto try_all = [&](std::int64_t micro_batch) {
    for (const PipelineSchedule schedule :
         {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b, PipelineSchedule::interleaved,
          PipelineSchedule::zero_bubble}) {
      for (const bool sequence_parallel : {false, true}) {
        for (const StateRecipe& recipe : space.recipes) {
          for (const RecomputeSet recompute : space.recomputes) {
            s.schedule = schedule;
            s.layout.sequence_parallel = sequence_parallel;
            s.recipe = recipe;
            s.recompute = recompute;
            s.batch.micro_batch = micro_batch;
            s.batch.micro_batches = space.global_batch / s.layout.data / micro_batch;
            // All are the same on one rank.
            const bool plain = schedule == PipelineSchedule::one_f_one_b;
            if (!plain && s.layout.pipeline == 1) continue;
            if (problems(model, s).empty()) keys.insert(key(s));
          }
        }
      }
    }
  };
  for (s.layout.tensor = 1; s.layout.tensor <= space.most_tensor; ++s.layout.tensor) {
    for (s.layout.pipeline = 1; s.layout.pipeline <= most(space.ranks); ++s.layout.pipeline) {
      for (s.layout.context = 1; s.layout.context <= space.most_context; ++s.layout.context) {
        for (s.layout.data = 1; s.layout.data <= most(space.ranks); ++s.layout.data) {
          if (s.layout.ranks() != space.ranks || space.global_batch % s.layout.data != 0) continue;
          const std::int64_t experts = model.experts.count > 0 ? space.ranks : 1;
          for (s.layout.expert = 1; s.layout.expert <= experts; ++s.layout.expert) {
            for (s.layout.virtual_stages = 1; s.layout.virtual_stages <= space.most_virtual_stages;
                 ++s.layout.virtual_stages) {
              for (std::int64_t b = 1; b <= space.global_batch; ++b) {
                if (space.global_batch / s.layout.data % b == 0 &&
                    b <= space.global_batch / s.layout.data) {
                  try_all(b);
                }
              }
            }
          }
        }
      }
    }
  }
  return keys;
}

}  // namespace

TEST_CASE("screening: every valid strategy once, as many as a brute force finds") {
  for (const char* name : {"gpt3-175b", "qwen3-30b-a3b"}) {
    const Transformer& model = find_transformer(name)->model;
    const SearchSpace space{.ranks = 8,
                            .global_batch = 12,
                            .sequence = 2048,
                            .recipes = {find_recipe("zero1"), find_recipe("zero3")},
                            .recomputes = {RecomputeSet{}, RecomputeSet{Recompute::full}},
                            .most_tensor = 4,
                            .most_context = 2,
                            .most_virtual_stages = 3};
    std::set<Key> keys;
    const std::int64_t count = for_each_strategy(model, space, [&](const Strategy& s) {
      CHECK(keys.insert(key(s)).second);
      CHECK(s.layout.ranks() == 8);
      CHECK(s.batch.micro_batch * s.batch.micro_batches * s.layout.data == 12);
    });
    CHECK(count == static_cast<std::int64_t>(keys.size()));
    const bool same = keys == brute_force(model, space);
    CHECK(same);
    CHECK(count > 100);
  }
}

TEST_CASE("screening: a space without ranks or batch is refused") {
  const Transformer& model = find_transformer("gpt3-175b")->model;
  const auto none = [](const Strategy&) {};
  CHECK_THROWS_WITH(for_each_strategy(model, {.ranks = 0}, none), Catch::Contains("ranks"));
  CHECK_THROWS_AS(for_each_strategy(model, {.ranks = 8, .global_batch = -1}, none), InputError);
}
