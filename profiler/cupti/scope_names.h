// Nested ranges of a program as layers and phases. Each name along a path is a layer of the trace.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "profiler/cupti/records.h"

namespace tidemark {

/// What a range is called without what changes from call to call: up to the first comma, as in
/// PyTorch's "aten::linear, seq = 17"; "range" when nothing is left.
[[nodiscard]] std::string_view stable_name(std::string_view range);

/// The phase that a range opens by its words, `outer` when it names none: "forward", "backward",
/// "optimizer" (also "optim" and "adam"), "eval" and "validation", "inference".
[[nodiscard]] Phase phase_of(std::string_view range, Phase outer);

/// The number of the step that a range is: "step 12", "iteration 12", "iter 12", "batch 12"; -1 for
/// any other name.
[[nodiscard]] std::int32_t step_of(std::string_view range);

/// Layer rows by path, made as they are met. For any number of threads.
class ScopeNames {
 public:
  /// Beyond so many layers a range counts to the one around it: a name that never repeats must not
  /// fill the memory.
  static constexpr std::size_t k_most_layers = std::size_t{1} << 16;

  /// The layer of `name` inside of `parent`.
  LayerId intern(LayerId parent, std::string_view name);

  /// Rows from `first` on.
  [[nodiscard]] std::vector<Layer> rows_from(std::size_t first) const;

 private:
  struct Key {
    LayerId parent;
    std::string name;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const {
      return std::hash<std::string>()(key.name) * 31 + static_cast<std::size_t>(key.parent.value);
    }
  };

  mutable std::mutex mutex_;
  std::unordered_map<Key, LayerId, Hash> known_;
  std::vector<Layer> rows_;
};

/// The open ranges of one thread.
class ScopeStack {
 public:
  /// Opens a range and returns its scope. A step number changes the step of what is inside, and the
  /// range is no layer.
  const Scope& push(ScopeNames& names, std::string_view range);
  /// Closes the innermost range and returns its scope; one with no range open changes nothing.
  Scope pop();
  [[nodiscard]] Scope top() const { return open_.empty() ? Scope{} : open_.back(); }
  [[nodiscard]] std::size_t depth() const { return open_.size(); }

 private:
  std::vector<Scope> open_;
};

}  // namespace tidemark
