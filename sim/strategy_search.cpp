#include "sim/strategy_search.h"

#include <algorithm>
#include <future>
#include <limits>
#include <utility>
#include <vector>

namespace tidemark {
namespace {

constexpr double k_none = std::numeric_limits<double>::infinity();

/// One thread's part: every shape whose number leaves `part` when divided by `parts`.
class Part {
 public:
  Part(const TimeModel& time, const SearchSpace& space, const SearchGoal& goal)
      : time_(time), space_(space), goal_(goal) {}

  void run(std::int64_t part, std::int64_t parts) {
    std::int64_t number = 0;
    for_each_shape(time_.capacity().model(), space_, [&](Strategy& s) {
      shape_ = number++;
      if (shape_ % parts == part) visit(s);
    });
  }

  /// Keeps the better of both; of equals that which comes first in the space.
  void merge(const Part& other) {
    found_.points += other.found_.points;
    found_.too_slow += other.found_.too_slow;
    if (!other.found_.strategy) return;
    const auto key = [](const Part& p) { return std::pair(p.found_.step_ns, p.found_shape_); };
    if (found_.strategy && key(*this) <= key(other)) return;
    found_.strategy = other.found_.strategy;
    found_.step_ns = other.found_.step_ns;
    found_.peak_bytes = other.found_.peak_bytes;
    found_shape_ = other.found_shape_;
  }

  [[nodiscard]] const FastestStrategy& found() const { return found_; }

 private:
  void visit(Strategy& s) {
    for (const RecomputeSet recompute : space_.recomputes) {
      s.recompute = recompute;
      const LayerTimes layers = time_.layer_times(s);
      for (const bool on_host : {false, true}) {
        if (on_host && !goal_.tries_host) break;
        s.kept_on_host = on_host;
        for (const StateRecipe& recipe : space_.recipes) {
          s.recipe = recipe;
          point(s, layers);
        }
      }
    }
    s.kept_on_host = false;
    s.recipe = {};
  }

  void point(const Strategy& s, const LayerTimes& layers) {
    ++found_.points;
    const double best = found_.strategy ? found_.step_ns : k_none;
    const double step_ns = time_.least_ns(s, layers, goal_.skips ? best : k_none);
    if (step_ns >= best) {
      ++found_.too_slow;
      if (goal_.skips) return;
    }
    const double peak_bytes = time_.capacity().peak(s).total();
    if (peak_bytes > goal_.memory_bytes || step_ns >= best) return;
    found_.strategy = s;
    found_.step_ns = step_ns;
    found_.peak_bytes = peak_bytes;
    found_shape_ = shape_;
  }

  const TimeModel& time_;
  const SearchSpace& space_;
  const SearchGoal& goal_;
  FastestStrategy found_;
  std::int64_t shape_ = 0;
  std::int64_t found_shape_ = 0;
};

}  // namespace

FastestStrategy find_fastest(const TimeModel& time, const SearchSpace& space,
                             const SearchGoal& goal) {
  const std::int64_t parts = std::max<std::int64_t>(goal.threads, 1);
  std::vector<Part> all(static_cast<std::size_t>(parts), Part(time, space, goal));
  std::vector<std::future<void>> runs;
  for (std::int64_t i = 0; i < parts; ++i) {
    runs.push_back(std::async(
        std::launch::async, [&all, i, parts] { all[static_cast<std::size_t>(i)].run(i, parts); }));
  }
  for (std::future<void>& run : runs) run.get();
  for (std::size_t i = 1; i < all.size(); ++i) all[0].merge(all[i]);
  return all[0].found();
}

}  // namespace tidemark
