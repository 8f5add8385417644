#include "sim/strategy.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_most = std::int64_t{1} << 24;  // of one shape or group
constexpr std::int64_t k_most_layers = 10'000;
constexpr std::int64_t k_most_tokens = std::int64_t{1} << 31;  // in flight on one rank
constexpr std::int64_t k_most_micro_batches = 1 << 16;         // level B walks all of them
constexpr std::int64_t k_most_ranks = std::int64_t{1} << 24;

/// Collects lines; nothing is formatted as long as nothing is wrong.
class Findings {
 public:
  bool between(const char* field, std::int64_t value, std::int64_t low,
               std::int64_t high = k_most) {
    if (value >= low && value <= high) return true;
    lines_.push_back(fmt::format("{}: expected {} to {}, found {}", field, low, high, value));
    return false;
  }

  /// `value` of `field` must be a multiple of `divisor`, which is called `by`.
  void multiple(const char* field, std::int64_t value, const char* by, std::int64_t divisor) {
    if (divisor < 1 || value % divisor == 0) return;
    lines_.push_back(
        fmt::format("{}: expected a multiple of {} = {}, found {}", field, by, divisor, value));
  }

  void require(bool holds, const char* line) {
    if (!holds) lines_.emplace_back(line);
  }

  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    lines_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  [[nodiscard]] bool empty() const { return lines_.empty(); }
  [[nodiscard]] std::vector<std::string> take() { return std::move(lines_); }

 private:
  std::vector<std::string> lines_;
};

void check_experts(const Transformer& m, Findings& f) {
  const Experts& e = m.experts;
  if (!f.between("model.experts.count", e.count, 0) || e.count == 0) return;
  f.between("model.experts.per_token", e.per_token, 1, e.count);
  f.between("model.experts.width", e.width, 1);
  f.between("model.experts.shared_width", e.shared_width, 0);
  f.between("model.experts.dense_layers", e.dense_layers, 0, std::max<std::int64_t>(m.layers, 0));
}

void check_model(const Transformer& m, Findings& f) {
  f.between("model.layers", m.layers, 1, k_most_layers);
  f.between("model.hidden", m.hidden, 1);
  f.between("model.heads", m.heads, 1);
  if (f.between("model.kv_heads", m.kv_heads, 1)) {
    f.multiple("model.heads", m.heads, "model.kv_heads", m.kv_heads);
  }
  f.between("model.head_size", m.head_size, 1);
  const bool needs_mlp = m.experts.count == 0 || m.experts.dense_layers > 0;
  f.between("model.mlp", m.mlp, needs_mlp ? 1 : 0);
  f.between("model.vocabulary", m.vocabulary, 2);
  f.between("model.positions", m.positions, 0);
  check_experts(m, f);
  if (!f.between("model.latent.kv_rank", m.latent.kv_rank, 0) || m.latent.kv_rank == 0) return;
  f.between("model.latent.query_rank", m.latent.query_rank, 0);
  f.between("model.latent.rope_size", m.latent.rope_size, 0);
  f.between("model.latent.value_size", m.latent.value_size, 1);
}

/// So that counts stay far below 2^63.
void check_parameters(const Transformer& m, Findings& f) {
  const auto real = [](std::int64_t n) { return static_cast<double>(n); };
  const double heads = real(m.heads) * real(m.head_size + m.latent.rope_size + m.latent.value_size);
  const double ranks = real(m.latent.query_rank + m.latent.kv_rank);
  const double experts = real(m.experts.count) * real(m.experts.width);
  const double inner = real(m.mlp) + experts + real(m.experts.shared_width) + ranks;
  const double layer = (real(m.hidden) + ranks) * (4 * heads + 4 * inner + 4);
  const double ends = real(m.hidden) * (2 * real(m.vocabulary) + real(m.positions));
  if (real(m.layers) * layer + ends > 1e15)
    f.add("model: expected at most 1e15 parameters, found more");
}

/// Returns whether the sizes may be multiplied and divided by.
bool check_sizes(const Strategy& s, Findings& f) {
  const Layout& l = s.layout;
  bool sane = f.between("layout.tensor", l.tensor, 1);
  sane &= f.between("layout.pipeline", l.pipeline, 1, k_most_layers);
  sane &= f.between("layout.virtual_stages", l.virtual_stages, 1, k_most_layers);
  sane &= f.between("layout.data", l.data, 1);
  sane &= f.between("layout.context", l.context, 1);
  sane &= f.between("layout.expert", l.expert, 1);
  sane &= f.between("layout.expert_tensor", l.expert_tensor, 1);
  sane &= f.between("layout.shard", l.shard, 0);
  sane &= f.between("batch.sequence", s.batch.sequence, 1);
  sane &= f.between("batch.micro_batch", s.batch.micro_batch, 1);
  sane &= f.between("batch.micro_batches", s.batch.micro_batches, 1, k_most_micro_batches);
  sane &= f.between("recipe.prefetch", s.recipe.prefetch, 0, 1000);
  if (!sane) return false;
  if (__int128{l.tensor} * l.pipeline * l.data * l.context > k_most_ranks) {
    f.add("layout: expected at most {} ranks, found more", k_most_ranks);
    return false;
  }
  if (s.batch.sequence * s.batch.micro_batch > k_most_tokens) {
    f.add("batch: expected at most {} tokens in a micro-batch, found {}", k_most_tokens,
          s.batch.sequence * s.batch.micro_batch);
    return false;
  }
  return true;
}

