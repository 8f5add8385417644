// The product's checker: is this program legal? A planned trace is untrusted input, so nothing is
// executed or trusted that has not passed here. Near-linear in the size of the program.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// One broken rule: where, and what was expected and found.
struct Finding {
  std::string place;  // "body[17] run op 5 'block0.ln1.forward'"
  std::string message;
  bool operator==(const Finding&) const = default;
};

/// Checks a level-2 program: operand roles, shapes, attributes; versions (a value is read before
/// the next is written, and after it was written); lifetimes (every operand is allocated, nothing
/// is allocated or freed twice, nothing leaks); live-in = live-out of the body; streams (an op on
/// another stream is ordered by events after what it needs, and a free stands behind a wait for
/// every asynchronous use); placements do not overlap, are aligned and all or none per space.
/// Empty = legal. At most `limit` findings are returned.
[[nodiscard]] std::vector<Finding> check(const Trace& trace, std::size_t limit = 20);

/// Checks all ranks of one run together: each by itself, that the collectives of a group are
/// numbered 0, 1, ... in each section, and that its ranks issue the same sequence of them.
[[nodiscard]] std::vector<Finding> check_ranks(std::span<const Trace> ranks,
                                               std::size_t limit = 20);

/// Throws InputError with the first finding when there is any.
void require_legal(const Trace& trace, const std::string& file);

}  // namespace tidemark
