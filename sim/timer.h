// A limit on the clock.
#pragma once

#include <chrono>
#include <ctime>
#include <limits>

namespace tidemark {

/// Counts from its construction, in wall time or in processor time of the whole process (all
/// threads together): the latter says what a busy machine would have done alone.
class Timer {
 public:
  /// A limit of 0 = none.
  explicit Timer(double limit_s = 0, bool cpu_time = false)
      : limit_s_(limit_s), cpu_time_(cpu_time), begin_s_(now_s()) {}
  [[nodiscard]] double limit_s() const { return limit_s_; }
  [[nodiscard]] bool is_cpu_time() const { return cpu_time_; }
  [[nodiscard]] double spent_s() const { return now_s() - begin_s_; }
  /// Negative when the limit is over; infinite without one.
  [[nodiscard]] double left_s() const {
    return limit_s_ > 0 ? limit_s_ - spent_s() : std::numeric_limits<double>::infinity();
  }
  [[nodiscard]] bool over() const { return limit_s_ > 0 && spent_s() > limit_s_; }

 private:
  [[nodiscard]] double now_s() const {
    if (cpu_time_) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(now).count();
  }

  double limit_s_ = 0;
  bool cpu_time_ = false;
  double begin_s_ = 0;
};

}  // namespace tidemark
