#include "sim/capacity.h"

#include <algorithm>
#include <utility>

#include "sim/layer_products.h"
#include "sim/real.h"
#include "sim/schedule_events.h"

namespace tidemark {
namespace {

Parameters times(const Parameters& p, std::int64_t n) {
  return {.tensor = n * p.tensor, .replicated = n * p.replicated, .expert = n * p.expert};
}

double dense_elements(const Layout& l, const Parameters& p) {
  return real(p.tensor) / real(l.tensor) + real(p.replicated);
}

double expert_elements(const Layout& l, const Parameters& p) {
  return real(p.expert) / real(l.expert * l.expert_tensor);
}

}  // namespace

/// What all ranks of a strategy have in common.
struct CapacityModel::Terms {
  double tokens = 0;      // of one micro-batch on one rank
  double dense_kept = 0;  // bytes of one layer and micro-batch
  double routed_kept = 0;
  double dense_held = 0;  // from backward until the gradients of weights, where they are apart
  double routed_held = 0;
  double dense_gradient = 0;  // of the parameters of one layer
  double routed_gradient = 0;
  double dense_remade = 0;  // and gathered for a product
  double routed_remade = 0;
  double mask_bytes = 0;  // of the embedding's dropout
  double head_kept = 0;   // input and output of the final norm, and what the loss keeps
  double loss_working = 0;
  MessageBytes messages;
};

ParameterBytes state_bytes(const StateRecipe& recipe, const Layout& layout, const Parameters& p) {
  const auto add = [](ParameterBytes& sum, const ParameterBytes& each, double elements) {
    sum.gradient += each.gradient * elements;
    sum.other += each.other * elements;
  };
  ParameterBytes bytes;
  add(bytes, bytes_per_parameter(recipe, shard_sizes(layout)), dense_elements(layout, p));
  if (p.expert > 0) {
    add(bytes, bytes_per_parameter(recipe, expert_shard_sizes(layout)), expert_elements(layout, p));
  }
  return bytes;
}

StatePart end_parameter(const StateRecipe& recipe) {
  StatePart part = recipe.parameter;
  if (recipe.ends != StateType::none) part.type = recipe.ends;
  return part;
}

ParameterBytes end_state_bytes(const StateRecipe& recipe, const Layout& layout,
                               const Parameters& p) {
  ParameterBytes bytes = state_bytes(recipe, layout, p);
  if (recipe.ends != StateType::none) {
    bytes.other +=
        part_bytes(end_parameter(recipe), layout, p) - part_bytes(recipe.parameter, layout, p);
  }
  return bytes;
}

double part_bytes(const StatePart& part, const Layout& layout, const Parameters& p) {
  return dense_elements(layout, p) * device_bytes(part, shard_sizes(layout)) +
         expert_elements(layout, p) * device_bytes(part, expert_shard_sizes(layout));
}

double local_elements(const Layout& layout, const Parameters& p) {
  return dense_elements(layout, p) + expert_elements(layout, p);
}

UnitBytes unit_bytes(const StateRecipe& recipe, const ShardSizes& sizes, double elements) {
  const double unit = elements * element_bytes(recipe.compute);
  UnitBytes bytes;
  if (gathers(recipe, sizes) && recipe.reshard_after_forward) bytes.gathered = unit;
  if (recipe.unit_gradients) bytes.gradient = unit;
  return bytes;
}

LossBytes loss_bytes(LossLowering loss) {
  switch (loss) {
    case LossLowering::fused:
      return {2, 2};
    case LossLowering::chunked:
      return {2, 1.5};
    case LossLowering::in_place:
      return {4, 2};
    case LossLowering::eager:
      return {4, 10};
    case LossLowering::eager_parallel:
      break;
  }
  return {4, 16};
}

MessageBytes message_bytes(const Transformer& model, const Strategy& s) {
  const Layout& l = s.layout;
  if (s.recipe.library != TrainingLibrary::torchtitan || l.pipeline == 1) return {};
  const double tokens = real(s.batch.micro_batch * s.batch.sequence) / real(l.context);
  const double split = real(l.tensor);
  MessageBytes out{.rows = 2 * real(model.hidden) * tokens / (l.sequence_parallel ? split : 1)};
  if (s.recipe.keeps_outputs) {
    out.stay = out.rows;
    out.logits = 2 * real(model.vocabulary) * tokens / split;
  }
  return out;
}

CapacityModel::CapacityModel(const Transformer& model)
    : model_(model),
      dense_layer_(is_dense(model, 0) ? layer_parameters(model, true) : Parameters{}),
      routed_layer_(model.experts.count > 0 ? layer_parameters(model, false) : Parameters{}),
      embedding_(embedding_parameters(model)),
      head_(head_parameters(model)),
      final_norm_(final_norm_parameters(model)) {}

CapacityModel::StageLayers CapacityModel::stage_layers(const Strategy& s,
                                                       std::int64_t stage) const {
  const std::int64_t layers = layers_of_stage(model_, s, stage);
  if (model_.experts.count == 0) return {layers, 0};
  std::int64_t first = 0;
  if (s.stage_layers.empty()) {
    first = stage * layers;
  } else {
    for (std::int64_t i = 0; i < stage; ++i) first += layers_of_stage(model_, s, i);
  }
  const std::int64_t dense =
      std::clamp<std::int64_t>(model_.experts.dense_layers - first, 0, layers);
  return {dense, layers - dense};
}

CapacityModel::Terms CapacityModel::terms(const Strategy& s) const {
  const Layout& l = s.layout;
  Terms t;
  t.tokens = real(s.batch.micro_batch * s.batch.sequence) / real(l.context);
  const double rows = real(model_.hidden) * t.tokens / (l.sequence_parallel ? real(l.tensor) : 1);
  const double logits = t.tokens * real(model_.vocabulary) / real(l.tensor);
  const LossBytes loss = loss_bytes(s.kernels.loss);
  t.mask_bytes = s.kernels.dropout ? rows : 0;
  t.head_kept = 2 * 2 * rows + logits * loss.kept;
  // Sequence-parallel rows are gathered before a product.
  const double gathered_row = l.sequence_parallel ? 2 * real(model_.hidden) * t.tokens : 0;
  t.loss_working = logits * loss.working + gathered_row;
  t.messages = message_bytes(model_, s);
  t.dense_gradient = state_bytes(s.recipe, l, dense_layer_).gradient;
  t.routed_gradient = state_bytes(s.recipe, l, routed_layer_).gradient;
  if (is_dense(model_, 0)) {
    const LayerTensors dense = layer_tensors(model_, true, s.kernels, s.batch.sequence);
    t.dense_kept = rank_bytes(kept_bytes(dense, s.recompute), l, t.tokens);
    t.dense_remade = rank_bytes(remade_bytes(dense, s.recompute), l, t.tokens);
  }
  if (model_.experts.count > 0) {
    const LayerTensors routed = layer_tensors(model_, false, s.kernels, s.batch.sequence);
    t.routed_kept = rank_bytes(kept_bytes(routed, s.recompute), l, t.tokens);
    t.routed_remade = rank_bytes(remade_bytes(routed, s.recompute), l, t.tokens);
  }
  if (s.schedule == PipelineSchedule::zero_bubble) {
    if (is_dense(model_, 0)) t.dense_held = held_bytes(layer_products(model_, true, s), model_, s);
    if (model_.experts.count > 0) {
      t.routed_held = held_bytes(layer_products(model_, false, s), model_, s);
    }
  }
  t.dense_remade += gathered_row;
  t.routed_remade += gathered_row;
  if (s.kept_on_host) {
    t.dense_remade += std::exchange(t.dense_kept, 0);
    t.routed_remade += std::exchange(t.routed_kept, 0);
  }
  return t;
}

RankParameters CapacityModel::parameters(const Strategy& s, std::int64_t rank) const {
  RankParameters out;
  const std::int64_t p = s.layout.pipeline;
  for (std::int64_t chunk = 0; chunk < s.layout.virtual_stages; ++chunk) {
    const StageLayers n = stage_layers(s, chunk * p + rank);
    out.layers += times(dense_layer_, n.dense);
    out.layers += times(routed_layer_, n.routed);
  }
  if (rank == 0) out.embedding = embedding_;
  if (rank == p - 1) {
    // A tied output layer on another rank than the embedding is a copy of it.
    if (!model_.tied_head || p > 1) out.head = head_;
    out.head += final_norm_;
  }
  return out;
}

/// A pipeline rank of a strategy.
struct CapacityModel::Rank {
  const Strategy& strategy;
  const Terms& terms;
  std::int64_t index = 0;
  ParameterBytes layers{};
  ParameterBytes embedding{};
  ParameterBytes head{};
  double head_gradient = 0;  // of the unit that the output layer is in
  double gathered = 0;
};

RankMemory CapacityModel::rank(const Strategy& s, const Terms& t, std::int64_t index) const {
  const RankParameters p = parameters(s, index);
  Rank r{s, t, index};
  r.layers = state_bytes(s.recipe, s.layout, p.layers);
  r.embedding = end_state_bytes(s.recipe, s.layout, p.embedding);
  r.head = end_state_bytes(s.recipe, s.layout, p.head);
  r.head_gradient = head_gradient_bytes(s);
  r.gathered = gathered_bytes(s, p);

  const std::int64_t all = s.batch.micro_batches * s.layout.virtual_stages;
  const std::int64_t ahead = forwards_ahead(s, index);
  RankMemory best = before_backward(r, ahead, 0);
  const auto see = [&best](const RankMemory& m) {
    if (m.total() > best.total()) best = m;
  };
  // The first moment at which as much waits for its gradients of weights as ever does.
  if (const std::int64_t behind = std::min(weights_behind(s, index), all - 1); behind > 0) {
    see(before_backward(r, std::min(all, ahead + behind), behind));
  }
  const bool grows = !s.recipe.gradients_stay || s.recipe.keeps_outputs;
  if (grows && ahead < all) see(before_backward(r, all, all - ahead));
  if (s.recipe.gradients_stay) return best;
  see({.rank = index,
       .states = r.layers.total() + r.embedding.total() + r.head.total(),
       .working = r.gathered});
  return best;
}

/// After so many forwards and backwards of chunks, while the next backward begins.
RankMemory CapacityModel::before_backward(const Rank& r, std::int64_t forwards,
                                          std::int64_t backwards) const {
  const Strategy& s = r.strategy;
  const Terms& t = r.terms;
  const Layout& l = s.layout;
  const bool has_embedding = r.index == 0;
  const bool has_head = r.index == l.pipeline - 1;
  RankMemory out{.rank = r.index,
                 .states = r.layers.other + r.embedding.other + r.head.other,
                 .working = r.gathered};
  for (std::int64_t chunk = 0; chunk < l.virtual_stages; ++chunk) {
    const bool is_first = has_embedding && chunk == 0;
    const bool is_last = has_head && chunk == l.virtual_stages - 1;
    const StageLayers n = stage_layers(s, chunk * l.pipeline + r.index);
    const std::int64_t done = forwards_of_chunk(l, backwards, l.virtual_stages - 1 - chunk);
    const double open = real(forwards_of_chunk(l, forwards, chunk) - done);
    const std::int64_t waiting = std::min(done, weights_behind(s, r.index));
    out.layers += open * (real(n.dense) * t.dense_kept + real(n.routed) * t.routed_kept) +
                  real(waiting) * (real(n.dense) * t.dense_held + real(n.routed) * t.routed_held);
    if (is_first) out.ends += open * t.mask_bytes;
    if (is_last) out.ends += open * t.head_kept;
    out.ends += messages(r, chunk, open, real(done));
    if (s.recipe.gradients_stay || done > waiting) {
      out.states += real(n.dense) * t.dense_gradient + real(n.routed) * t.routed_gradient;
    }
    if (s.recipe.gradients_stay || done > 0) {
      if (is_first) out.states += r.embedding.gradient;
      if (is_last) out.states += r.head.gradient;
    }
  }
  const std::int64_t next = chunk_of_backward(l, backwards);
  const StageLayers n = stage_layers(s, next * l.pipeline + r.index);
  if (!has_head || next < l.virtual_stages - 1) {
    out.working += layer_backward(s, t, n);
  } else {
    // When the first layer goes backward, the loss of its micro-batch is done.
    const bool any = n.dense + n.routed > 0;
    const double later = any ? layer_backward(s, t, n) + r.head_gradient : 0;
    out.working += std::max(t.loss_working, later - t.head_kept);
  }
  return out;
}

/// Of one chunk with `open` micro-batches in flight and `done` of them behind it. What layers and
/// loss keep of those in flight already holds their inputs and their logits.
double CapacityModel::messages(const Rank& r, std::int64_t chunk, double open, double done) const {
  const Strategy& s = r.strategy;
  const MessageBytes& m = r.terms.messages;
  const std::int64_t stage = chunk * s.layout.pipeline + r.index;
  const double all = real(s.batch.micro_batches);
  double bytes = 0;
  if (stage > 0) {
    const bool is_kept = !s.kept_on_host && layers_of_stage(model_, s, stage) > 0;
    bytes += m.rows * (all - (is_kept ? open : 0)) + m.stay * done;
  }
  const bool is_last = stage == s.layout.pipeline * s.layout.virtual_stages - 1;
  return bytes + (is_last ? m.logits * done : m.rows * (all + open) + m.stay * done);
}

/// What stays gathered all the time: the ends, as FSDP's root unit; all where nothing reshards.
double CapacityModel::gathered_bytes(const Strategy& s, const RankParameters& parameters) const {
  if (!gathers(s.recipe, shard_sizes(s.layout))) return 0;
  const StateType ends = s.recipe.ends == StateType::none ? s.recipe.compute : s.recipe.ends;
  double bytes = element_bytes(ends) * (local_elements(s.layout, parameters.embedding) +
                                        local_elements(s.layout, parameters.head));
  if (!s.recipe.reshard_after_forward) {
    bytes += element_bytes(s.recipe.compute) * local_elements(s.layout, parameters.layers);
  }
  return bytes;
}

double CapacityModel::head_gradient_bytes(const Strategy& s) const {
  return unit_bytes(s.recipe, shard_sizes(s.layout), local_elements(s.layout, head_)).gradient;
}

/// Beside what is kept: what the last of `n` layers makes again, its unit and the unit's gradient,
/// and what is fetched ahead.
double CapacityModel::layer_backward(const Strategy& s, const Terms& t,
                                     const StageLayers& n) const {
  if (n.dense + n.routed == 0) return 0;
  const ShardSizes sizes = shard_sizes(s.layout);
  const double dense = local_elements(s.layout, dense_layer_);
  const double routed = local_elements(s.layout, routed_layer_);
  const UnitBytes unit = unit_bytes(s.recipe, sizes, n.routed > 0 ? routed : dense);
  const double next = n.dense == 0 ? routed : n.routed == 0 ? dense : std::min(dense, routed);
  const std::int64_t ahead = std::min(s.recipe.prefetch, n.dense + n.routed - 1);
  return (n.routed > 0 ? t.routed_remade : t.dense_remade) + unit.gathered + unit.gradient +
         real(ahead) * unit_bytes(s.recipe, sizes, next).gathered;
}

RankMemory CapacityModel::rank(const Strategy& s, std::int64_t rank) const {
  return this->rank(s, terms(s), rank);
}

std::vector<RankMemory> CapacityModel::ranks(const Strategy& s) const {
  const Terms t = terms(s);
  std::vector<RankMemory> out;
  for (std::int64_t i = 0; i < s.layout.pipeline; ++i) out.push_back(rank(s, t, i));
  return out;
}

RankMemory CapacityModel::peak(const Strategy& s) const {
  const Terms t = terms(s);
  const std::int64_t p = s.layout.pipeline;
  RankMemory best = rank(s, t, 0);
  // Inner ranks differ by what is in flight, which falls with the rank, and by their layers: where
  // those are the same, the first inner rank stands for all.
  std::int64_t last_inner = s.stage_layers.empty() ? 1 : p - 2;
  if (model_.experts.count > 0) last_inner = p - 2;
  if (s.schedule == PipelineSchedule::zero_bubble || t.messages.rows > 0) last_inner = p - 2;
  // Later ranks may have gradients of a chunk that earlier ones have not begun to go back through.
  if (!s.recipe.gradients_stay && s.layout.virtual_stages > 1) last_inner = p - 2;
  for (std::int64_t i = 1; i < p; ++i) {
    if (i > last_inner) i = p - 1;
    const RankMemory next = rank(s, t, i);
    if (next.total() > best.total()) best = next;
  }
  return best;
}

}  // namespace tidemark
