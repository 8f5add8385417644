// Published planning problems as plain graphs; used by benchmarks and tests only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/schedule.h"

namespace tidemark {

struct Instance {
  std::string name;
  PlainGraph graph;
  std::int64_t budget = -1;          // on live sizes, in the unit of the graph; -1 = none stated
  std::int64_t best_by_solver = -1;  // cost of a solver's schedule (Gurobi, 24 h); -1 = unknown
  std::int64_t best_known = -1;      // -1 = unknown
  std::vector<std::pair<Position, Position>> solver_schedule;  // (stage, op), op before stage
};

/// A Checkmate instance: an object with nodes {cost, mem_kb}, edges, avail_kb and perhaps `known`;
/// or a list of nodes {id, cost, mem, deps}, which states no budget. JSON, also compressed.
/// Throws InputError with the file and what is wrong with it.
[[nodiscard]] Instance read_checkmate(const std::string& path);

/// All files "*.json.gz" and "*.json" of a folder but best_known.json, by name. That file, when it
/// is there, gives best_by_solver ("gurobi_24h_best") and best_known.
[[nodiscard]] std::vector<Instance> read_checkmate_folder(const std::string& folder);

}  // namespace tidemark
