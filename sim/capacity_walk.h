// Level B of capacity planning: the peak of a pipeline rank by walking its events layer by layer
// and every backward tensor by tensor. Never below level A (sim/capacity.h), which looks at two of
// the moments that this passes.
#pragma once

#include <cstdint>

#include "sim/capacity.h"

namespace tidemark {

/// What happened when a rank held the most.
enum class PeakMoment : std::uint8_t { forward, loss, backward, optimizer };

template <>
struct EnumNames<PeakMoment> {
  static constexpr std::string_view k_type = "moment";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"forward", "loss", "backward", "optimizer"});
};

struct WalkedPeak {
  RankMemory memory;  // at the peak, the first of equals
  PeakMoment moment = PeakMoment::forward;
  bool operator==(const WalkedPeak&) const = default;
};

/// Expects problems(model, strategy) to be empty. A steady step: the optimizer state is there.
[[nodiscard]] WalkedPeak walk_rank(const Transformer& model, const Strategy& strategy,
                                   std::int64_t rank);

/// The largest of all ranks, the first of equals.
[[nodiscard]] WalkedPeak walk(const Transformer& model, const Strategy& strategy);

}  // namespace tidemark
