#include "gui/whatif.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "sim/baselines.h"
#include "sim/prefetch.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// Values of one control, the preferred first.
template <class Value>
std::vector<Value> values_of(const Control<Value>& control, Value recorded,
                             const std::vector<Value>& others) {
  if (control.by == Decider::recorded) return {recorded};
  if (control.by == Decider::chosen) return {control.value};
  std::vector<Value> values = {recorded};
  for (const Value other : others) {
    if (other != recorded) values.push_back(other);
  }
  return values;
}

template <class E>
std::vector<E> all_of() {
  std::vector<E> all;
  for (std::size_t i = 0; i < EnumNames<E>::k_names.size(); ++i) all.push_back(static_cast<E>(i));
  return all;
}

double distance(const Variant& variant, const RunConfig& recorded) {
  return std::abs(
      std::log2(static_cast<double>(variant.config.batch) / static_cast<double>(recorded.batch)));
}

std::vector<RunConfig> products(const WhatIf& what_if, const RunConfig& recorded) {
  const std::int64_t b = recorded.batch;
  std::vector<std::int64_t> others = {2 * b, 4 * b, 8 * b, b / 2, b / 4, b / 8};
  std::erase(others, 0);
  const std::vector<std::int64_t> batches = values_of(what_if.batch, b, others);
  std::vector<std::int64_t> counts = {1, 2, 4, 8, 16, 32};
  for (const std::int64_t each : {1, 2, 4}) {  // of a rank
    const std::int64_t count = each * what_if.ranks;
    const bool known = std::ranges::find(counts, count) != counts.end();
    if (what_if.shard.by != Decider::recorded && !known) counts.push_back(count);
  }
  const std::vector<std::int64_t> parts =
      values_of(what_if.micro_batches, recorded.accumulation, counts);
  std::vector<RunConfig> configs = {recorded};
  const auto spread = [&configs](const auto& values, auto set) {
    std::vector<RunConfig> next;
    for (const RunConfig& config : configs) {
      for (const auto& value : values) set(next.emplace_back(config), value);
    }
    configs = std::move(next);
  };
  spread(values_of(what_if.precision, recorded.precision, all_of<Precision>()),
         [](RunConfig& c, Precision p) { c.precision = p; });
  spread(values_of(what_if.optimizer, recorded.optimizer.kind, all_of<Optimizer>()),
         [](RunConfig& c, Optimizer o) { c.optimizer.kind = o; });
  spread(values_of(what_if.attention, recorded.attention, all_of<AttentionLowering>()),
         [](RunConfig& c, AttentionLowering a) { c.attention = a; });
  spread(batches, [](RunConfig& c, std::int64_t batch) { c.batch = batch; });
  spread(parts, [](RunConfig& c, std::int64_t count) { c.accumulation = count; });
  return configs;
}

/// How the step may be spread; nothing: not at all.
std::vector<std::optional<Spread>> spreads_of(const WhatIf& what_if) {
  if (what_if.shard.by == Decider::recorded) return {std::nullopt};
  if (what_if.shard.by == Decider::chosen) return {Spread{what_if.shard.value, what_if.ranks}};
  std::vector<std::optional<Spread>> spreads;
  for (const ShardStage stage :
       {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
    spreads.emplace_back(Spread{stage, what_if.ranks});
  }
  return spreads;
}

/// Local values of the forward pass that a backward op needs.
bool is_held(const Value& value, Position backward_begin) {
  return value.movable && value.bytes > 0 && value.producer >= 0 &&
         value.producer < backward_begin && value.last_use() >= backward_begin;
}

}  // namespace

WhatIf unchanged(const RunConfig& recorded) {
  WhatIf what_if;
  what_if.precision.value = recorded.precision;
  what_if.batch.value = recorded.batch;
  what_if.micro_batches.value = recorded.accumulation;
  what_if.optimizer.value = recorded.optimizer.kind;
  what_if.attention.value = recorded.attention;
  return what_if;
}

std::vector<Variant> variants_of(const WhatIf& what_if, const RunConfig& recorded) {
  std::vector<Variant> variants;
  std::string first_reason;
  const auto refuse = [&first_reason](const std::string& reason) {
    if (first_reason.empty()) first_reason = reason;
  };
  for (const RunConfig& config : products(what_if, recorded)) {
    try {
      validate(config);
    } catch (const InputError& error) {
      refuse(error.what());
      continue;
    }
    const int otherwise = (config.precision != recorded.precision ? 1 : 0) +
                          (config.optimizer.kind != recorded.optimizer.kind ? 1 : 0);
    for (const std::optional<Spread>& spread : spreads_of(what_if)) {
      const std::string objection =
          spread ? objection_to(*spread, config.accumulation) : std::string();
      if (objection.empty()) {
        variants.push_back({.config = config, .learns_otherwise = otherwise, .spread = spread});
      } else {
        refuse(objection);
      }
    }
  }
  if (variants.empty()) throw InputError(first_reason);
  std::stable_sort(variants.begin(), variants.end(), [&](const Variant& a, const Variant& b) {
    return std::tuple(a.learns_otherwise, distance(a, recorded), a.config.accumulation) <
           std::tuple(b.learns_otherwise, distance(b, recorded), b.config.accumulation);
  });
  return variants;
}

