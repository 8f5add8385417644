// The form in which every planner of recomputation states its answer: for each op of the body,
// which earlier ops run once more just before it. Who keeps what for how long follows from that.
//
// This is the R matrix of Checkmate (Jain et al. 2020), stored by its entries. The originals run in
// the order of the body, so every input has been made once before anybody asks for it again: any
// set of entries can be executed, and only bytes and validity decide whether it is a plan.
//
// An instance is planned as a Dataflow, made from a trace (sim/graph.h) or from a plain graph
// (below); costs are then in the unit of the graph and bytes in its unit of size.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sim/graph.h"
#include "traces/trace.h"

namespace tidemark {

/// again[t]: positions of ops before t that run again immediately before op t, ascending, each
/// once. The size is that of the body.
struct Schedule {
  std::vector<std::vector<Position>> again;
  bool operator==(const Schedule&) const = default;
};

/// The schedule that executes every op once.
[[nodiscard]] Schedule keep_all_schedule(const Dataflow& flow);

/// What a schedule takes. An instance of a value lives from the execution that makes it to the last
/// execution that reads it before the value is made again, both included: nothing is kept longer
/// than needed. While an op runs its inputs, its outputs and all that is kept are live.
struct ScheduleFigures {
  std::int64_t cost_ns = 0;     // sum over all executions
  std::int64_t peak_bytes = 0;  // persistent buffers included
  Position peak_stage = -1;     // the op of the body before or at which it occurs
  Position peak_op = -1;        // the op that runs at that moment
  std::string illegal;          // empty = legal; else the first entry that may not be, and why
  bool operator==(const ScheduleFigures&) const = default;
};

/// Near-linear in the number of executions and their operands. Bytes are those of replay() for the
/// planned trace of decisions_of(), to the byte.
[[nodiscard]] ScheduleFigures evaluate(const Dataflow& flow, const Schedule& schedule);

/// The same schedule as decisions for apply_plan(): one per value that an added execution makes and
/// that somebody needs before it is made once more.
[[nodiscard]] std::vector<Decision> decisions_of(const Dataflow& flow, const Schedule& schedule);

/// The other way round; decisions to move values to the host are passed over.
[[nodiscard]] Schedule schedule_of(const Dataflow& flow, const std::vector<Decision>& decisions);

/// A graph of ops with one output each, in a topological order: the form of published benchmarks.
struct PlainGraph {
  std::vector<std::int64_t> costs;                           // by node, any unit, >= 0
  std::vector<std::int64_t> sizes;                           // of the output, any unit, >= 0
  std::vector<std::pair<std::int32_t, std::int32_t>> edges;  // (u, v): v reads u; u < v
};

/// Node i is op i of the body and value i; every value may leave and be made again at any time.
/// Throws InputError for an edge that leads backward or out of the graph, a negative cost or size,
/// sums that overflow, and lists of unequal length.
[[nodiscard]] Dataflow dataflow_of(const PlainGraph& graph);

}  // namespace tidemark
