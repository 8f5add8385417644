#include "profiler/cupti/scope_names.h"

namespace tidemark {

LayerId ScopeNames::intern(LayerId parent, std::string_view name) {
  const std::lock_guard lock(mutex_);
  const Key key{parent, std::string(name)};
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  if (rows_.size() >= k_most_layers) return parent;
  const LayerId id(rows_.size());
  const std::string before = parent.valid() ? rows_[parent.index()].name + "/" : "";
  rows_.push_back({.name = before + key.name, .kind = "range", .parent = parent});
  known_.emplace(key, id);
  return id;
}

std::vector<Layer> ScopeNames::rows_from(std::size_t first) const {
  const std::lock_guard lock(mutex_);
  if (first >= rows_.size()) return {};
  return {rows_.begin() + static_cast<std::ptrdiff_t>(first), rows_.end()};
}

const Scope& ScopeStack::push(ScopeNames& names, std::string_view range) {
  Scope scope = top();
  if (const std::int32_t step = step_of(range); step >= 0) {
    scope.step = step;
  } else {
    scope.layer = names.intern(scope.layer, stable_name(range));
    scope.phase = phase_of(range, scope.phase);
  }
  return open_.emplace_back(scope);
}

Scope ScopeStack::pop() {
  if (open_.empty()) return {};
  const Scope scope = open_.back();
  open_.pop_back();
  return scope;
}

}  // namespace tidemark
