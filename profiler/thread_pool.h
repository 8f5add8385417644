// Threads that share the work of one kernel at a time, and are parked in between.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace tidemark {

class ThreadPool {
 public:
  /// `threads` at least 1, the caller of run() included. None spins: one that waits costs nothing.
  explicit ThreadPool(std::int64_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Calls part(0) ... part(count - 1), each once, by whichever thread is free; returns when all
  /// are done. Throws what a part threw, after the others; only one thread may call it.
  void run(std::int64_t count, const std::function<void(std::int64_t)>& part);

 private:
  void serve();
  void take_parts();

  std::vector<std::thread> helpers_;
  std::mutex mutex_;
  std::condition_variable begun_;  // or stopped
  std::condition_variable done_;
  // Guarded by mutex_; a helper that is at work reads the job without.
  const std::function<void(std::int64_t)>* part_ = nullptr;  // null: nothing to do
  std::int64_t count_ = 0;
  std::uint64_t round_ = 0;
  std::int64_t at_work_ = 0;  // helpers
  std::exception_ptr error_;
  bool stopped_ = false;
  std::atomic<std::int64_t> next_{0};
};

}  // namespace tidemark
