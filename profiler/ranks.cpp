#include "profiler/ranks.h"

#include <algorithm>
#include <exception>
#include <map>
#include <thread>

#include "profiler/cuda/nccl_communicator.h"
#include "profiler/cuda/rank_devices.h"
#include "profiler/long_turns.h"
#include "sim/check.h"
#include "sim/op_table.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// Ranks meet in the order in which they issue collectives, so that a group has one queue.
void require_one_stream_per_group(const Trace& trace) {
  std::map<std::int64_t, StreamId> stream_of;
  for (std::size_t i = 0; i < trace.ops.size(); ++i) {
    const Op& op = trace.ops[i];
    if (!is_collective(op.kind)) continue;
    const auto [known, fresh] = stream_of.emplace(integer_at(op, "group", 0), op.stream);
    if (fresh || known->second == op.stream) continue;
    throw InputError({trace.meta.source, "op " + std::to_string(i) + " '" + op.name + "'",
                      "all collectives of a group on one stream", "a second one"});
  }
}

using RankGroup = std::vector<std::int32_t>;

/// Groups of the collectives of a section, in issue order.
std::vector<RankGroup> meetings_of(const Trace& trace, const std::vector<Instruction>& section) {
  std::vector<RankGroup> out;
  for (const Instruction& line : section) {
    if (line.kind != InstructionKind::run || !is_collective(trace[line.op()].kind)) continue;
    const auto group = static_cast<std::size_t>(integer_at(trace[line.op()], "group", 0));
    out.push_back(trace.groups[group].ranks);
  }
  return out;
}

/// Every rank in turn waits at its next meeting; one takes place when all of its group wait there.
/// With several groups, ranks could wait for each other in a circle.
void require_no_circle(std::span<const Trace> programs, std::size_t section) {
  std::vector<std::vector<RankGroup>> meetings;
  for (const Trace& trace : programs) {
    meetings.push_back(meetings_of(trace, *sections_of(trace.program)[section]));
  }
  std::vector<std::size_t> next(programs.size(), 0);
  const auto waits_for = [&](std::size_t rank, const RankGroup& group) {
    return next[rank] < meetings[rank].size() && meetings[rank][next[rank]] == group;
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t rank = 0; rank < programs.size(); ++rank) {
      if (next[rank] == meetings[rank].size()) continue;
      const RankGroup& group = meetings[rank][next[rank]];
      const bool all = std::all_of(group.begin(), group.end(), [&](std::int32_t other) {
        return waits_for(static_cast<std::size_t>(other), group);
      });
      if (!all) continue;
      for (const std::int32_t other : group) ++next[static_cast<std::size_t>(other)];
      moved = true;
      break;  // `group` is not valid any more
    }
  }
  for (std::size_t rank = 0; rank < programs.size(); ++rank) {
    if (next[rank] == meetings[rank].size()) continue;
    throw InputError({programs[rank].meta.source, "rank " + std::to_string(rank),
                      "groups that meet in an order in which all of them can",
                      "ranks that wait for each other in a circle"});
  }
}

void require_together(std::span<const Trace> programs, const RunOptions& options) {
  for (const Trace& trace : programs) {
    if (trace.meta.rank_count == static_cast<std::int32_t>(programs.size())) continue;
    throw InputError({trace.meta.source, "meta.rank_count", std::to_string(programs.size()),
                      std::to_string(trace.meta.rank_count)});
  }
  if (!options.check) return;
  if (const std::vector<Finding> findings = check_ranks(programs, 1); !findings.empty()) {
    throw InputError({programs[0].meta.source, findings[0].place, "a legal program of all ranks",
                      findings[0].message});
  }
  for (const Trace& trace : programs) require_one_stream_per_group(trace);
  for (std::size_t section = 0; section < 4; ++section) require_no_circle(programs, section);
}

/// The first rank that could not go on by itself; -1 = none.
std::int32_t ended_by(const std::vector<RunResult>& ranks) {
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    if (ranks[rank].shortage || !ranks[rank].failure.empty()) {
      return static_cast<std::int32_t>(rank);
    }
  }
  return -1;
}

/// On CUDA: the device of the rank's number.
void give_device(RunOptions& options, std::size_t rank, std::size_t ranks) {
  if (options.backend != BackendKind::cuda) return;
  const RankDevice mine = device_of_thread(*options.cuda, static_cast<std::int32_t>(rank),
                                           static_cast<std::int32_t>(ranks));
  options.cuda_device = mine.device;
  options.device = mine.name;
}

/// In the thread of the rank. What joins the devices lives as long as the rank works: they leave
/// together.
RunResult run_rank(const Trace& program, RunOptions& options, std::unique_ptr<ReadyRun>& run) {
  std::unique_ptr<Communicator> between_devices;
  if (options.backend == BackendKind::cuda) {
    if (options.nccl == nullptr) throw std::logic_error("several CUDA ranks without NCCL");
    open_device(options);
    between_devices = make_nccl_communicator(*options.communicator, *options.nccl, program);
    options.communicator = between_devices.get();
  }
  try {
    run = std::make_unique<ReadyRun>(program, options);
    return run->result();
  } catch (...) {
    options.communicator->stop();
    throw;
  }
}

}  // namespace

RanksResult execute_ranks(std::span<const Trace> programs, const RunOptions& options,
                          const std::vector<std::string>& streams) {
  require_together(programs, options);
  const auto team = make_thread_team(static_cast<std::int32_t>(programs.size()));
  std::vector<RunOptions> of_rank(programs.size(), options);
  for (std::size_t rank = 0; rank < programs.size(); ++rank) {
    RunOptions& mine = of_rank[rank];
    mine.check = false;  // done, for all together
    mine.communicator = team[rank].get();
    mine.stream = streams.empty() ? "" : streams[rank];
    if (rank > 0) mine.on_step = {};
    give_device(mine, rank, programs.size());
  }
  RanksResult out;
  out.ranks.resize(programs.size());
  std::vector<std::unique_ptr<ReadyRun>> runs(programs.size());
  std::vector<std::exception_ptr> bugs(programs.size());
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < programs.size(); ++rank) {
    threads.emplace_back([&, rank] {
      ask_for_long_turns();
      try {
        out.ranks[rank] = run_rank(programs[rank], of_rank[rank], runs[rank]);
      } catch (const TeamStopped&) {
        out.ranks[rank].stopped = true;  // before it began
      } catch (...) {
        bugs[rank] = std::current_exception();
        team[rank]->stop();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  runs.clear();  // not before all are done: ranks read each other's memory
  for (const std::exception_ptr& bug : bugs) {
    if (bug != nullptr) std::rethrow_exception(bug);
  }
  out.ended_by = ended_by(out.ranks);
  return out;
}

RunResult execute_rank(std::span<const Trace> programs, std::int32_t rank,
                       const RunOptions& options) {
  require_together(programs, options);
  RunOptions mine = options;
  mine.check = false;  // done, for all together
  std::unique_ptr<ReadyRun> run;
  return run_rank(programs[static_cast<std::size_t>(rank)], mine, run);
}

}  // namespace tidemark
