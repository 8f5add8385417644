// Strategies as people write them in a few words: "tp=8,pp=2,dp=4", "attention_core+norms".
#pragma once

#include <string>
#include <vector>

#include "sim/strategy.h"

namespace tidemark {

/// "tp=8,pp=2,vp=1,dp=4,cp=1,ep=1,etp=1,shard=8,sp": sizes of Layout in any order, each at most
/// once; what is not named is 1 (shard: 0, sp: off). Appends a line to `problems` for each word
/// that is not understood.
[[nodiscard]] Layout layout_from_text(const std::string& text, std::vector<std::string>& problems);

/// The same words; sizes of 1 are left out. "" for one rank.
[[nodiscard]] std::string layout_text(const Layout& layout);

/// Names of Recompute joined by '+'; "none" or "" = nothing. Lines as above.
[[nodiscard]] RecomputeSet recompute_from_text(const std::string& text,
                                               std::vector<std::string>& problems);

/// The same words; "none" for the empty set.
[[nodiscard]] std::string recompute_text(RecomputeSet set);

}  // namespace tidemark
