// Many moves at once: what single moves of local search cannot reach, because a schedule that just
// fits must free bytes in one place before it may use them in another.
//
// From one schedule that fits, many moves are tried and undone; of each its cost and the bytes that
// it adds and frees are known exactly. Moves that touch different values add up, so the best set of
// them is a 0/1 knapsack program with one row per moment. Rows come in when they are violated
// (cutting planes), and a move whose reduced cost in the linear program says that no improvement
// contains it is left out of the tree (Dantzig, Fulkerson and Johnson 1954 for both). That makes
// the program small enough for the solver: tens of rows, hundreds of moves, a fraction of a second.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sim/mover.h"
#include "sim/timer.h"

namespace tidemark {

struct CombineRequest {
  std::int64_t tries = 20000;     // moves tried
  std::size_t most_moves = 4000;  // that are different, kept for the program
  std::int64_t nodes = 40;        // of the solver's tree. The result is a function of these three.
  const Timer* timer = nullptr;   // ends the attempt; null = no limit
};

/// Replaces the mover's schedule, which must fit, by a cheaper one that fits. False: none was
/// found, or there is no solver; then nothing has changed. Calls from several threads run side by
/// side.
bool combine(Mover& mover, const CombineRequest& request);

}  // namespace tidemark
