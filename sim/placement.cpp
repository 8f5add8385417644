#include "sim/placement.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <set>

#include "sim/pack.h"
#include "sim/pack_trace.h"

namespace tidemark {
namespace {

/// A search asks for many placements: of large programs the first, of others a few orders.
Packing pack_program(const PackProblem& blocks, std::int64_t enough_bytes) {
  constexpr std::size_t k_many = 5000;
  constexpr std::int64_t k_search_work = 5'000'000;  // pairs of blocks: a few ms
  Packing layout = pack_by_time(blocks);
  const bool searches = enough_bytes > 0;
  const std::int64_t enough = std::max(enough_bytes, pack_bound(blocks));
  if (layout.height_bytes <= enough || (searches && blocks.size() > k_many)) return layout;
  Packing other = pack_greedily(blocks, enough, {}, searches ? k_search_work : k_greedy_work);
  return other.height_bytes < layout.height_bytes ? other : layout;
}

}  // namespace

std::int64_t place(Trace& trace, Space space, std::int64_t enough_bytes) {
  const SpaceProblem problem = program_problem_of(trace, space);
  if (problem.blocks.empty()) return 0;
  const Packing layout = pack_program(problem.blocks, enough_bytes);
  assert(packing_error(problem.blocks, layout).empty());
  for (std::size_t i = 0; i < problem.buffers.size(); ++i) {
    trace.buffers[problem.buffers[i].index()].offset_bytes = layout.offset_bytes[i];
  }
  return layout.height_bytes;
}

std::int64_t place_all(Trace& trace, std::int64_t enough_bytes) {
  std::set<Space> spaces;
  for (const Buffer& buffer : trace.buffers) spaces.insert(buffer.space);
  std::int64_t device_height = 0;
  for (const Space& space : spaces) {
    const bool device = space == Space{SpaceKind::device, trace.meta.rank};
    const std::int64_t any = enough_bytes > 0 ? std::numeric_limits<std::int64_t>::max() / 2 : 0;
    const std::int64_t height = place(trace, space, device ? enough_bytes : any);
    if (device) device_height = height;
  }
  return device_height;
}

std::int64_t placement_height(const Trace& trace, Space space) {
  std::int64_t height = 0;
  for (const Buffer& buffer : trace.buffers) {
    if (buffer.space != space || buffer.offset_bytes < 0) continue;
    height = std::max(height, buffer.offset_bytes + counted_bytes(buffer));
  }
  return height;
}

std::int64_t placement_bound(const Trace& trace, Space space) {
  return pack_bound(program_problem_of(trace, space).blocks);
}

}  // namespace tidemark
