// Which forward values to save for backward, as PyTorch's partitioner does (torch/_functorch,
// partitioners.py): the least bytes from which everything that backward reads can be made again,
// and above that a knapsack of values that are too dear to make again.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/baselines.h"

namespace tidemark {

/// Values made before `backward_begin` that backward reads or that stand for such values: removing
/// them cuts every path from what is always there (`flow` says what may not be made again) and from
/// the values in `dear` to what backward reads. Of all such sets one of the least bytes; a maximum
/// flow (Boost.Graph, Boykov-Kolmogorov). Ascending.
[[nodiscard]] std::vector<BufferId> min_cut(const Dataflow& flow, Position backward_begin,
                                            const std::vector<BufferId>& dear);

/// Items for a knapsack by value per byte (the greedy solver of the partitioner): indices of the
/// chosen ones, ascending; their bytes are at most `room_bytes`.
struct KnapsackItem {
  std::int64_t bytes = 0;
  std::int64_t value = 0;
};
[[nodiscard]] std::vector<std::size_t> knapsack(const std::vector<KnapsackItem>& items,
                                                std::int64_t room_bytes);

}  // namespace tidemark
