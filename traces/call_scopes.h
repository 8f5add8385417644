// Which calls and ranges were open on a thread at an instant, and what they say of an allocation.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "traces/frame_label.h"
#include "traces/trace.h"

namespace tidemark {

enum class RangeKind : std::uint8_t {
  op,          // of a framework: "aten::linear"
  module,      // a module of the model: "Linear_0"
  annotation,  // what the program marked itself: NVTX, record_function
};

/// A call or range of one thread, open in [begin_ns, end_ns).
struct CallRange {
  std::int64_t thread = 0;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  RangeKind kind = RangeKind::annotation;
  std::string name;
};

struct CallInstant {
  std::int64_t thread = 0;
  std::int64_t time_ns = 0;
};

/// What is open together, as one row: the row of the outer scope with one range more.
struct CallScope {
  CallSite site = CallSite::unknown;
  Phase phase = Phase::other;
  LayerId layer;     // of modules and annotations
  std::string name;  // of the innermost range
  bool operator==(const CallScope&) const = default;
};

/// Scopes and layers by path, each once; row 0 is that of nothing open.
class CallScopes {
 public:
  /// Beyond so many rows a range counts to the one around it: names that never repeat must not fill
  /// the memory. Paths end at k_most_depth layers for the same reason.
  static constexpr std::size_t k_most_rows = std::size_t{1} << 16;
  static constexpr std::size_t k_most_layers = std::size_t{1} << 14;
  static constexpr int k_most_depth = 32;

  /// The scope that is open at each instant, innermost; ranges that overlap without one inside of
  /// the other end with the outer one. Any order of both lists.
  [[nodiscard]] std::vector<std::uint32_t> at(const std::vector<CallRange>& ranges,
                                              const std::vector<CallInstant>& instants);

  [[nodiscard]] const CallScope& operator[](std::uint32_t row) const { return rows_[row].scope; }
  [[nodiscard]] const std::vector<Layer>& layers() const { return layers_; }

 private:
  struct Row {
    CallScope scope;
    int depth = 0;  // of layers
  };
  std::uint32_t inside(std::uint32_t outer, const CallRange& range);
  void add_layer(Row& row, std::string_view name);

  std::vector<Row> rows_{Row{}};
  std::vector<Layer> layers_;
  std::map<std::tuple<std::uint32_t, RangeKind, std::string>, std::uint32_t> known_rows_;
  std::map<std::pair<LayerId, std::string>, LayerId> known_layers_;
};

}  // namespace tidemark
