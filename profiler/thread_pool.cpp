#include "profiler/thread_pool.h"

#include <utility>

namespace tidemark {

ThreadPool::ThreadPool(std::int64_t threads) {
  for (std::int64_t i = 1; i < threads; ++i) helpers_.emplace_back([this] { serve(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  begun_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadPool::run(std::int64_t count, const std::function<void(std::int64_t)>& part) {
  if (helpers_.empty() || count < 2) {
    for (std::int64_t i = 0; i < count; ++i) part(i);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    part_ = &part;
    count_ = count;
    next_ = 0;
    ++round_;
  }
  begun_.notify_all();
  take_parts();
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return at_work_ == 0; });
  part_ = nullptr;  // a helper that comes too late finds nothing
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::take_parts() {
  for (std::int64_t i = next_++; i < count_; i = next_++) {
    try {
      (*part_)(i);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
}

void ThreadPool::serve() {
  std::uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    begun_.wait(lock, [&] { return stopped_ || (part_ != nullptr && round_ != seen); });
    if (stopped_) return;
    seen = round_;
    ++at_work_;
    lock.unlock();
    take_parts();
    lock.lock();
    if (--at_work_ == 0) done_.notify_one();
  }
}

}  // namespace tidemark
