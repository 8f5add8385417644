// The clock of a recording: of the machine, or a virtual one that a dry run moves by itself.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace tidemark {

/// Nanoseconds since the recording began. Copy threads may read a machine clock at the same time;
/// stop() and go() are for moments when none of them works.
class Clock {
 public:
  explicit Clock(bool is_virtual) : is_virtual_(is_virtual), origin_(machine_ns()) {}

  [[nodiscard]] std::int64_t now_ns() const {
    return is_virtual_ ? virtual_ns_ : machine_ns() - origin_;
  }

  /// Virtual clock: not before `time_ns`.
  void advance_to(std::int64_t time_ns) { virtual_ns_ = std::max(virtual_ns_, time_ns); }

  /// Between stop() and go() no time passes: digests are outside of every step.
  void stop() { stopped_at_ = machine_ns(); }
  void go() { origin_ += machine_ns() - stopped_at_; }

 private:
  static std::int64_t machine_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  bool is_virtual_;
  std::int64_t origin_;
  std::int64_t stopped_at_ = 0;
  std::int64_t virtual_ns_ = 0;
};

/// CPU time of the calling thread.
[[nodiscard]] std::int64_t thread_cpu_ns();

}  // namespace tidemark
