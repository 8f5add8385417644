#include "sim/capacity_walk.h"

#include <algorithm>
#include <set>
#include <utility>

#include "sim/layer_products.h"
#include "sim/real.h"
#include "sim/schedule_events.h"

namespace tidemark {
namespace {

/// One kind of layer on one rank, in bytes of one micro-batch.
struct LayerBytes {
  double kept = 0;
  double held = 0;           // from backward until the gradients of weights, where they are apart
  double all = 0;            // while its forward runs: also what will be made again
  double backward_most = 0;  // most over `kept` while its backward runs
  double elements = 0;       // of its parameters
  double gradient = 0;       // of them, as the recipe keeps it
};

/// Backward reads the tensors in the opposite order; the gradient of one lives until the gradient
/// of the one before it is there.
double most_in_backward(const LayerTensors& tensors, const Strategy& s, double tokens,
                        double output_gradient) {
  const auto bytes_of = [&](const KeptTensor& t) {
    TokenBytes bytes;
    (t.split == Split::tensor     ? bytes.tensor
     : t.split == Split::sequence ? bytes.sequence
                                  : bytes.routed) = t.bytes_per_token;
    return rank_bytes(bytes, s.layout, tokens);
  };
  const double remade = rank_bytes(remade_bytes(tensors, s.recompute), s.layout, tokens);
  double live = remade;
  double most = live;
  double last_gradient = output_gradient;
  for (const KeptTensor* t = tensors.end(); t-- != tensors.begin();) {
    if (!is_held(*t, s.recompute)) continue;
    const double gradient = t->has_gradient ? bytes_of(*t) : 0;
    most = std::max(most, live + last_gradient + gradient);
    if (t->has_gradient) last_gradient = gradient;
    live -= bytes_of(*t);
  }
  return most;
}

class Walker {
 public:
  Walker(const Transformer& model, const Strategy& s, std::int64_t rank)
      : model_(model), s_(s), rank_(rank), sizes_(shard_sizes(s.layout)) {
    const CapacityModel level_a(model);
    const RankParameters parameters = level_a.parameters(s, rank);
    const auto ends = [&s](const Parameters& p) { return end_state_bytes(s.recipe, s.layout, p); };
    const ParameterBytes layers = state_bytes(s.recipe, s.layout, parameters.layers);
    embedding_gradient_ = ends(parameters.embedding).gradient;
    head_gradient_ = ends(parameters.head).gradient;
    live_.rank = rank;
    live_.states = layers.other + ends(parameters.embedding).other + ends(parameters.head).other;
    if (s.recipe.gradients_stay) {
      live_.states += layers.gradient + embedding_gradient_ + head_gradient_;
    }
    live_.working = level_a.gathered_bytes(s, parameters);
    head_unit_gradient_ = level_a.head_gradient_bytes(s);
    tokens_ = real(s.batch.micro_batch * s.batch.sequence) / real(s.layout.context);
    rows_ = real(model.hidden) * tokens_ / (s.layout.sequence_parallel ? real(s.layout.tensor) : 1);
    for (const bool dense : {false, true}) {
      if (dense ? is_dense(model, 0) : model.experts.count > 0) layers_[dense] = layer(dense);
    }
    logits_ = tokens_ * real(model.vocabulary) / real(s.layout.tensor);
    messages_ = message_bytes(model, s);
    for (std::int64_t chunk = 0; chunk < s.layout.virtual_stages; ++chunk) {
      const std::int64_t stage = chunk * s.layout.pipeline + rank;
      const double buffers = (stage > 0 ? 1 : 0) + (is_last(stage) ? 0 : 1);
      live_.ends += buffers * real(s.batch.micro_batches) * messages_.rows;
    }
  }

  WalkedPeak run() {
    see(PeakMoment::forward, 0);
    for (const PipelineEvent& event : schedule_events(s_, rank_)) {
      const std::int64_t stage = event.chunk * s_.layout.pipeline + rank_;
      switch (event.pass) {
        case PipelinePass::forward:
          forward(stage);
          break;
        case PipelinePass::backward:
          backward(stage);
          is_reached_.insert(stage);
          break;
        case PipelinePass::weights:
          weights(stage, event.micro_batch == 0);
      }
    }
    see(PeakMoment::optimizer, 0);
    return peak_;
  }

 private:
  LayerBytes layer(bool dense) const {
    const LayerTensors tensors = layer_tensors(model_, dense, s_.kernels, s_.batch.sequence);
    LayerBytes out;
    out.kept = rank_bytes(kept_bytes(tensors, s_.recompute), s_.layout, tokens_);
    out.all = out.kept + rank_bytes(remade_bytes(tensors, s_.recompute), s_.layout, tokens_);
    out.all += gathered_row();
    out.backward_most = most_in_backward(tensors, s_, tokens_, 2 * rows_) + gathered_row();
    if (s_.kept_on_host) out.backward_most += std::exchange(out.kept, 0);
    if (is_apart()) out.held = held_bytes(layer_products(model_, dense, s_), model_, s_);
    out.gradient = state_bytes(s_.recipe, s_.layout, layer_parameters(model_, dense)).gradient;
    out.elements = local_elements(s_.layout, layer_parameters(model_, dense));
    return out;
  }

  void see(PeakMoment moment, double working) {
    RankMemory now = live_;
    now.working += working;
    if (now.total() > peak_.memory.total()) peak_ = {now, moment};
  }

  [[nodiscard]] const LayerBytes& layer_at(std::int64_t index) const {
    return layers_[is_dense(model_, index)];
  }

