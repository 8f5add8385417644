// Writes the body of a planned program op by op: which instance of each buffer is current, what is
// copied where, and from when to when each buffer must be allocated.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/graph.h"
#include "traces/trace.h"

namespace tidemark {

/// Added rows carry origin, copy number and decision. Allocations stand before the first line that
/// touches a buffer and frees after the last one. A wait touches what the awaited copy touches, so
/// that a free after an asynchronous copy stands behind a wait for it (rule 6).
class BodyWriter {
 public:
  BodyWriter(const Trace& source, const Dataflow& flow);

  /// What is added next belongs to this decision and runs in the phase of this op.
  void at(DecisionId decision, OpId place);

  /// An op of the source, on the current instances of its operands.
  void run(OpId op);
  /// The producer of `wanted` once more: fresh buffers become current for what is wanted, other
  /// outputs go to scratch that lives for this op only.
  void clone(OpId op, const std::vector<BufferId>& wanted);

  /// The four points of an offload, in this order: the copy to the host is issued; the device copy
  /// is given up; the fetch is issued into a fresh buffer; that buffer becomes current.
  void store(BufferId buffer);
  void release();
  void fetch();
  void arrive();

  /// Optimizer state lives on the host from the end of init on; then fetch(), arrive(), store() and
  /// release() follow in this order, in every step.
  void park(BufferId buffer);

  /// The planned trace without its decisions; the writer is empty afterwards.
  [[nodiscard]] Trace finish();

 private:
  /// One line of the body and the owning buffers that must be allocated there.
  struct Line {
    OpId op;
    std::vector<BufferId> touches;
  };
  struct Offload {
    BufferId source, device, host, fetched;
    std::int64_t stored_event = -1;   // the copy to the host is done
    std::int64_t fetched_event = -1;  // the copy to the device is done
  };

  BufferId add_buffer(BufferId origin, const char* suffix);
  BufferId add_host_buffer(BufferId origin);
  Op& add_op(OpKind kind, const std::string& name, StreamId stream);
  void add_event(OpKind kind, StreamId stream, std::int64_t event, std::vector<BufferId> touches);
  void add_copy(StreamId stream, BufferId from, BufferId to);
  void move(StreamId stream, BufferId from, BufferId to, std::int64_t done_event);
  StreamId stream_of(StreamKind kind, const char* name);
  Offload& offload() { return offloads_[decision_.index()]; }

  void write_init();
  void move_in_init(std::int32_t version);
  void number_versions();
  void write_body();

  const Dataflow& flow_;
  Trace out_;
  std::vector<Line> lines_;
  std::vector<BufferId> current_;            // by row of the source
  std::vector<std::int32_t> buffer_copies_;  // by row of the source
  std::vector<std::int32_t> op_copies_;      // by row of the source
  std::vector<Offload> offloads_;            // by decision
  std::vector<DecisionId> parked_;
  std::vector<bool> lasting_;  // added rows that live through the body
  std::int64_t next_event_ = 0;
  DecisionId decision_;
  OpId place_;
};

}  // namespace tidemark
