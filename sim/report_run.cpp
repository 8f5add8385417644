#include "sim/report_run.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <sstream>
#include <thread>
#include <utility>

#include "sim/part_log.h"
#include "traces/error.h"

namespace tidemark {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto k_pause = std::chrono::milliseconds(5);
constexpr auto k_between_reports = std::chrono::milliseconds(250);

/// Lines of finished parts, from the threads that make them to the one that keeps them.
class Finished {
 public:
  void put(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
    ready_.notify_one();
  }
  void fail(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    error_ = error;
    ready_.notify_one();
  }
  /// Waits a little; empty when there was nothing. Rethrows what a thread threw.
  std::deque<std::string> take() {
    std::unique_lock lock(mutex_);
    ready_.wait_for(lock, k_pause, [this] { return !lines_.empty() || error_; });
    if (error_) std::rethrow_exception(error_);
    return std::exchange(lines_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::string> lines_;
  std::exception_ptr error_;
};

/// Threads that take the next part until there is none. Joins them when it goes.
class Workers {
 public:
  Workers(const ReportSpec& spec, const std::vector<ReportPart>& parts,
          const std::vector<std::size_t>& todo, unsigned threads, Finished& finished) {
    const auto work = [this, &spec, &parts, &todo, &finished] {
      try {
        for (std::size_t i = next_++; i < todo.size() && !stop_; i = next_++) {
          finished.put(to_line(todo[i], run_part(spec, parts[todo[i]])));
        }
      } catch (...) {
        finished.fail(std::current_exception());
      }
    };
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back(work);
  }
  ~Workers() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

 private:
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

/// Cores that this process may run on: mpirun and Slurm give each of theirs a share.
unsigned allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
    return static_cast<unsigned>(CPU_COUNT(&set));
  }
  return std::max(1U, std::thread::hardware_concurrency());
}

std::string numbers_text(const std::vector<std::size_t>& numbers) {
  return fmt::format("{}", fmt::join(numbers, " "));
}

std::vector<std::size_t> numbers_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::size_t> out;
  for (std::size_t number = 0; in >> number;) out.push_back(number);
  return out;
}

/// Every size-th of what is to do.
std::vector<std::size_t> share_of(const std::vector<std::size_t>& todo, int rank, int size) {
  std::vector<std::size_t> out;
  for (std::size_t i = static_cast<std::size_t>(rank); i < todo.size();
       i += static_cast<std::size_t>(size)) {
    out.push_back(todo[i]);
  }
  return out;
}

/// Rank 0: what was done before, and all that comes in.
class Collector {
 public:
  Collector(const ReportSpec& spec, const ReportRunOptions& options, std::size_t parts)
      : options_(options), parts_(parts) {
    if (options.log_file.empty()) return;
    log_ = std::make_unique<PartLog>(options.log_file, spec.digest, parts);
    done_ = log_->done();
    before_ = done_.size();
  }

  [[nodiscard]] std::vector<std::size_t> todo() const {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < parts_; ++i) {
      if (!done_.contains(i)) out.push_back(i);
    }
    return out;
  }

  void add(const std::string& line) {
    if (log_) log_->add(line);
    auto [index, result] = part_from_line(line, parts_);
    visited_ += result.visited;
    done_.emplace(index, std::move(result));
  }

  [[nodiscard]] bool complete() const { return done_.size() == parts_; }

  void report(bool now) {
    const auto time = Clock::now();
    if (!options_.progress || (!now && time - reported_ < k_between_reports)) return;
    reported_ = time;
    options_.progress({done_.size(), before_, parts_, visited_,
                       std::chrono::duration<double>(time - begun_).count()});
  }

  [[nodiscard]] std::vector<PartResult> results() const {
    std::vector<PartResult> out;
    for (const auto& [index, result] : done_) out.push_back(result);
    return out;
  }

 private:
  const ReportRunOptions& options_;
  std::size_t parts_;
  std::unique_ptr<PartLog> log_;
  std::map<std::size_t, PartResult> done_;
  std::size_t before_ = 0;
  std::int64_t visited_ = 0;
  Clock::time_point begun_ = Clock::now();
  Clock::time_point reported_ = begun_;
};

}  // namespace

std::vector<PartResult> run_report(const ReportSpec& spec, const ReportRunOptions& options,
                                   RankGroup& group) {
  const std::vector<ReportPart> parts = report_parts(spec);
  std::optional<Collector> collector;
  std::string todo_text;
  if (group.rank() == 0) {
    collector.emplace(spec, options, parts.size());
    todo_text = numbers_text(collector->todo());
  }
  const std::vector<std::size_t> todo =
      share_of(numbers_of(group.share(todo_text)), group.rank(), group.size());
  const unsigned wanted = options.threads > 0 ? options.threads : allowed_cores();
  Finished finished;
  const Workers workers(spec, parts, todo,
                        std::min(wanted, static_cast<unsigned>(std::max<std::size_t>(
                                             1, std::min<std::size_t>(todo.size(), 4096)))),
                        finished);
  std::size_t sent = 0;
  while (collector ? !collector->complete() : sent < todo.size()) {
    for (std::string& line : finished.take()) {
      ++sent;
      if (collector) {
        collector->add(line);
      } else {
        group.send(line);
      }
    }
    while (collector) {
      const std::optional<std::string> line = group.receive();
      if (!line) break;
      collector->add(*line);
    }
    if (collector) collector->report(false);
  }
  if (!collector) return {};
  collector->report(true);
  return collector->results();
}

std::string progress_text(const RunProgress& p) {
  std::string out = fmt::format("{} of {} parts", p.parts_done, p.parts);
  if (p.seconds <= 0 || p.parts_done <= p.parts_before) return out;
  const double each_s = p.seconds / static_cast<double>(p.parts_done - p.parts_before);
  const auto left_s = std::llround(each_s * static_cast<double>(p.parts - p.parts_done));
  return out + fmt::format(", {:.3g} million strategies per second, {}:{:02} left",
                           static_cast<double>(p.visited) / p.seconds / 1e6, left_s / 60,
                           left_s % 60);
}

}  // namespace tidemark
