// The value with the least score, when scores drift: they are looked up again only where that can
// change the answer.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "traces/ids.h"

namespace tidemark {

/// A heap of scores as they were when they were last looked up. As long as scores only grow, those
/// are lower bounds, so that the first entry whose score is still what the heap says is the least
/// of all (Minoux 1978, "Accelerated greedy algorithms"). A score that falls must be announced by
/// renew(); one that falls unannounced makes the answer late, not wrong: it is found when it is
/// looked up next.
class LazyQueue {
 public:
  static constexpr double k_out = std::numeric_limits<double>::infinity();

  /// For values of rows 0 .. count - 1; at first none of them is in the queue.
  explicit LazyQueue(std::size_t count) : score_(count, k_out), fresh_mark_(count, false) {}

  /// `id` comes in, or its score may have fallen.
  void renew(BufferId id) {
    if (fresh_mark_[id.index()]) return;
    fresh_mark_[id.index()] = true;
    fresh_.push_back(id);
  }

  /// `id` goes out, until it is renewed. Nothing when it is not in.
  void drop(BufferId id) { score_[id.index()] = k_out; }

  /// The value with the least score, ties to the lowest row; not valid when there is none. It stays
  /// in. `score_of(id)` is its score now; k_out takes it out until it is renewed.
  template <class ScoreOf>
  [[nodiscard]] BufferId least(ScoreOf score_of) {
    for (const BufferId id : std::exchange(fresh_, {})) {
      fresh_mark_[id.index()] = false;
      enter(id, score_of(id));
    }
    while (!heap_.empty()) {
      const auto [score, id] = heap_.front();
      if (score == score_[id.index()]) {
        const double now = score_of(id);
        if (now <= score) return id;
        pop();
        enter(id, now);
      } else {
        pop();  // went out, or has another entry
      }
    }
    return {};
  }

 private:
  using Entry = std::pair<double, BufferId>;

  void enter(BufferId id, double score) {
    score_[id.index()] = score;
    if (score == k_out) return;
    heap_.emplace_back(score, id);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }
  void pop() {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
  }

  std::vector<Entry> heap_;    // the least first; stale where it differs from score_
  std::vector<double> score_;  // by row, as last looked up; k_out = not in
  std::vector<BufferId> fresh_;
  std::vector<bool> fresh_mark_;
};

}  // namespace tidemark