void check_experts_layout(const Transformer& m, const Layout& l, Findings& f) {
  if (m.experts.count == 0) {
    f.require(l.expert == 1, "layout.expert: expected 1, as the model has no experts");
    f.require(l.expert_tensor == 1,
              "layout.expert_tensor: expected 1, as the model has no experts");
    return;
  }
  f.multiple("model.experts.count", m.experts.count, "layout.expert", l.expert);
  f.multiple("model.experts.width", m.experts.width, "layout.expert_tensor", l.expert_tensor);
  f.multiple("layout.tensor", l.tensor, "layout.expert_tensor", l.expert_tensor);
  f.multiple("layout tensor x data x context", l.tensor * l.data * l.context,
             "layout expert x expert_tensor", l.expert * l.expert_tensor);
}

void check_tensor_parallel(const Transformer& m, const Strategy& s, Findings& f) {
  const Layout& l = s.layout;
  f.multiple("model.heads", m.heads, "layout.tensor", l.tensor);
  if (m.latent.kv_rank == 0) {
    f.multiple("model.kv_heads", m.kv_heads, "layout.tensor", l.tensor);
  }
  f.multiple("model.mlp", m.mlp, "layout.tensor", l.tensor);
  f.multiple("model.vocabulary", m.vocabulary, "layout.tensor", l.tensor);
  f.multiple("batch.sequence", s.batch.sequence, "layout.context", l.context);
  if (!l.sequence_parallel) return;
  f.require(l.tensor > 1, "layout.sequence_parallel: expected layout.tensor above 1");
  f.multiple("batch.sequence", s.batch.sequence, "layout context x tensor", l.context * l.tensor);
}

void check_stages(const Transformer& m, const Strategy& s, Findings& f) {
  const Layout& l = s.layout;
  const std::int64_t stages = l.pipeline * l.virtual_stages;
  if (s.stage_layers.empty()) {
    f.multiple("model.layers", m.layers, "layout pipeline x virtual_stages", stages);
  } else {
    if (static_cast<std::int64_t>(s.stage_layers.size()) != stages) {
      f.add("stage_layers: expected {} numbers (pipeline x virtual_stages), found {}", stages,
            s.stage_layers.size());
    }
    std::int64_t sum = 0;
    for (const std::int64_t layers : s.stage_layers) {
      if (!f.between("stage_layers", layers, 0, k_most_layers)) return;
      sum += layers;
    }
    if (sum != m.layers) {
      f.add("stage_layers: expected a sum of model.layers = {}, found {}", m.layers, sum);
    }
  }
  const bool interleaved = s.schedule == PipelineSchedule::interleaved;
  f.require(interleaved || l.virtual_stages == 1,
            "layout.virtual_stages: expected 1 unless the schedule is interleaved");
  f.require(!interleaved || l.virtual_stages > 1,
            "schedule: interleaved expects layout.virtual_stages above 1");
  if (interleaved) {
    f.require(l.pipeline > 1, "schedule: interleaved expects layout.pipeline above 1");
    f.multiple("batch.micro_batches", s.batch.micro_batches, "layout.pipeline", l.pipeline);
  }
}

}  // namespace

std::vector<std::string> problems(const Transformer& m, const Strategy& s) {
  Findings f;
  check_model(m, f);
  if (f.empty()) check_parameters(m, f);
  const bool sane_model = f.empty();
  if (!check_sizes(s, f)) return f.take();
  const Layout& l = s.layout;
  if (l.shard > 0) f.multiple("layout data x context", l.data * l.context, "layout.shard", l.shard);
  check_stages(m, s, f);
  if (!sane_model) return f.take();
  check_tensor_parallel(m, s, f);
  check_experts_layout(m, l, f);
  if (m.positions > 0 && s.batch.sequence > m.positions) {
    f.add("batch.sequence: expected at most model.positions = {}, found {}", m.positions,
          s.batch.sequence);
  }
  return f.take();
}

void require_valid(const Transformer& model, const Strategy& strategy) {
  const std::vector<std::string> lines = problems(model, strategy);
  if (!lines.empty()) throw InputError(fmt::format("{}", fmt::join(lines, "\n")));
}

std::int64_t layers_of_stage(const Transformer& model, const Strategy& strategy,
                             std::int64_t index) {
  if (!strategy.stage_layers.empty()) {
    return strategy.stage_layers[static_cast<std::size_t>(index)];
  }
  return model.layers / (strategy.layout.pipeline * strategy.layout.virtual_stages);
}

std::int64_t first_layer_of_stage(const Transformer& model, const Strategy& strategy,
                                  std::int64_t index) {
  std::int64_t first = 0;
  for (std::int64_t i = 0; i < index; ++i) first += layers_of_stage(model, strategy, i);
  return first;
}

ShardSizes shard_sizes(const Layout& layout) {
  const std::int64_t data = layout.data * layout.context;
  return {.data = data, .shard = layout.shard > 0 ? layout.shard : data};
}

ShardSizes expert_shard_sizes(const Layout& layout) {
  const std::int64_t data =
      layout.tensor * layout.data * layout.context / (layout.expert * layout.expert_tensor);
  // A hybrid group cannot span more ranks than hold the same experts.
  return {.data = data, .shard = layout.shard > 0 ? std::gcd(layout.shard, data) : data};
}

}  // namespace tidemark
