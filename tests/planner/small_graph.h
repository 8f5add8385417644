// Random plain graphs that are small enough to try everything.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "sim/schedule.h"

namespace tidemark {

/// A chain of `half` nodes and back again with a few more edges; costs and sizes are random, some
/// zero.
[[nodiscard]] PlainGraph small_graph(std::uint64_t seed, std::int32_t half);

/// Cost and peak of every schedule of a graph of at most 6 nodes, by the judge. A schedule that is
/// neither cheaper nor lower than another is left out.
[[nodiscard]] std::vector<std::pair<std::int64_t, std::int64_t>> all_schedules(
    const PlainGraph& graph);

/// Least cost with a peak of at most `limit`; -1 when there is none.
[[nodiscard]] std::int64_t optimum_of(
    const std::vector<std::pair<std::int64_t, std::int64_t>>& schedules, std::int64_t limit);

}  // namespace tidemark
