// Which evictions a search method tries first.
#pragma once

#include <vector>

#include "sim/eviction.h"
#include "sim/graph.h"
#include "sim/search.h"

namespace tidemark {

/// What an eviction may do and how fast the link is, from a request; the limit is the budget.
[[nodiscard]] EvictionSettings settings_of(const SearchRequest& request);

/// The sweep over the powers of cost, bytes and distance, best first by experience; with offload
/// also over the price of the link.
[[nodiscard]] std::vector<EvictionSettings> eviction_sweep(const EvictionSettings& start);

}  // namespace tidemark
