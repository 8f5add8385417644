#include "sim/report_changes.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/capacity_walk.h"

namespace tidemark {
namespace {

/// Every change of one thing; those that are not valid are dropped later.
class Changes {
 public:
  explicit Changes(const Strategy& from) : from_(from) {
    recompute();
    recipe();
    batch();
    layout();
    kernels();
  }
  [[nodiscard]] const std::vector<std::pair<std::string, Strategy>>& all() const { return all_; }

 private:
  template <class Edit>
  void add(std::string what, const Edit& edit) {
    Strategy to = from_;
    edit(to);
    if (!(to == from_)) all_.emplace_back(std::move(what), std::move(to));
  }

  void recompute() {
    for (std::size_t i = 0; i < EnumNames<Recompute>::k_names.size(); ++i) {
      const auto part = static_cast<Recompute>(i);
      if (from_.recompute.has(Recompute::full) || from_.recompute.has(part)) continue;
      add(fmt::format("recompute {}", EnumNames<Recompute>::k_names[i]),
          [part](Strategy& s) { s.recompute.add(part); });
    }
    add("keep activations on the host", [](Strategy& s) { s.kept_on_host = true; });
  }

  void share(const char* what, StatePart StateRecipe::*part) {
    add(fmt::format("shard {} over data ranks", what), [part](Strategy& s) {
      if ((s.recipe.*part).type != StateType::none && (s.recipe.*part).group == ShardGroup::whole) {
        (s.recipe.*part).group = ShardGroup::data;
        s.recipe.unit_gradients |= part == &StateRecipe::gradient;
      }
    });
  }

  void recipe() {
    add("shard the optimizer over data ranks", [](Strategy& s) {
      for (StatePart* part : {&s.recipe.master, &s.recipe.moments}) {
        if (part->type != StateType::none && part->group == ShardGroup::whole) {
          part->group = ShardGroup::data;
        }
      }
    });
    share("gradients", &StateRecipe::gradient);
    share("parameters", &StateRecipe::parameter);
    add("moments in bf16", [](Strategy& s) {
      if (s.recipe.moments.type == StateType::f32) s.recipe.moments.type = StateType::bf16;
    });
    add("8-bit moments", [](Strategy& s) {
      if (s.recipe.moments.type != StateType::none) s.recipe.moments.type = StateType::i8;
    });
    add("optimizer on the host", [](Strategy& s) {
      if (s.recipe.moments.type != StateType::none) s.recipe.moments.on_host = true;
      if (s.recipe.master.type != StateType::none) s.recipe.master.on_host = true;
    });
    add("gradients in bf16", [](Strategy& s) {
      if (s.recipe.gradient.type == StateType::f32) s.recipe.gradient.type = StateType::bf16;
    });
  }

  void batch() {
    if (from_.batch.micro_batch % 2 != 0) return;
    add(fmt::format("micro-batch {}", from_.batch.micro_batch / 2), [](Strategy& s) {
      s.batch.micro_batch /= 2;
      s.batch.micro_batches *= 2;
    });
  }

  void layout() {
    if (from_.layout.tensor > 1) {
      add("sequence parallel", [](Strategy& s) { s.layout.sequence_parallel = true; });
    }
    if (from_.layout.data % 2 != 0 || !from_.stage_layers.empty()) return;
    const auto twice = [this](const char* name, std::int64_t Layout::*size) {
      add(fmt::format("{}={}, dp={}", name, from_.layout.*size * 2, from_.layout.data / 2),
          [size](Strategy& s) {
            s.layout.*size *= 2;
            s.layout.data /= 2;
            s.batch.micro_batches *= 2;
          });
    };
    twice("tp", &Layout::tensor);
    twice("pp", &Layout::pipeline);
    twice("cp", &Layout::context);
  }

  void kernels() {
    add("fused loss", [](Strategy& s) { s.kernels.loss = LossLowering::fused; });
    add("flash attention", [](Strategy& s) { s.kernels.attention = AttentionLowering::flash; });
    add("fused gate", [](Strategy& s) { s.kernels.fused_gate = true; });
    add("8-bit inputs of products", [](Strategy& s) { s.kernels.f8_products = true; });
  }

  const Strategy& from_;
  std::vector<std::pair<std::string, Strategy>> all_;
};

/// Bytes per percent; a change that costs no time is worth more than any other.
std::pair<bool, double> worth(const Change& c) {
  if (!c.slower_pct) return {false, c.saved_bytes};
  if (*c.slower_pct <= 0) return {true, c.saved_bytes};
  return {false, c.saved_bytes / *c.slower_pct};
}

}  // namespace

std::vector<Change> changes_of(const Transformer& model, const Strategy& strategy,
                               const Site& site) {
  const double bytes = walk(model, strategy).memory.total();
  const StepTimes times(model, site);
  const std::optional<double> step_s = times.seconds(strategy);
  const Changes candidates(strategy);
  std::vector<Change> out;
  for (const auto& [what, to] : candidates.all()) {
    if (!problems(model, to).empty()) continue;
    const double changed = walk(model, to).memory.total();
    if (changed >= bytes) continue;
    Change change{.what = what,
                  .saved_bytes = bytes - changed,
                  .slower_pct = std::nullopt,
                  .demand = demand_of(changed, to)};
    change.verdict = verdict_of(change.demand, site);
    if (const auto slower = times.seconds(to); slower && step_s && *step_s > 0) {
      change.slower_pct = 100 * (*slower / *step_s - 1);
    }
    out.push_back(std::move(change));
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Change& a, const Change& b) { return worth(a) > worth(b); });
  return out;
}

}  // namespace tidemark
