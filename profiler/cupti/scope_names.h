// Nested ranges of a program as layers and phases. Each name along a path is a layer of the trace.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "profiler/cupti/records.h"
#include "traces/range_name.h"

namespace tidemark {

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