std::vector<Fate> fates_of(const WhatIf& what_if, const Trace& trace) {
  std::vector<Fate> by_layer(trace.layers.size(), Fate::open);
  bool any = false;
  for (std::size_t row = 0; row < trace.layers.size(); ++row) {
    const auto told = what_if.layers.find(trace.layers[row].name);
    if (told == what_if.layers.end()) continue;
    const bool void_recompute =
        told->second == Fate::recompute && what_if.recompute == Decider::recorded;
    const bool void_offload = told->second == Fate::offload && what_if.offload == Decider::recorded;
    if (void_recompute || void_offload) continue;
    by_layer[row] = told->second;
    any = any || told->second != Fate::open;
  }
  if (!any) return {};
  std::vector<Fate> fates(trace.buffers.size(), Fate::open);
  for (std::size_t row = 0; row < fates.size(); ++row) {
    const LayerId layer = trace.buffers[row].layer;
    if (layer.valid()) fates[row] = by_layer[layer.index()];
  }
  return fates;
}

EvictionSettings settings_of(const WhatIf& what_if, const Trace& trace) {
  EvictionSettings settings;
  settings.allow_recompute = what_if.recompute == Decider::planner;
  settings.allow_offload = what_if.offload == Decider::planner;
  settings.fates = fates_of(what_if, trace);
  return settings;
}

std::vector<LayerRow> layer_rows(const Trace& source, const Dataflow& flow, const Trace& planned,
                                 const WhatIf& what_if) {
  const Position backward_begin = backward_begin_of(source, flow);
  std::vector<LayerRow> by_layer(source.layers.size());
  std::set<Position> counted;
  CopyLink link;
  for (const Stream& stream : source.streams) {
    if (stream.kind == StreamKind::device_to_host) {
      link = {stream.link_bytes_per_s, stream.latency_ns};
    }
  }
  for (std::size_t row = 0; row < flow.values.size(); ++row) {
    const Value& value = flow.values[row];
    const LayerId layer = source.buffers[row].layer;
    if (!layer.valid() || !is_held(value, backward_begin)) continue;
    LayerRow& sum = by_layer[layer.index()];
    sum.held_bytes += value.bytes;
    if (link.bytes_per_s > 0) sum.transfer_ns += 2 * transfer_ns(link, value.bytes);
    if (!value.recomputable) continue;
    sum.can_recompute = true;
    if (counted.insert(value.producer).second) {
      sum.recompute_ns += flow.producer_of(BufferId{row}).duration_ns;
    }
  }
  std::set<std::pair<BufferId, DecisionKind>> done;
  for (const Decision& decision : planned.decisions) {
    const LayerId layer = source[decision.buffer].layer;
    if (!layer.valid() || !done.emplace(decision.buffer, decision.kind).second) continue;
    LayerRow& sum = by_layer[layer.index()];
    (decision.kind == DecisionKind::offload ? sum.offloaded_bytes : sum.recomputed_bytes) +=
        counted_bytes(source[decision.buffer]);
  }
  std::vector<LayerRow> rows;
  for (std::size_t layer = 0; layer < by_layer.size(); ++layer) {
    LayerRow& row = by_layer[layer];
    if (row.held_bytes == 0 && row.recomputed_bytes + row.offloaded_bytes == 0) continue;
    row.layer = LayerId{layer};
    row.name = source.layers[layer].name;
    const auto told = what_if.layers.find(row.name);
    if (told != what_if.layers.end()) row.told = told->second;
    rows.push_back(row);
  }
  return rows;
}

std::vector<std::string> changes_of(const RunConfig& recorded, const Variant& variant) {
  const RunConfig& config = variant.config;
  std::vector<std::string> changes;
  const auto note = [&changes](const char* what, const auto& before, const auto& after) {
    if (before != after) changes.push_back(fmt::format("{} {} instead of {}", what, after, before));
  };
  note("batch", recorded.batch, config.batch);
  note("micro-batches", recorded.accumulation, config.accumulation);
  note("precision", to_string(recorded.precision), to_string(config.precision));
  note("optimizer", to_string(recorded.optimizer.kind), to_string(config.optimizer.kind));
  note("attention", to_string(recorded.attention), to_string(config.attention));
  if (variant.spread) changes.push_back(to_text(*variant.spread));
  return changes;
}

const char* to_text(Decider decider) {
  constexpr std::array<const char*, 3> k_texts = {"as recorded", "chosen", "planner decides"};
  return k_texts[static_cast<std::size_t>(decider)];
}

const char* to_text(Fate fate) {
  constexpr std::array<const char*, 4> k_texts = {"planner", "keep", "recompute", "offload"};
  return k_texts[static_cast<std::size_t>(fate)];
}

}  // namespace tidemark
