// From a sequence of ops to a sequence of instructions: where each buffer begins and ends.
#pragma once

#include <span>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// Ops of each section in issue order. Buffers in `persistent` live from their first use in init
/// to the end of the run; every other buffer is allocated just before its first use and freed just
/// after its last, within one section.
struct OpOrder {
  std::vector<OpId> init;
  std::vector<OpId> body;
  std::vector<OpId> eval{};
  std::vector<OpId> final;
  std::vector<BufferId> persistent;
};

/// Ops and persistent buffers of a program, in issue order: what with_lifetimes() began with.
[[nodiscard]] OpOrder order_of(const Trace& trace);

/// Buffers that an op keeps alive beside its operands, by op row; may be shorter than the ops. A
/// wait keeps what the awaited op uses.
using Touches = std::vector<std::vector<BufferId>>;

/// The program that runs `schedule`: allocations before an op and frees after it in operand order.
[[nodiscard]] Program with_lifetimes(const Trace& trace, const OpOrder& schedule,
                                     const Touches& touches = {});

/// Numbers the versions of all operands of `schedule` in issue order, from their access in the op
/// table and the order of the ops. Version 0 is the content at the begin of a section.
void assign_versions(Trace& trace, const OpOrder& schedule);

}  // namespace tidemark
