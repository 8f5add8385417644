#include "tests/bench/strategy_rows.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "profiler/ranks.h"
#include "sim/builder.h"
#include "sim/compare.h"
#include "sim/rank_search.h"

namespace tidemark::bench {
namespace {

/// While one lives, this thread and those that it starts stay on one core: what a rank finds in the
/// cache, and so its CPU time, does not depend on where the system puts it.
class OneCore {
 public:
  OneCore() {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  ~OneCore() { sched_setaffinity(0, sizeof before_, &before_); }
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

/// CPU time of a step of `planned` as a multiple of that of the program that keeps all: the ops of
/// both, and what a line of a program costs beside them, which the kept run says.
double times_kept(const Source& source, const Trace& planned) {
  const double line_ns = (cpu_ns(source.kept) - ops_ns(source.kept)) / lines_of(source.kept);
  const auto step_ns = [line_ns](const Trace& trace) {
    return ops_ns(trace) + line_ns * lines_of(trace);
  };
  return step_ns(planned) / step_ns(source.recorded);
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

/// Adds one execution to the row.
void add_round(const Source& source, const std::vector<Trace>& planned,
               const std::vector<Trace>& measured, Row& row) {
  const double again_ns = row.by_wall_time ? 0 : cpu_ns(run_kept(source));
  const double share = 1.0 / static_cast<double>(planned.size() * k_rounds);
  for (std::size_t rank = 0; rank < planned.size(); ++rank) {
    row.peak_error_bytes =
        std::max(row.peak_error_bytes, peak_error_bytes(planned[rank], measured[rank]));
    row.measured_ns +=
        share * (row.by_wall_time ? static_cast<double>(median_step_ns(measured[rank]))
                                  : cpu_ns(measured[rank]));
    row.predicted_ns += share * (row.by_wall_time ? static_cast<double>(planned[rank].plan.step_ns)
                                                  : again_ns * times_kept(source, planned[rank]));
  }
}

Row row_of(const Source& source, const std::string& name, const std::vector<Trace>& planned) {
  return {.name = source.config.model.name + " " + name,
          .ranks = static_cast<std::int32_t>(planned.size()),
          .peak_bytes = planned[0].plan.peak_bytes,
          .bitwise_equal = true,
          .by_wall_time = figures_of(planned[0]).copied_bytes > 0};
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
  for (int round = 0; round < k_rounds; ++round) {
    const Trace measured = run(planned, options);
    row.bitwise_equal &= compare(source.recorded, measured).bitwise_equal == true;
    add_round(source, {planned}, {measured}, row);
  }
  return row;
}

Row measure_ranks(const Source& source, const std::string& name, const std::vector<Trace>& planned,
                  const Trace& alone) {
  RunOptions options = source.options();
  options.device_memory_bytes = planned[0].plan.height_bytes;
  Row row = row_of(source, name, planned);
  std::optional<OneCore> core;
  if (!row.by_wall_time) core.emplace();
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
    add_round(source, planned, measured, row);
  }
  return row;
}

}  // namespace tidemark::bench
