#include "tests/bench/strategy_rows.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <thread>

#include "profiler/clock.h"
#include "profiler/ranks.h"
#include "sim/builder.h"
#include "sim/compare.h"
#include "sim/rank_search.h"

namespace tidemark::bench {
namespace {

/// struct sched_attr of sched_setattr(2); C libraries before glibc 2.41 do not have it.
struct Turns {
  std::uint32_t size = sizeof(Turns);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;  // of a turn; 0 = what the system likes
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};

/// Of the calling thread and those that it starts. A hint: Linux before 6.12 does without.
void set_turns(const Turns& turns) {
  (void)syscall(SYS_sched_setattr, 0, &turns, 0);
}

/// While one lives, this thread and those that it starts stay on one core, and keep it until they
/// wait, for 100 ms at most: what a rank finds in the cache, and so its CPU time, depends neither
/// on where the system puts it nor on others that it would take turns with every few milliseconds.
class OneCore {
 public:
  OneCore() {
    set_turns({.policy = SCHED_BATCH, .runtime_ns = 100'000'000});
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  ~OneCore() {
    sched_setaffinity(0, sizeof before_, &before_);
    set_turns({});
  }
  OneCore(const OneCore&) = delete;
  OneCore& operator=(const OneCore&) = delete;

 private:
  cpu_set_t before_{};
};

double cpu_ns(const Trace& run) {
  return static_cast<double>(median_step_ns(run, &StepRecord::cpu_ns));
}

/// Of one step, without the time of anything but ops.
double ops_ns(Trace trace) {
  trace.events.clear();
  return static_cast<double>(figures_of(trace).compute_ns);
}

double lines_of(const Trace& trace) {
  return static_cast<double>(trace.program.body.size());
}

/// What a line of a program costs beside its op, as the kept run says.
double line_ns(const Source& source) {
  return (cpu_ns(source.kept) - ops_ns(source.kept)) / lines_of(source.kept);
}

/// CPU time of a step, by the planned times of its ops.
double planned_cpu_ns(const Source& source, const Trace& planned) {
  return ops_ns(planned) + line_ns(source) * lines_of(planned);
}

/// Of a copy in memory, one core; measured once, apart from all plans.
double copy_bytes_per_ns() {
  static const double rate = [] {
    constexpr std::size_t k_bytes = 256 << 10;  // of an activation
    constexpr int k_times = 200;
    std::vector<std::byte> from(k_bytes * k_times), to(k_bytes * k_times);
    const auto copy_all = [&] {
      const std::int64_t begin_ns = thread_cpu_ns();
      for (std::size_t i = 0; i < from.size(); i += k_bytes) {
        std::memcpy(to.data() + i, from.data() + i, k_bytes);
      }
      return static_cast<double>(thread_cpu_ns() - begin_ns);
    };
    (void)copy_all();  // takes its pages
    return static_cast<double>(from.size()) / copy_all();
  }();
  return rate;
}

/// Wall time of a step of all ranks: that of the plan, or what the cores of this machine need to
/// get through the work of all of them and their copies.
double planned_wall_ns(const Source& source, const std::vector<Trace>& planned) {
  double longest_ns = 0;
  double work_ns = 0;
  for (const Trace& rank : planned) {
    longest_ns = std::max(
        longest_ns, static_cast<double>(rank.plan.step_ns) + line_ns(source) * lines_of(rank));
    work_ns += planned_cpu_ns(source, rank) +
               static_cast<double>(figures_of(rank).copied_bytes) / copy_bytes_per_ns();
  }
  return std::max(longest_ns, work_ns / std::thread::hardware_concurrency());
}

Trace run_kept(const Source& source) {
  RunOptions options = source.options();
  options.device_memory_bytes = source.kept.plan.height_bytes;
  return run(source.kept, options);
}

std::int64_t peak_error_bytes(const Trace& planned, const Trace& measured) {
  const Comparison c = compare(planned, measured);
  return std::max(std::abs(c.peak_error_bytes), std::abs(c.reserved_error_bytes));
}

/// Of `b`, which has no more steps than `a`.
double loss_error(const Trace& a, const Trace& b) {
  double largest = 0;
  for (std::size_t i = 0; i < b.steps.size(); ++i) {
    largest = std::max(largest, std::abs(b.steps[i].loss / a.steps.at(i).loss - 1));
  }
  return largest;
}

/// A step of the kept plan now, as a multiple of what was recorded.
double pace_of(const Source& source, const Row& row) {
  const Trace kept = run_kept(source);
  return (row.by_wall_time ? static_cast<double>(median_step_ns(kept)) : cpu_ns(kept)) /
         planned_cpu_ns(source, source.recorded);
}

/// Adds one execution to the row.
void add_round(const std::vector<Trace>& planned, const std::vector<Trace>& measured, Row& row) {
  double sum_ns = 0;
  for (std::size_t rank = 0; rank < planned.size(); ++rank) {
    row.peak_error_bytes =
        std::max(row.peak_error_bytes, peak_error_bytes(planned[rank], measured[rank]));
    sum_ns += row.by_wall_time ? static_cast<double>(median_step_ns(measured[rank]))
                               : cpu_ns(measured[rank]);
  }
  row.measured_ns = std::min(row.measured_ns, sum_ns / static_cast<double>(planned.size()));
}

/// What was planned, for a machine of this pace.
double predicted_ns(const Source& source, const std::vector<Trace>& planned, double pace,
                    bool by_wall_time) {
  if (by_wall_time) return pace * planned_wall_ns(source, planned);
  double sum_ns = 0;
  for (const Trace& rank : planned) sum_ns += planned_cpu_ns(source, rank);
  return pace * sum_ns / static_cast<double>(planned.size());
}

Row row_of(const Source& source, const std::string& name, const std::vector<Trace>& planned) {
  return {.name = source.config.model.name + " " + name,
          .ranks = static_cast<std::int32_t>(planned.size()),
          .peak_bytes = planned[0].plan.peak_bytes,
          .bitwise_equal = true,
          .by_wall_time = figures_of(planned[0]).copied_bytes > 0,
          .measured_ns = std::numeric_limits<double>::infinity()};
}

}  // namespace

RunOptions Source::options() const {
  RunOptions options;
  options.steps = steps;
  options.data = &data;
  return options;
}

Source record(const RunConfig& config, std::int64_t steps) {
  const OneCore core;
  constexpr std::int64_t k_times_more = 4;  // once for all plans: the median shall be a good one
  Source source{config, find_dataset(config, ""), build_program(config), {}, k_times_more * steps};
  source.recorded = run(source.recorded, source.options());
  source.kept = shard_placed(source.recorded, ShardStage::none, 1)[0];
  source.kept = run_kept(source);
  source.steps = steps;
  return source;
}

Row measure_one(const Source& source, const std::string& name, const Trace& planned) {
  RunOptions options = source.options();
  options.device_memory_bytes = planned.plan.height_bytes;
  Row row = row_of(source, name, {planned});
  std::optional<OneCore> core;
  if (!row.by_wall_time) core.emplace();
  double pace = pace_of(source, row);
  for (int round = 0; round < k_rounds; ++round) {
    const Trace measured = run(planned, options);
    row.bitwise_equal &= compare(source.recorded, measured).bitwise_equal == true;
    add_round({planned}, {measured}, row);
    pace = std::min(pace, pace_of(source, row));
  }
  row.predicted_ns = predicted_ns(source, {planned}, pace, row.by_wall_time);
  return row;
}

Row measure_ranks(const Source& source, const std::string& name, const std::vector<Trace>& planned,
                  const Trace& alone) {
  RunOptions options = source.options();
  options.device_memory_bytes = planned[0].plan.height_bytes;
  Row row = row_of(source, name, planned);
  std::optional<OneCore> core;
  if (!row.by_wall_time) core.emplace();
  double pace = pace_of(source, row);
  for (int round = 0; round < k_rounds; ++round) {
    RanksResult result = execute_ranks(planned, options);
    if (result.ended_by >= 0) {
      row.bitwise_equal = false;
      row.loss_error = std::numeric_limits<double>::infinity();
      return row;
    }
    std::vector<Trace> measured;
    for (RunResult& rank : result.ranks) {
      row.bitwise_equal &= compare(alone, rank.trace).first_difference.empty();
      row.loss_error = std::max(row.loss_error, loss_error(alone, rank.trace));
      measured.push_back(std::move(rank.trace));
    }
    add_round(planned, measured, row);
    pace = std::min(pace, pace_of(source, row));
  }
  row.predicted_ns = predicted_ns(source, planned, pace, row.by_wall_time);
  return row;
}

}  // namespace tidemark::bench
