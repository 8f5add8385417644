// The thread that answers the what-if panel, so that the window never waits. The newest question
// counts: work for an older one is stopped, and its answers never arrive.
#pragma once

#include <QObject>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "gui/whatif_planner.h"

namespace tidemark {

/// What is known of a run once it is ready to be planned.
struct WhatIfFacts {
  RunConfig recorded;
  bool can_change = false;       // the configuration
  std::int64_t least_bytes = 0;  // no plan is lower
  std::int64_t most_bytes = 0;   // with everything kept
};

class WhatIfWorker : public QObject {
  Q_OBJECT

 public:
  explicit WhatIfWorker(QObject* parent = nullptr);
  ~WhatIfWorker() override;

  /// Makes `base` ready; opened() or refused() follows. Questions before that wait for it.
  void open(RunPtr base);
  /// answered() follows at once, and again when other variants and the search found better.
  void ask(const WhatIf& what_if);
  /// The front of step time against memory; front_found() follows.
  void ask_front(const WhatIf& what_if, int count);
  /// Frees one control after the other until something fits; fitted() follows.
  void ask_fit(const WhatIf& what_if);
  /// Stops what is at work. What was found stays.
  void cancel();

  /// How long a question must be the newest before the search for a better plan begins.
  static constexpr int k_settle_ms = 200;

 signals:  // all in the thread of this object
  void opened(const tidemark::WhatIfFacts& facts);
  void refused(const QString& why);  // the open run cannot be planned, or this cannot be asked
  void answered(tidemark::WhatIfResultPtr result);
  void front_found(const std::vector<tidemark::WhatIfResultPtr>& results);
  void fitted(const tidemark::WhatIf& what_if, tidemark::WhatIfResultPtr result);
  void progressed(const tidemark::WhatIfProgress& progress);
  void finished();  // nothing is left to do

 private:
  struct Job {
    enum class Kind { question, front, fit };
    Kind kind = Kind::question;
    WhatIf what_if{};
    int count = 0;
    std::uint64_t serial = 0;
  };

  struct Opening {
    RunPtr base;
    std::uint64_t serial = 0;
  };

  void put(Job job);
  void work();
  void make_ready(const Opening& opening);
  void carry_out(const Job& job);
  void answer(const Job& job);
  void fit(const Job& job);
  [[nodiscard]] bool is_newest(std::uint64_t serial) const { return newest_ == serial; }
  [[nodiscard]] KeepGoing going(std::uint64_t serial);
  /// False when a newer question came meanwhile.
  bool settle(std::uint64_t serial);
  /// Calls `tell` in the thread of this object unless a newer question came meanwhile.
  template <class Tell>
  void post(std::uint64_t serial, Tell tell);

  std::unique_ptr<WhatIfPlanner> planner_;  // of the thread
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Opening> opening_;  // to be made ready
  std::optional<Job> next_;         // to be carried out
  bool stop_ = false;
  std::atomic<std::uint64_t> newest_{0};
  std::atomic<std::uint64_t> newest_open_{0};
  std::thread thread_;
};

/// The same question with more left to the planner, step by step: recompute and offload, then
/// attention and micro-batches, then the batch, then precision and optimizer. Without repetition,
/// beginning with `what_if` itself.
[[nodiscard]] std::vector<WhatIf> freed(const WhatIf& what_if, const WhatIfFacts& facts);

}  // namespace tidemark
