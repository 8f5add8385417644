#include "profiler/copy_stream.h"

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
    ++queued_;
  }
  changed_.notify_all();
}

QueueMark CopyStream::mark() const {
  const std::lock_guard lock(mutex_);
  return {this, queued_};
}

void CopyStream::wait_until_done(std::int64_t position) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_ >= position; });
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
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const CopyTask task = std::move(queue_.front());
    queue_.pop_front();
    std::exception_ptr failure = failure_;
    lock.unlock();
    const std::int64_t begin_ns = clock_.now_ns();
    try {
      if (failure == nullptr) perform(task);
    } catch (...) {
      failure = std::current_exception();
    }
    const std::int64_t end_ns = clock_.now_ns();
    lock.lock();
    failure_ = failure;
    spans_.push_back({task.op, begin_ns, end_ns});
    ++done_;
    changed_.notify_all();
  }
}

void CopyStream::perform(const CopyTask& task) const {
  const auto begin = std::chrono::steady_clock::now();
  const QueueMark& wait = task.wait_for;
  if (wait.stream != nullptr) wait.stream->wait_until_done(wait.position);
  if (task.work) task.work();
  if (task.size_bytes <= 0) return;
  std::memcpy(task.to, task.from, static_cast<std::size_t>(task.size_bytes));
  std::this_thread::sleep_until(begin +
                                std::chrono::nanoseconds(transfer_ns(speed_, task.size_bytes)));
}

}  // namespace tidemark
