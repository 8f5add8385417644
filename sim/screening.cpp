#include "sim/screening.h"

#include <algorithm>
#include <string>

#include "traces/error.h"

namespace tidemark {
namespace {

std::vector<std::int64_t> divisors(std::int64_t n) {
  std::vector<std::int64_t> out;
  for (std::int64_t d = 1; d <= n; ++d) {
    if (n % d == 0) out.push_back(d);
  }
  return out;
}

void require_positive(const char* place, std::int64_t value) {
  if (value > 0) return;
  throw InputError(InputError::Parts{
      .place = place, .expected = "a positive number", .found = std::to_string(value)});
}

class Enumeration {
 public:
  Enumeration(const Transformer& model, const SearchSpace& space,
              const std::function<void(Strategy&)>& visit)
      : model_(model), space_(space), visit_(visit) {}

  void run() {
    Strategy s;
    s.kernels = space_.kernels;
    s.batch.sequence = space_.sequence;
    for (const std::int64_t tensor : divisors(space_.ranks)) {
      if (tensor > space_.most_tensor) break;
      for (const std::int64_t pipeline : divisors(space_.ranks / tensor)) {
        const std::int64_t rest = space_.ranks / tensor / pipeline;
        for (const std::int64_t context : divisors(rest)) {
          if (context > space_.most_context) break;
          s.layout = {
              .tensor = tensor, .pipeline = pipeline, .data = rest / context, .context = context};
          batches(s);
        }
      }
    }
  }

 private:
  void batches(Strategy& s) {
    if (space_.global_batch % s.layout.data != 0) return;
    const std::int64_t per_replica = space_.global_batch / s.layout.data;
    for (const std::int64_t micro_batch : divisors(per_replica)) {
      s.batch.micro_batch = micro_batch;
      s.batch.micro_batches = per_replica / micro_batch;
      experts(s);
    }
  }

  void experts(Strategy& s) {
    const std::int64_t most = s.layout.tensor * s.layout.data * s.layout.context;
    for (const std::int64_t expert : divisors(model_.experts.count > 0 ? most : 1)) {
      s.layout.expert = expert;
      schedules(s);
    }
    s.layout.expert = 1;
  }

  void schedules(Strategy& s) {
    s.layout.virtual_stages = 1;
    s.schedule = PipelineSchedule::one_f_one_b;
    sequence_parallel(s);
    if (s.layout.pipeline == 1) return;
    for (const auto plain : {PipelineSchedule::gpipe, PipelineSchedule::zero_bubble}) {
      s.schedule = plain;
      sequence_parallel(s);
    }
    s.schedule = PipelineSchedule::interleaved;
    for (std::int64_t v = 2; v <= space_.most_virtual_stages; ++v) {
      s.layout.virtual_stages = v;
      sequence_parallel(s);
    }
  }

  void sequence_parallel(Strategy& s) {
    for (const bool on : {false, true}) {
      s.layout.sequence_parallel = on;
      s.recipe.prefetch = 0;
      if (problems(model_, s).empty()) visit_(s);
    }
  }

  const Transformer& model_;
  const SearchSpace& space_;
  const std::function<void(Strategy&)>& visit_;
};

}  // namespace

void for_each_shape(const Transformer& model, const SearchSpace& space,
                    const std::function<void(Strategy&)>& visit) {
  require_positive("ranks", space.ranks);
  require_positive("global batch", space.global_batch);
  require_positive("sequence", space.sequence);
  Enumeration(model, space, visit).run();
}

std::int64_t for_each_strategy(const Transformer& model, const SearchSpace& space,
                               const std::function<void(const Strategy&)>& visit) {
  std::int64_t count = 0;
  for_each_shape(model, space, [&](Strategy& s) {
    for (const StateRecipe& recipe : space.recipes) {
      s.recipe = recipe;
      for (const RecomputeSet recompute : space.recomputes) {
        s.recompute = recompute;
        visit(s);
        ++count;
      }
    }
  });
  return count;
}

}  // namespace tidemark
