#include "sim/pipeline_stages.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "sim/op_table.h"
#include "traces/error.h"

namespace tidemark {
namespace {

[[noreturn]] void refuse(const std::string& place, const std::string& expected,
                         const std::string& found) {
  throw InputError(InputError::Parts{.place = place, .expected = expected, .found = found});
}

/// Values of a step must belong to one micro-batch, as several are in flight at once.
void require_apart(const Trace& source, const ShardSource& parts) {
  std::map<std::int32_t, std::int32_t> owner;  // micro-batch by buffer
  for (const OpId id : parts.body) {
    const Op& op = source[id];
    if (op.phase == Phase::optimizer) continue;
    for (const Operand& operand : op.operands) {
      const std::size_t row = operand.buffer.index();
      if (parts.weight_of[row] >= 0 || parts.gradient_of[row] >= 0) continue;
      const auto [at, fresh] = owner.try_emplace(operand.buffer.value, op.micro_batch);
      if (fresh || at->second == op.micro_batch) continue;
      refuse("buffer '" + source[operand.buffer].name + "'", "a value of one micro-batch",
             fmt::format("one of micro-batches {} and {}", at->second, op.micro_batch));
    }
  }
}

/// Sizes of `count` contiguous runs whose largest sum is as small as it can be; every run has one
/// at least. Of equals the first runs are the longest.
std::vector<std::int64_t> even_runs(const std::vector<double>& times, std::int64_t count) {
  const std::size_t n = times.size();
  const auto runs = static_cast<std::size_t>(count);
  std::vector<double> sum(n + 1, 0);
  for (std::size_t i = 0; i < n; ++i) sum[i + 1] = sum[i] + times[i];
  // best[k][i]: the least largest sum of the first i in k runs.
  std::vector best(runs + 1, std::vector<double>(n + 1, sum[n] + 1));
  std::vector from(runs + 1, std::vector<std::size_t>(n + 1, 0));
  best[0][0] = 0;
  for (std::size_t k = 1; k <= runs; ++k) {
    for (std::size_t i = k; i <= n; ++i) {
      for (std::size_t j = k - 1; j < i; ++j) {
        const double most = std::max(best[k - 1][j], sum[i] - sum[j]);
        if (most > best[k][i]) continue;
        best[k][i] = most;
        from[k][i] = j;
      }
    }
  }
  std::vector<std::int64_t> out(runs);
  for (std::size_t k = runs, i = n; k > 0; i = from[k][i], --k) {
    out[k - 1] = static_cast<std::int64_t>(i - from[k][i]);
  }
  return out;
}

}  // namespace

PipelineStages::PipelineStages(const Trace& source, const ShardSource& parts,
                               const Strategy& strategy)
    : source_(source),
      count_(strategy.layout.pipeline * strategy.layout.virtual_stages),
      micro_batches_(parts.micro_batches),
      stage_(source.ops.size(), -1) {
  require_apart(source, parts);
  find_units(parts);
  partition(strategy, parts);
  assign(parts, strategy.schedule == PipelineSchedule::zero_bubble);
}

LayerId PipelineStages::top_of(LayerId layer) const {
  while (layer.valid() && source_[layer].parent.valid()) layer = source_[layer].parent;
  return layer;
}

void PipelineStages::find_units(const ShardSource& parts) {
  std::set<std::int32_t> parents;
  for (const Layer& layer : source_.layers) {
    if (layer.parent.valid()) parents.insert(layer.parent.value);
  }
  std::set<std::int32_t> trained;
  for (const TrainedWeight& w : parts.weights)
    trained.insert(top_of(source_[w.weight].layer).value);
  std::set<std::int32_t> seen;
  for (const OpId id : parts.body) {
    const Op& op = source_[id];
    if (op.phase != Phase::forward || op.micro_batch != 0) continue;
    const LayerId top = top_of(op.layer);
    if (!top.valid()) refuse("op '" + op.name + "'", "an op of a layer", "one of none");
    if (op.kind == OpKind::load_batch || !seen.insert(top.value).second) continue;
    units_.push_back(top);
  }
  const auto has = [this](const std::set<std::int32_t>& rows) {
    std::vector<char> out;
    for (const LayerId unit : units_) out.push_back(rows.contains(unit.value) ? 1 : 0);
    return out;
  };
  is_layer_ = has(parents);
  if (std::ranges::count(is_layer_, 1) < 2) is_layer_ = has(trained);
}

/// Units before the first layer are of the first stage, those behind a layer of its stage.
void PipelineStages::partition(const Strategy& strategy, const ShardSource& parts) {
  std::map<std::int32_t, double> time_of_unit;
  for (const OpId id : parts.body) {
    const Op& op = source_[id];
    if (op.phase == Phase::optimizer || op.micro_batch != 0) continue;
    time_of_unit[top_of(op.layer).value] +=
        static_cast<double>(std::max<std::int64_t>(op.duration_ns, 1));
  }
  std::vector<double> times;  // of layers, each with what follows it
  double before = 0;
  for (std::size_t i = 0; i < units_.size(); ++i) {
    const double ns = time_of_unit[units_[i].value];
    if (is_layer_[i] != 0) {
      times.push_back(ns + std::exchange(before, 0));
    } else {
      (times.empty() ? before : times.back()) += ns;
    }
  }
  const auto found = static_cast<std::int64_t>(times.size());
  layers_ = strategy.stage_layers;
  if (found < count_) {
    refuse("--ranks", fmt::format("at most {} stages, one for each layer", found),
           std::to_string(count_));
  }
  if (layers_.empty()) layers_ = even_runs(times, count_);
  const bool fits = static_cast<std::int64_t>(layers_.size()) == count_ &&
                    std::ranges::min(layers_) >= 1 &&
                    std::accumulate(layers_.begin(), layers_.end(), std::int64_t{0}) == found;
  if (!fits) {
    refuse("--stage-layers", fmt::format("{} numbers from 1 whose sum is {}", count_, found),
           fmt::format("{}", fmt::join(layers_, ",")));
  }
  std::int64_t stage = 0;
  std::int64_t left = layers_[0];
  for (std::size_t i = 0; i < units_.size(); ++i) {
    if (is_layer_[i] != 0 && left-- == 0) left = layers_[static_cast<std::size_t>(++stage)] - 1;
    stage_of_unit_[units_[i].value] = stage;
  }
}

void PipelineStages::assign(const ShardSource& parts, bool apart) {
  last_write_.assign(source_.buffers.size(), -1);
  for (const OpId id : parts.body) {
    for (const Operand& operand : source_[id].operands) {
      std::int32_t& last = last_write_[operand.buffer.index()];
      last = std::max(last, operand.writes);
    }
  }
  passes_.resize(static_cast<std::size_t>(count_ * micro_batches_));
  for (const auto* section : {&parts.body, &parts.eval}) {
    for (const OpId id : *section) {
      const Op& op = source_[id];
      if (op.phase == Phase::optimizer || op.kind == OpKind::load_batch) continue;
      const auto at = stage_of_unit_.find(top_of(op.layer).value);
      if (at == stage_of_unit_.end()) {
        refuse("op '" + op.name + "'", "a layer that forward passes", "another");
      }
      const std::int64_t stage = stage_[id.index()] = at->second;
      if (section != &parts.body) continue;
      StagePasses& p = passes_[static_cast<std::size_t>(stage * micro_batches_ + op.micro_batch)];
      (op.phase == Phase::forward     ? p.forward
       : apart && may_wait(id, parts) ? p.weights
                                      : p.backward)
          .push_back(id);
    }
  }
}

/// It makes gradients of a layer's weights and nothing else, and what it reads is not changed
/// later.
bool PipelineStages::may_wait(OpId id, const ShardSource& parts) const {
  const Op& op = source_[id];
  const auto unit = std::ranges::find(units_, top_of(op.layer)) - units_.begin();
  if (is_layer_[static_cast<std::size_t>(unit)] == 0) return false;
  bool makes = false;
  for (const Operand& operand : op.operands) {
    const bool gradient = parts.gradient_of[operand.buffer.index()] >= 0;
    makes |= gradient;
    if (operand.writes >= 0 && !gradient && operand.role != "workspace") return false;
  }
  return makes && std::ranges::all_of(op.operands, [&](const Operand& mine) {
           const std::size_t row = mine.buffer.index();
           const bool is_state = parts.gradient_of[row] >= 0 || parts.weight_of[row] >= 0;
           return is_state || mine.reads < 0 || last_write_[row] <= mine.reads;
         });
}

}  // namespace tidemark
