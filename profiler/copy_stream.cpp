#include "profiler/copy_stream.h"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

namespace tidemark {

std::int64_t transfer_ns(const LinkSpeed& speed, std::int64_t size_bytes) {
  if (speed.bytes_per_s <= 0) return speed.latency_ns;
  const double seconds = static_cast<double>(size_bytes) / speed.bytes_per_s;
  return speed.latency_ns + static_cast<std::int64_t>(std::ceil(seconds * 1e9));
}

CopyStream::CopyStream(const Clock& clock, const LinkSpeed& speed)
    : clock_(clock), speed_(speed), thread_([this] { work(); }) {}

CopyStream::~CopyStream() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CopyStream::enqueue(const CopyTask& task) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(task);
    queue_.back().queued_ns = clock_.now_ns();
    ++queued_;
  }
  changed_.notify_all();
}

QueueMark CopyStream::mark() const {
  const std::lock_guard lock(mutex_);
  return {this, queued_};
}

std::int64_t CopyStream::wait_until_done(std::int64_t position) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_ >= position; });
  return ended_ns_;
}

std::vector<CopySpan> CopyStream::take_spans() {
  const std::lock_guard lock(mutex_);
  return std::exchange(spans_, {});
}

void CopyStream::rethrow_failure() const {
  const std::lock_guard lock(mutex_);
  if (failure_ != nullptr) std::rethrow_exception(failure_);
}

void CopyStream::work() {
  // Else a sleep may be 50 us longer, which is half of a small copy.
  prctl(PR_SET_TIMERSLACK, 1);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const CopyTask task = std::move(queue_.front());
    queue_.pop_front();
    std::exception_ptr failure = failure_;
    const std::int64_t begin_ns = std::max(task.queued_ns, ended_ns_);
    lock.unlock();
    std::int64_t end_ns = begin_ns;
    try {
      if (failure == nullptr) end_ns = perform(task, begin_ns);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    failure_ = failure;
    ended_ns_ = end_ns;
    spans_.push_back({task.op, begin_ns, end_ns});
    ++done_;
    changed_.notify_all();
  }
}

std::int64_t CopyStream::perform(const CopyTask& task, std::int64_t begin_ns) const {
  if (const QueueMark& wait = task.wait_for; wait.stream != nullptr) {
    return std::max(begin_ns, wait.stream->wait_until_done(wait.position));
  }
  if (task.work) {
    task.work();
    return clock_.now_ns();
  }
  if (task.size_bytes <= 0) return begin_ns;
  std::memcpy(task.to, task.from, static_cast<std::size_t>(task.size_bytes));
  const std::int64_t copied_ns = clock_.now_ns();
  const std::int64_t due_ns = begin_ns + transfer_ns(speed_, task.size_bytes);
  std::this_thread::sleep_for(std::chrono::nanoseconds(due_ns - copied_ns));
  return std::max(copied_ns, due_ns);
}

}  // namespace tidemark
