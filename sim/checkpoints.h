// Schedules of methods that keep checkpoints: what stays when backward begins, and what stays while
// each part of the forward pass is reversed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/baselines.h"

namespace tidemark {

/// From op `from` on, once what it needs is there, only `kept` stays of what may be made again.
/// What is missing later is made again when it is asked for, and stays until the next stage.
struct KeptFrom {
  Position from = -1;
  std::vector<BufferId> kept;
};

/// Carries out `stages`, ascending in `from`; the first must not lie before backward_begin.
/// Values that backward_begin makes impossible to have back (an input changes too early) stay.
[[nodiscard]] Schedule keep_only(const Dataflow& flow, Position backward_begin,
                                 const std::vector<KeptFrom>& stages);

/// The forward pass as a chain of segments. Segment i ends with cut i (the last one with the end of
/// the forward pass), and needs cut i - 1 to run again.
struct Chain {
  std::vector<BufferId> cuts;                   // articulation values, in order
  std::vector<std::vector<BufferId>> interior;  // by segment: values that backward reads
  std::vector<Position> reversed_from;          // by segment: first backward op that reads them
  std::vector<std::int64_t> forward_ns;         // by segment
  [[nodiscard]] std::size_t size() const { return interior.size(); }
};

/// At most `most_segments`: neighbours are joined evenly.
[[nodiscard]] Chain chain_of(const Dataflow& flow, Position backward_begin,
                             std::size_t most_segments);

/// What is stored while a segment is reversed: cuts and whole segments, by index, ascending.
struct Reversal {
  std::int32_t segment = -1;
  std::vector<std::int32_t> cuts;
  std::vector<std::int32_t> whole;
};

/// The last segment first; reversing a segment keeps its interior too.
[[nodiscard]] Schedule reverse_chain(const Dataflow& flow, Position backward_begin,
                                     const Chain& chain, const std::vector<Reversal>& reversals);

/// Griewank and Walther 2000 (Algorithm 799): least number of forward steps that are run again to
/// reverse `steps` steps with `slots` checkpoints, the initial state included; both >= 1.
[[nodiscard]] std::int64_t revolve_steps(std::int32_t steps, std::int32_t slots);
[[nodiscard]] std::vector<Reversal> revolve(std::int32_t steps, std::int32_t slots);

/// A heterogeneous chain in slots of memory (Beaumont et al. 2019, "Optimal checkpointing for
/// heterogeneous chains", persistent schedules): cut_slots[i] for the output of segment i,
/// whole_slots[i] for all that its reversal needs, its output included.
struct ChainCosts {
  std::vector<std::int64_t> forward_ns;
  std::vector<std::int32_t> cut_slots;
  std::vector<std::int32_t> whole_slots;
};
struct RotorPlan {
  bool fits = false;
  std::int64_t again_ns = 0;  // forward time beyond one run of every segment
  std::vector<Reversal> reversals;
  std::int64_t solved = 0;  // intervals solved; equal ones count once
};
/// One plan for each number of slots from 0 to `slots`. Runs of equal segments are solved once.
[[nodiscard]] std::vector<RotorPlan> rotor(const ChainCosts& chain, std::int32_t slots);

}  // namespace tidemark