  [[nodiscard]] bool is_last(std::int64_t stage) const {
    return stage == s_.layout.pipeline * s_.layout.virtual_stages - 1;
  }

  /// Whether the first layer of the stage keeps the buffer in which its input came.
  [[nodiscard]] bool is_input_kept(std::int64_t stage) const {
    return stage > 0 && !s_.kept_on_host && layers_of_stage(model_, s_, stage) > 0;
  }

  /// The units of layer `index` and of those that are fetched ahead in steps of `step`, up to
  /// `end`.
  [[nodiscard]] double gathered(std::int64_t index, std::int64_t step, std::int64_t end) const {
    double bytes = 0;
    for (std::int64_t i = 0; i <= s_.recipe.prefetch && index != end; ++i, index += step) {
      bytes += unit_bytes(s_.recipe, sizes_, layer_at(index).elements).gathered;
    }
    return bytes;
  }

  void forward(std::int64_t stage) {
    const std::int64_t first = first_layer_of_stage(model_, s_, stage);
    const std::int64_t end = first + layers_of_stage(model_, s_, stage);
    if (stage == 0 && s_.kernels.dropout) live_.ends += rows_;
    if (is_input_kept(stage)) live_.ends -= messages_.rows;
    for (std::int64_t i = first; i < end; ++i) {
      see(PeakMoment::forward, layer_at(i).all + gathered(i, 1, end));
      live_.layers += layer_at(i).kept;
    }
    if (!is_last(stage)) live_.ends += messages_.rows;
    see(PeakMoment::forward, 0);
    if (!is_last(stage)) return;
    live_.ends += head_kept();
    see(PeakMoment::loss, loss_working());
  }

  void backward(std::int64_t stage) {
    const std::int64_t first = first_layer_of_stage(model_, s_, stage);
    const std::int64_t end = first + layers_of_stage(model_, s_, stage);
    double unit_gradient = 0;
    if (is_last(stage)) {
      see(PeakMoment::loss, loss_working());
      live_.ends += messages_.logits - head_kept();
      if (makes_gradients(stage)) live_.states += head_gradient_;
      unit_gradient = head_unit_gradient_;
    }
    for (std::int64_t i = end; i-- > first;) {
      const LayerBytes& layer = layer_at(i);
      see(PeakMoment::backward, layer.backward_most + gathered(i, -1, first - 1) + unit_gradient +
                                    unit_bytes(s_.recipe, sizes_, layer.elements).gradient);
      live_.layers += layer.held - layer.kept;
      if (!is_apart() && makes_gradients(stage)) live_.states += layer.gradient;
    }
    if (is_input_kept(stage)) live_.ends += messages_.rows;
    if (stage > 0) live_.ends += messages_.stay;
    if (!is_last(stage)) live_.ends += messages_.stay - messages_.rows;
    see(PeakMoment::backward, 0);
    if (stage == 0 && s_.kernels.dropout) live_.ends -= rows_;
    if (stage == 0 && makes_gradients(stage)) live_.states += embedding_gradient_;
    see(PeakMoment::backward, 0);
  }

  /// All layers of a stage, one after the other.
  void weights(std::int64_t stage, bool is_first) {
    const std::int64_t first = first_layer_of_stage(model_, s_, stage);
    for (std::int64_t i = first + layers_of_stage(model_, s_, stage); i-- > first;) {
      const LayerBytes& layer = layer_at(i);
      see(PeakMoment::backward, unit_bytes(s_.recipe, sizes_, layer.elements).gradient);
      live_.layers -= layer.held;
      if (is_first && !s_.recipe.gradients_stay) live_.states += layer.gradient;
    }
    see(PeakMoment::backward, 0);
  }

  [[nodiscard]] bool is_apart() const { return s_.schedule == PipelineSchedule::zero_bubble; }

  /// Whether this is the first backward of the stage in the step, of gradients that were freed.
  [[nodiscard]] bool makes_gradients(std::int64_t stage) const {
    return !s_.recipe.gradients_stay && !is_reached_.contains(stage);
  }

  /// Sequence-parallel rows before a product.
  [[nodiscard]] double gathered_row() const {
    return s_.layout.sequence_parallel ? 2 * rows_ * real(s_.layout.tensor) : 0;
  }

  [[nodiscard]] double loss_working() const {
    return logits_ * loss_bytes(s_.kernels.loss).working + gathered_row();
  }

  [[nodiscard]] double head_kept() const {
    return 4 * rows_ + logits_ * loss_bytes(s_.kernels.loss).kept;
  }

  const Transformer& model_;
  const Strategy& s_;
  std::int64_t rank_;
  ShardSizes sizes_;
  std::array<LayerBytes, 2> layers_{};  // with experts, dense
  double tokens_ = 0;
  double rows_ = 0;  // one byte per hidden element of the tokens
  double logits_ = 0;
  MessageBytes messages_;
  double head_unit_gradient_ = 0;
  double embedding_gradient_ = 0;
  double head_gradient_ = 0;
  std::set<std::int64_t> is_reached_;  // stages by a backward
  RankMemory live_;
  WalkedPeak peak_;
};

}  // namespace

WalkedPeak walk_rank(const Transformer& model, const Strategy& strategy, std::int64_t rank) {
  return Walker(model, strategy, rank).run();
}

WalkedPeak walk(const Transformer& model, const Strategy& strategy) {
  WalkedPeak best;
  for (std::int64_t rank = 0; rank < strategy.layout.pipeline; ++rank) {
    const WalkedPeak next = walk_rank(model, strategy, rank);
    if (next.memory.total() > best.memory.total()) best = next;
  }
  return best;
}

}  // namespace tidemark
