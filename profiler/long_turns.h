// Ranks that share a core.
#pragma once

namespace tidemark {

/// Asks the system to let the calling thread keep its core until it waits, for 100 ms at most,
/// where it would take turns with others every few milliseconds: what an op of a rank finds in the
/// cache, and so the time that it takes, is then its own. A hint: Linux before 6.12 and other
/// systems do without.
void ask_for_long_turns();

}  // namespace tidemark
