// How long ranks wait for each other in their collectives.
#pragma once

#include <cstdint>
#include <span>

#include "traces/trace.h"

namespace tidemark {

/// Runs the bodies of all ranks side by side from one begin: a collective begins when all of its
/// ranks are there and takes the longest of their durations. Each rank's collective then gets the
/// duration from when that rank is there, marked modelled; so a replay of one rank alone takes the
/// time that it takes among the others. Returns when the last rank is done. Streams are those of
/// replay(). Ranks of a group that are not among `ranks` are there when the others are: of ranks
/// that do the same, one is enough. Expects durations on all ops, and ranks that do not wait in a
/// circle. With one duration of any op longer nothing ends earlier.
std::int64_t add_waiting(std::span<Trace> ranks);

}  // namespace tidemark
