// Pipeline schedules as lists of events, so that a new schedule needs no new formula.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/strategy.h"

namespace tidemark {

/// `weights`: gradients of weights, where the schedule makes them apart; elsewhere they are part of
/// `backward`.
enum class PipelinePass : std::uint8_t { forward, backward, weights };

struct PipelineEvent {
  PipelinePass pass = PipelinePass::forward;
  std::int64_t chunk = 0;  // of the rank's virtual stages
  std::int64_t micro_batch = 0;
  bool operator==(const PipelineEvent&) const = default;
};

/// What pipeline rank `rank` runs in one step, in order. GPipe: Huang et al. 2019; 1F1B:
/// PipeDream-Flush, Narayanan et al. 2021, section 2.2.1; interleaved: section 2.2.2 there; zero
/// bubble: Qi et al. 2023, figure 2 (top).
[[nodiscard]] std::vector<PipelineEvent> schedule_events(const Strategy& strategy,
                                                         std::int64_t rank);

/// Forwards that rank `rank` makes before its first backward, and always ahead of its backwards
/// until it runs out of them. GPipe: all. 1F1B, zero bubble: p - rank. Interleaved: p(v-1) +
/// 2(p-rank) - 1.
[[nodiscard]] std::int64_t forwards_ahead(const Strategy& strategy, std::int64_t rank);

/// Backwards that wait for their gradients of weights while the next one runs.
[[nodiscard]] std::int64_t weights_behind(const Strategy& strategy, std::int64_t rank);

/// How many of the first `forwards` forwards of a rank are of chunk `chunk`. Of backwards, chunks
/// count from the last.
[[nodiscard]] std::int64_t forwards_of_chunk(const Layout& layout, std::int64_t forwards,
                                             std::int64_t chunk);

/// The chunk of the backward that follows after `backwards` of them.
[[nodiscard]] std::int64_t chunk_of_backward(const Layout& layout, std::int64_t backwards);

}  // namespace tidemark
