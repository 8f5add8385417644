#include "traces/call_scopes.h"

#include <algorithm>
#include <numeric>

#include "traces/range_name.h"

namespace tidemark {
namespace {

constexpr std::size_t k_longest_name = 100;  // of a layer, without those above it

CallSite site_of(Phase phase) {
  switch (phase) {
    case Phase::forward:
      return CallSite::forward;
    case Phase::backward:
      return CallSite::backward;
    case Phase::optimizer:
      return CallSite::optimizer;
    case Phase::init:
    case Phase::eval:
    case Phase::inference:
    case Phase::other:
      break;
  }
  return CallSite::unknown;
}

/// Names that PyTorch's profiler gives (torch/optim/optimizer.py, torch/utils/data/dataloader.py,
/// torch/csrc/autograd/engine.cpp).
void name_site(CallScope& scope, std::string_view name) {
  if (name.starts_with("Optimizer.step")) {
    scope.site = CallSite::optimizer;
    scope.phase = Phase::optimizer;
  } else if (name.starts_with("enumerate(DataLoader)")) {
    scope.site = CallSite::input;
  } else if (name.starts_with("autograd::engine::")) {
    scope.site = CallSite::backward;
    scope.phase = Phase::backward;
  } else if (name.starts_with("nccl:") || name.starts_with("c10d::")) {
    scope.site = CallSite::communication;
  }
}

bool is_known_to_pytorch(std::string_view name) {
  return name.starts_with("Optimizer.") || name.starts_with("enumerate(DataLoader)") ||
         name.starts_with("autograd::") || name.starts_with("aten::") ||
         name.starts_with("nccl:") || name.starts_with("c10d::");
}

void enter_module(CallScope& scope) {
  if (scope.site == CallSite::backward) scope.site = CallSite::recompute;
  if (scope.site == CallSite::unknown) scope.site = CallSite::forward;
  if (scope.phase == Phase::other) scope.phase = Phase::forward;
}

}  // namespace

void CallScopes::add_layer(Row& row, std::string_view name) {
  if (row.depth == k_most_depth || layers_.size() >= k_most_layers) return;
  const LayerId parent = row.scope.layer;
  const auto [entry, is_new] =
      known_layers_.try_emplace({parent, std::string(name)}, layers_.size());
  if (is_new) {
    const std::string before = parent.valid() ? layers_[parent.index()].name + "/" : "";
    layers_.push_back({before + std::string(name.substr(0, k_longest_name)), "range", parent});
  }
  row.scope.layer = entry->second;
  ++row.depth;
}

std::uint32_t CallScopes::inside(std::uint32_t outer, const CallRange& range) {
  if (step_of(range.name) >= 0 || range.name.starts_with("ProfilerStep")) return outer;
  const std::string name(stable_name(range.name));
  const auto key = std::tuple(outer, range.kind, name);
  if (const auto found = known_rows_.find(key); found != known_rows_.end()) return found->second;
  if (rows_.size() >= k_most_rows) return outer;
  Row row = rows_[outer];
  CallScope& scope = row.scope;
  scope.name = name;
  name_site(scope, name);
  if (range.kind == RangeKind::module) {
    add_layer(row, name);
    enter_module(scope);
  } else if (range.kind == RangeKind::annotation && !is_known_to_pytorch(name)) {
    add_layer(row, name);
    const Phase phase = phase_of(name, scope.phase);
    if (phase != scope.phase) scope.site = site_of(phase);
    scope.phase = phase;
  }
  rows_.push_back(std::move(row));
  const auto id = static_cast<std::uint32_t>(rows_.size() - 1);
  known_rows_.emplace(key, id);
  return id;
}

std::vector<std::uint32_t> CallScopes::at(const std::vector<CallRange>& ranges,
                                          const std::vector<CallInstant>& instants) {
  std::vector<std::size_t> by_begin(ranges.size());
  std::iota(by_begin.begin(), by_begin.end(), std::size_t{0});
  std::ranges::stable_sort(by_begin, {}, [&ranges](std::size_t i) {
    return std::tuple(ranges[i].thread, ranges[i].begin_ns, -ranges[i].end_ns);
  });
  std::vector<std::size_t> by_time(instants.size());
  std::iota(by_time.begin(), by_time.end(), std::size_t{0});
  std::ranges::stable_sort(by_time, {}, [&instants](std::size_t i) {
    return std::pair(instants[i].thread, instants[i].time_ns);
  });
  struct Open {
    std::int64_t end_ns;
    std::uint32_t scope;
  };
  std::vector<Open> open;
  std::vector<std::uint32_t> out(instants.size(), 0);
  std::size_t next = 0;
  std::int64_t thread = 0;
  const auto close_until = [&open](std::int64_t time_ns) {
    while (!open.empty() && open.back().end_ns <= time_ns) open.pop_back();
  };
  for (const std::size_t i : by_time) {
    const CallInstant& now = instants[i];
    if (now.thread != thread) open.clear();
    thread = now.thread;
    for (; next < by_begin.size(); ++next) {
      const CallRange& r = ranges[by_begin[next]];
      if (std::pair(r.thread, r.begin_ns) > std::pair(now.thread, now.time_ns)) break;
      if (r.thread != now.thread) continue;
      close_until(r.begin_ns);
      const Open outer = open.empty() ? Open{r.end_ns, 0} : open.back();
      open.push_back({std::min(r.end_ns, outer.end_ns), inside(outer.scope, r)});
    }
    close_until(now.time_ns);
    if (!open.empty()) out[i] = open.back().scope;
  }
  return out;
}

}  // namespace tidemark
