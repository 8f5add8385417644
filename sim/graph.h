// The body of a program seen as dataflow: who makes each value, who needs it, and whether it may
// leave the device in between. Everything that plans works on this view.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// Place of an op in the body, 0-based, in issue order; -1 = not in the body.
using Position = std::int32_t;
inline constexpr Position k_never = std::numeric_limits<Position>::max();

/// One buffer as the body sees it.
struct Value {
  bool local = false;    // allocated and freed by the body; else it lives through the whole step
  bool movable = false;  // local, on the device, shares no storage, used by the compute stream only
  bool parkable = false;   // optimizer state that may wait on the host from its last use on to its
                           // first one in the next step
  std::int64_t bytes = 0;  // counted (rounded up); 0 for views and other spaces
  Position producer = -1;  // of the first write in the body
  Position last_write = -1;
  std::int32_t writes = 0;     // ops of the body that write it
  bool recomputable = false;   // written once, by an op that may run again
  Position valid_until = -1;   // its producer reads the same inputs before any op up to this one
  std::vector<Position> uses;  // ascending; the producer is the first

  [[nodiscard]] Position last_use() const { return uses.empty() ? -1 : uses.back(); }
};

/// One op of the body. Lists hold each buffer once, in operand order.
struct BodyOp {
  OpId op;
  std::int64_t duration_ns = 0;
  std::vector<BufferId> reads;    // local buffers only
  std::vector<BufferId> outputs;  // local buffers written and not read
  std::vector<BufferId> touches;  // every local operand
};

struct Dataflow {
  std::vector<BodyOp> body;        // by position
  std::vector<Position> position;  // by op row
  std::vector<Value> values;       // by buffer row
  std::vector<std::int64_t>
      begin_ns;  // of each op when the ops run back to back; one more at the end
  std::vector<BufferId> persistent;   // on the device through the whole body
  std::int64_t persistent_bytes = 0;  // their sum

  [[nodiscard]] const Value& operator[](BufferId id) const { return values[id.index()]; }
  [[nodiscard]] std::int64_t compute_ns() const { return begin_ns.back(); }
  /// The op that makes `id`; the value must have a producer.
  [[nodiscard]] const BodyOp& producer_of(BufferId id) const {
    return body[static_cast<std::size_t>(values[id.index()].producer)];
  }
};

/// Near-linear in the size of the body.
[[nodiscard]] Dataflow dataflow_of(const Trace& source);

/// The same body when `parked` (parkable values) are on the device from their first use to their
/// last one only.
[[nodiscard]] Dataflow with_parked(const Dataflow& flow, const std::vector<BufferId>& parked);

/// Live bytes on the device while each op of the body runs when nothing is removed.
[[nodiscard]] std::vector<std::int64_t> keep_all_bytes(const Dataflow& flow);

/// Values that every path through the forward ops crosses: cutting one there separates what comes
/// before from what comes after. In order of production. These are the places where Chen et al.
/// (2016) put checkpoints. Values that cannot be made again (inputs) are not part of the graph.
/// Forward are the ops before `backward_begin`.
[[nodiscard]] std::vector<BufferId> articulation_values(const Dataflow& flow,
                                                        Position backward_begin);

}  // namespace tidemark
