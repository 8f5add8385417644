// The controls of the what-if panel as one value, and what follows from them. No widget.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gui/whatif_ranks.h"
#include "sim/allocator_model.h"
#include "sim/config.h"
#include "sim/eviction.h"
#include "sim/graph.h"

namespace tidemark {

/// Who decides about one thing.
enum class Decider : std::uint8_t { recorded, chosen, planner };

template <class Value>
struct Control {
  Decider by = Decider::recorded;
  Value value{};  // counts when it is chosen
  bool operator==(const Control&) const = default;
};

/// Everything that can be asked of one recorded run.
struct WhatIf {
  std::string device;              // of the table; empty = as recorded
  std::int64_t budget_bytes = -1;  // of the device; -1 = none: nothing has to leave
  /// planner: where it pays. chosen: the layers that say so, and no others. recorded: nowhere.
  Decider recompute = Decider::planner;
  Decider offload = Decider::planner;
  /// By name of the layer; absent = Fate::open.
  std::map<std::string, Fate> layers{};
  /// recorded: that of the recording, fixed addresses when that was none of the models. planner:
  /// fixed addresses, which never reserve more than any other.
  Control<AllocatorKind> allocator{};
  Control<Precision> precision{};
  Control<std::int64_t> batch{};
  Control<std::int64_t> micro_batches{};
  Control<Optimizer> optimizer{};
  Control<AttentionLowering> attention{};
  /// recorded: one rank does it all. planner: the fastest of data, zero1, zero2 and zero3 that
  /// fits; `tensor`, which is equal only but for rounding, has to be chosen.
  Control<ShardStage> shard{.value = ShardStage::zero1};
  std::int32_t ranks = 2;  // counts when it is spread; the budget is that of each
  bool operator==(const WhatIf&) const = default;
};

/// Nothing changed yet: every value is the recorded one, recompute and offload are the planner's.
[[nodiscard]] WhatIf unchanged(const RunConfig& recorded);

/// One run that the controls allow, and how far it is from the recorded one.
struct Variant {
  RunConfig config;
  int learns_otherwise = 0;  // controls (optimizer, precision) that change what is learnt
  std::optional<Spread> spread{};
  bool operator==(const Variant&) const = default;
};

/// All configurations that the controls allow, valid ones only, in the order in which they are
/// preferred among equals: those that learn as recorded first, then the nearest batch, the fewest
/// micro-batches. A batch for the planner is the recorded one times or by 2, 4 and 8.
/// Throws InputError when not one of them is valid, with the first reason.
[[nodiscard]] std::vector<Variant> variants_of(const WhatIf& what_if, const RunConfig& recorded);

/// By buffer of `trace`: what its layer is told. Empty when all are open.
[[nodiscard]] std::vector<Fate> fates_of(const WhatIf& what_if, const Trace& trace);

/// What may be done with values whose layer is told nothing.
[[nodiscard]] EvictionSettings settings_of(const WhatIf& what_if, const Trace& trace);

/// One row of the matrix layer x what becomes of it: a layer that holds something from forward to
/// backward.
struct LayerRow {
  LayerId layer;
  std::string name;
  std::int64_t held_bytes = 0;        // that the step keeps from forward to backward
  std::int64_t recompute_ns = 0;      // to make them again, each once
  std::int64_t transfer_ns = 0;       // to the host and back
  bool can_recompute = false;         // at least one of them
  Fate told = Fate::open;             // by the controls
  std::int64_t recomputed_bytes = 0;  // by the plan
  std::int64_t offloaded_bytes = 0;
  bool operator==(const LayerRow&) const = default;
};

/// In the order of the model. `planned` is a plan of `source`.
[[nodiscard]] std::vector<LayerRow> layer_rows(const Trace& source, const Dataflow& flow,
                                               const Trace& planned, const WhatIf& what_if);

/// "batch 8 instead of 4", "zero2 over 4 ranks": what differs, for the card and the list of plans.
/// Empty when nothing.
[[nodiscard]] std::vector<std::string> changes_of(const RunConfig& recorded,
                                                  const Variant& variant);

/// Names of the controls, of who decides and of fates, as people read them.
[[nodiscard]] const char* to_text(Decider decider);
[[nodiscard]] const char* to_text(Fate fate);

}  // namespace tidemark
