// The what-if panel's step on several ranks: what each of them executes, and the plan of one on
// all.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/device.h"
#include "sim/shard.h"

namespace tidemark {

/// How a step is spread.
struct Spread {
  ShardStage stage = ShardStage::data;
  std::int32_t ranks = 2;
  bool operator==(const Spread&) const = default;
};

/// "zero2 over 4 ranks"
[[nodiscard]] std::string to_text(const Spread& spread);

/// Why a step in so many micro-batches cannot be spread so; empty when it can, as far as that is
/// known before it is tried.
[[nodiscard]] std::string objection_to(const Spread& spread, std::int64_t micro_batches);

/// The traces of all ranks, without decisions and places, each op with a time: modelled on
/// `device`, or, without one, on a core that is as fast as the measured ops of `source` (as
/// `tidemark plan
/// --shard` does). Throws InputError as shard().
using RankTraces = std::shared_ptr<const std::vector<Trace>>;
[[nodiscard]] RankTraces ranks_of(const Trace& source, const Spread& spread, const Device* device);

/// `planned`, a plan of the first of `ranks`, carried out by all of them: the same decisions at the
/// same places.
[[nodiscard]] std::vector<Trace> planned_ranks(const std::vector<Trace>& ranks,
                                               const Trace& planned);

}  // namespace tidemark
