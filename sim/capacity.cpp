#include "sim/capacity.h"

#include <algorithm>

namespace tidemark {
namespace {

double real(std::int64_t n) {
  return static_cast<double>(n);
}

Parameters times(const Parameters& p, std::int64_t n) {
  return {.tensor = n * p.tensor, .replicated = n * p.replicated, .expert = n * p.expert};
}

double dense_elements(const Layout& l, const Parameters& p) {
  return real(p.tensor) / real(l.tensor) + real(p.replicated);
}

double expert_elements(const Layout& l, const Parameters& p) {
  return real(p.expert) / real(l.expert * l.expert_tensor);
}

bool shares_gradients(const StateRecipe& r) {
  return r.gradient.group != ShardGroup::whole || r.gradient_sum.group != ShardGroup::whole;
}

bool has_gradients(const StateRecipe& r) {
  return r.gradient.type != StateType::none || r.gradient_sum.type != StateType::none;
}

}  // namespace

/// What all ranks of a strategy have in common.
struct CapacityModel::Terms {
  double tokens = 0;      // of one micro-batch on one rank
  double dense_kept = 0;  // bytes of one layer and micro-batch
  double routed_kept = 0;
  double dense_remade = 0;
  double routed_remade = 0;
  double mask_bytes = 0;  // of the embedding's dropout
  double head_kept = 0;   // input and output of the final norm, and what the loss keeps
  double loss_working = 0;
};

double state_bytes(const StateRecipe& recipe, const Layout& layout, const Parameters& p) {
  double bytes = bytes_per_parameter(recipe, shard_sizes(layout)) * dense_elements(layout, p);
  if (p.expert > 0) {
    bytes += bytes_per_parameter(recipe, expert_shard_sizes(layout)) * expert_elements(layout, p);
  }
  return bytes;
}

double local_elements(const Layout& layout, const Parameters& p) {
  return dense_elements(layout, p) + expert_elements(layout, p);
}

UnitBytes unit_bytes(const StateRecipe& recipe, const ShardSizes& sizes, double elements) {
  const double unit = elements * element_bytes(recipe.compute);
  UnitBytes bytes;
  if (gathers(recipe, sizes) && recipe.reshard_after_forward) bytes.gathered = unit;
  if (has_gradients(recipe) && shares_gradients(recipe)) bytes.gradient = unit;
  return bytes;
}

std::int64_t in_flight(const Strategy& s, std::int64_t rank, std::int64_t chunk) {
  const std::int64_t p = s.layout.pipeline;
  const std::int64_t v = s.layout.virtual_stages;
  const std::int64_t m = s.batch.micro_batches;
  switch (s.schedule) {
    case Schedule::gpipe:
      return m;
    case Schedule::one_f_one_b:
      return std::min(m, p - rank);
    case Schedule::interleaved:
      break;
  }
  const std::int64_t forwards = std::min(m * v, p * (v - 1) + 2 * (p - rank - 1) + 1);
  const std::int64_t rounds = forwards / (p * v);
  return rounds * p + std::clamp<std::int64_t>(forwards % (p * v) - chunk * p, 0, p);
}

LossBytes loss_bytes(LossLowering loss) {
  switch (loss) {
    case LossLowering::fused:
      return {2, 2};
    case LossLowering::chunked:
      return {2, 3.5};
    case LossLowering::in_place:
      return {4, 2};
    case LossLowering::eager:
      break;
  }
  return {4, 8};
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
  t.loss_working = logits * loss.working;
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

RankMemory CapacityModel::rank(const Strategy& s, const Terms& t, std::int64_t rank) const {
  const Layout& l = s.layout;
  const RankParameters parameters = this->parameters(s, rank);
  RankMemory out{.rank = rank};
  Parameters all = parameters.layers;
  all += parameters.embedding;
  all += parameters.head;
  out.states = state_bytes(s.recipe, l, all);
  for (std::int64_t chunk = 0; chunk < l.virtual_stages; ++chunk) {
    const StageLayers n = stage_layers(s, chunk * l.pipeline + rank);
    out.layers += real(in_flight(s, rank, chunk)) *
                  (real(n.dense) * t.dense_kept + real(n.routed) * t.routed_kept);
  }
  if (rank == 0) out.ends += real(in_flight(s, 0, 0)) * t.mask_bytes;
  double loss_kept = 0;
  double loss_working = 0;
  if (rank == l.pipeline - 1) {
    loss_kept = t.head_kept;
    loss_working = t.loss_working;
    out.ends += real(in_flight(s, rank, l.virtual_stages - 1)) * loss_kept;
  }
  // When the first layer goes backward, the loss of its micro-batch is done.
  out.working = gathered_bytes(s, parameters) +
                std::max(loss_working, first_backward(s, t, parameters, rank) - loss_kept);
  return out;
}

/// What stays gathered all the time: the ends, as FSDP's root unit; all where nothing reshards.
double CapacityModel::gathered_bytes(const Strategy& s, const RankParameters& parameters) const {
  if (!gathers(s.recipe, shard_sizes(s.layout))) return 0;
  double elements =
      local_elements(s.layout, parameters.embedding) + local_elements(s.layout, parameters.head);
  if (!s.recipe.reshard_after_forward) elements += local_elements(s.layout, parameters.layers);
  return elements * element_bytes(s.recipe.compute);
}

/// Beside what is kept: what the last layer of the last chunk makes again, its unit, what is
/// prefetched, and unreduced gradients of it and of the output layer.
double CapacityModel::first_backward(const Strategy& s, const Terms& t,
                                     const RankParameters& parameters, std::int64_t rank) const {
  const Layout& l = s.layout;
  const ShardSizes sizes = shard_sizes(l);
  const StageLayers n = stage_layers(s, (l.virtual_stages - 1) * l.pipeline + rank);
  if (n.dense + n.routed == 0) return 0;
  double bytes = unit_bytes(s.recipe, sizes, local_elements(l, parameters.head)).gradient;
  const double dense = local_elements(l, dense_layer_);
  const double routed = local_elements(l, routed_layer_);
  const UnitBytes unit = unit_bytes(s.recipe, sizes, n.routed > 0 ? routed : dense);
  bytes += (n.routed > 0 ? t.routed_remade : t.dense_remade) + unit.gathered + unit.gradient;
  const double next = n.dense == 0 ? routed : n.routed == 0 ? dense : std::min(dense, routed);
  const std::int64_t ahead = std::min(s.recipe.prefetch, n.dense + n.routed - 1);
  return bytes + real(ahead) * unit_bytes(s.recipe, sizes, next).gathered;
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
  for (std::int64_t i = 1; i < p; ++i) {
    if (i > last_inner) i = p - 1;
    const RankMemory next = rank(s, t, i);
    if (next.total() > best.total()) best = next;
  }
  return best;
}

}  // namespace tidemark
