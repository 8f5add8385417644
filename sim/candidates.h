// Plans tried by a search: carried out, checked, placed and replayed, each once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/eviction.h"
#include "sim/graph.h"
#include "sim/prefetch.h"
#include "sim/search.h"
#include "sim/timer.h"

namespace tidemark {

/// Figures of one plan. Order: shorter step first, then lower.
struct Candidate {
  std::vector<Decision> decisions;
  std::int64_t step_ns = 0;
  std::int64_t height_bytes = 0;
  std::string method{};                 // that found it
  std::vector<std::int64_t> offsets{};  // by buffer row of the planned trace; empty = not at hand
  [[nodiscard]] bool better_than(const Candidate& other) const {
    return std::pair(step_ns, height_bytes) < std::pair(other.step_ns, other.height_bytes);
  }
};

/// The link that plans of `trace` copy over, on a stream of its own per direction.
void declare_links(Trace& trace, const CopyLink& link);

/// The source with its link, and every plan that was tried on it. `tried` counts evictions and
/// evaluations; a plan that was evaluated before costs nothing.
class Candidates {
 public:
  Candidates(const Trace& source, const SearchRequest& request);

  [[nodiscard]] const Trace& source() const { return source_; }
  [[nodiscard]] const Dataflow& flow() const { return flow_; }
  /// To carry a plan out takes as long as several walks, to place it well much longer: the first
  /// placement has to do.
  [[nodiscard]] bool large() const { return flow_.body.size() > k_large_ops; }
  [[nodiscard]] std::int64_t tried() const { return tried_; }
  /// The lowest plan so far, of any budget.
  [[nodiscard]] const Candidate& lowest() const { return lowest_; }
  /// The plan that changes nothing.
  [[nodiscard]] const Candidate& keep_all() const { return keep_all_; }

  /// One walk of the eviction; counts as a try.
  [[nodiscard]] Eviction try_eviction(const EvictionSettings& settings);

  /// The plan carried out, placed and replayed; counts as a try. Unless be_exact() was called, the
  /// height of a plan that fits may not be the least, and that of a plan whose live bytes are above
  /// the budget is just those (of a large body: always the height of some placement).
  [[nodiscard]] Candidate evaluate(const std::vector<Decision>& decisions);

  /// From now on every height is the least that place() finds; without effect on a large body.
  void be_exact();

  /// Another budget for the same source: what depends on the old one is forgotten.
  void set_budget(std::int64_t budget_bytes, std::int64_t bound_step_ns);
  [[nodiscard]] std::int64_t budget_bytes() const { return budget_bytes_; }

  /// Limits of the request, asked between tries.
  [[nodiscard]] bool stopped(std::int64_t best_step_ns);
  /// False when the clock or the caller ended the search.
  [[nodiscard]] bool reproducible() const { return !cut_; }
  /// The clock ended it.
  [[nodiscard]] bool out_of_time() const { return cut_ && timer_.over(); }
  /// From now on nodes_left() counts anew: each way of searching has its own share.
  void begin_share() { share_begin_ = tried_; }
  [[nodiscard]] bool nodes_left() const { return tried_ - share_begin_ < nodes_; }
  [[nodiscard]] std::int64_t nodes() const { return nodes_; }

  /// The planned trace of a candidate, placed, with a filled plan record apart from its bounds; an
  /// own bug when check() finds it illegal.
  [[nodiscard]] Trace planned(const Candidate& candidate) const;

 private:
  static constexpr std::size_t k_large_ops = 2500;
  using Key = std::vector<std::int32_t>;
  [[nodiscard]] std::int64_t height_of(Trace& trace) const;
  static Key key_of(const std::vector<Decision>& decisions);

  Trace source_;
  const SearchRequest& request_;
  Dataflow flow_;
  Trace bare_;  // the source without what neither placement nor replay looks at: cheap to copy
  std::map<Key, std::pair<std::int64_t, std::int64_t>> known_;  // step, height
  std::int64_t nodes_ = 0;
  std::int64_t budget_bytes_ = 0;
  std::int64_t bound_step_ns_ = -1;
  std::int64_t tried_ = 0;
  std::int64_t share_begin_ = 0;
  bool cut_ = false;
  bool exact_ = true;
  Timer timer_;
  Candidate keep_all_;
  Candidate lowest_;
};

}  // namespace tidemark
