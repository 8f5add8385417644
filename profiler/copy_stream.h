// A copy or communication stream of the CPU backend: one thread that works off an in-order queue,
// as a copy engine of a GPU does.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "profiler/clock.h"
#include "profiler/recorder.h"

namespace tidemark {

/// Declared speed of a link. 0 = as fast as memory is.
struct LinkSpeed {
  double bytes_per_s = 0;
  std::int64_t latency_ns = 0;  // added to each copy
};

/// Least time of one copy over a link.
[[nodiscard]] std::int64_t transfer_ns(const LinkSpeed& speed, std::int64_t size_bytes);

class CopyStream;

/// A place in the queue of a stream: everything that was queued before it. Without a stream it
/// is reached already.
struct QueueMark {
  const CopyStream* stream = nullptr;
  std::int64_t position = 0;
};

/// One thing to do. A copy when `size_bytes` > 0; a wait when `wait_for` has a stream; `work` when
/// there is any (a collective); else nothing which still takes its turn and is timed
/// (record_event).
struct CopyTask {
  OpId op{};
  std::int64_t queued_ns = 0;  // when; set by enqueue()
  std::byte* to = nullptr;
  const std::byte* from = nullptr;
  std::int64_t size_bytes = 0;
  QueueMark wait_for{};
  std::function<void()> work{};
};

/// Tasks are done in order. A task begins when it is queued and the one before it has ended, as it
/// would on a copy engine, even if its thread wakes up later. A copy ends transfer_ns after its
/// begin, or when its bytes are there if that is later; the thread sleeps out the rest, so that it
/// takes no CPU time from the compute thread.
class CopyStream {
 public:
  CopyStream(const Clock& clock, const LinkSpeed& speed);
  /// Finishes what is queued.
  ~CopyStream();
  CopyStream(const CopyStream&) = delete;
  CopyStream& operator=(const CopyStream&) = delete;

  void enqueue(const CopyTask& task);

  /// Mark of all that has been queued so far. A task may wait only for marks made before it was
  /// queued, on any stream: so no cycle of waits can form.
  [[nodiscard]] QueueMark mark() const;

  /// Blocks the caller until everything before `position` is done. Returns when the last task ended
  /// that is done by then.
  std::int64_t wait_until_done(std::int64_t position) const;
  void drain() const { wait_until_done(mark().position); }

  /// Throws what the first task that failed threw. The tasks behind it count as done.
  void rethrow_failure() const;

  /// Times of the tasks done since the last call. Call when drained.
  [[nodiscard]] std::vector<CopySpan> take_spans();

 private:
  void work();
  /// Returns when it ended; `begin_ns`: when it could begin.
  [[nodiscard]] std::int64_t perform(const CopyTask& task, std::int64_t begin_ns) const;

  const Clock& clock_;
  LinkSpeed speed_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::deque<CopyTask> queue_;
  std::int64_t queued_ = 0;
  std::int64_t done_ = 0;
  std::int64_t ended_ns_ = 0;  // the last task that is done
  bool closing_ = false;
  std::vector<CopySpan> spans_;
  std::exception_ptr failure_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace tidemark
