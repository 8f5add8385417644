// Dynamic Tensor Rematerialization and its relatives (Kirisame et al. 2021), simulated on a body:
// online, so without any knowledge of the future but that a value which the program has dropped may
// leave. When memory runs out the value with the least score leaves.
#pragma once

#include <cstdint>

#include "sim/baselines.h"

namespace tidemark {

/// Scores; c = time of the producer, m = bytes, s = time since the last access.
enum class DtrScore : std::uint8_t {
  dtr,    // (c + all absent values next to it, up and down) / (m s)
  eq,     // the same over classes joined by union-find, split approximately
  local,  // c / (m s)
  msps,   // (c + absent values that it needs) / m (Peng et al. 2020, Capuchin)
  lru,    // 1 / s
  size,   // 1 / m
};

/// One schedule within request.limit_bytes, or none when an op finds no room. What an op lacks is
/// made again in the order of the body, each op once, and stays locked until it is read: the
/// original recurses argument by argument.
[[nodiscard]] std::vector<Schedule> dtr(const Dataflow& flow, const BaselineRequest& request,
                                        DtrScore score);

}  // namespace tidemark
