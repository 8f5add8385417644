#include "sim/capacity_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <map>
#include <set>

#include "sim/capacity.h"
#include "sim/layer_products.h"
#include "sim/real.h"
#include "sim/strategy_text.h"
#include "sim/version.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr double k_most_tensors = 4e6;

/// Writes allocations, frees and ops at a clock that only goes on.
class Recorder {
 public:
  Trace trace;

  LayerId layer(const std::string& name, const std::string& kind) {
    trace.layers.push_back({.name = name, .kind = kind, .parent = {}});
    return LayerId{trace.layers.size() - 1};
  }

  /// None for no bytes.
  BufferId alloc(const std::string& name, LayerId layer, Category category, double bytes) {
    const auto size_bytes = static_cast<std::int64_t>(std::ceil(bytes));
    if (size_bytes <= 0) return {};
    Buffer b;
    b.name = name;
    b.layer = layer;
    b.category = category;
    b.space.rank = trace.meta.rank;
    b.dtype = DType::u8;
    b.shape = {size_bytes};
    b.size_bytes = size_bytes;
    trace.buffers.push_back(std::move(b));
    const BufferId id{trace.buffers.size() - 1};
    event(EventKind::alloc, id.value, size_bytes);
    return id;
  }

  void free(BufferId& id) {
    if (id.valid()) event(EventKind::free, id.value);
    id = {};
  }

  void op(const std::string& name, LayerId layer, Phase phase, std::int64_t micro_batch) {
    Op op;
    op.name = name;
    op.layer = layer;
    op.phase = phase;
    op.micro_batch = static_cast<std::int32_t>(micro_batch);
    trace.ops.push_back(std::move(op));
    event(EventKind::op_begin, static_cast<std::int32_t>(trace.ops.size() - 1));
    begin_ns_ = now_ns_;
  }
  void end_op(double at_ns) {
    go_to(at_ns);
    Op& op = trace.ops.back();
    op.duration_ns = now_ns_ - begin_ns_;
    op.time_source = TimeSource::modelled;
    event(EventKind::op_end, static_cast<std::int32_t>(trace.ops.size() - 1));
  }

  void go_to(double at_ns) { now_ns_ = std::max(now_ns_, static_cast<std::int64_t>(at_ns)); }
  void event(EventKind kind, std::int32_t index, std::int64_t size_bytes = 0) {
    trace.events.push_back(
        {.kind = kind, .time_ns = now_ns_, .index = index, .size_bytes = size_bytes});
  }

 private:
  std::int64_t now_ns_ = 0;
  std::int64_t begin_ns_ = 0;
};

/// Buffers that are fetched ahead and let go in the order of use.
using Units = std::deque<std::pair<std::int64_t, BufferId>>;  // by layer

class StepWriter {
 public:
  StepWriter(const Transformer& model, const Strategy& s, std::int64_t rank)
      : model_(model),
        s_(s),
        rank_(rank),
        sizes_(shard_sizes(s.layout)),
        level_a_(model),
        apart_(s.schedule == PipelineSchedule::zero_bubble),
        tokens_(real(s.batch.micro_batch * s.batch.sequence) / real(s.layout.context)),
        rows_(real(model.hidden) * tokens_ /
              (s.layout.sequence_parallel ? real(s.layout.tensor) : 1)),
        logits_(tokens_ * real(model.vocabulary) / real(s.layout.tensor)) {
    for (const bool dense : {false, true}) {
      if (dense ? is_dense(model, 0) : model.experts.count > 0) {
        tensors_[dense] = layer_tensors(model, dense, s.kernels, s.batch.sequence);
      }
    }
  }

  Trace write(const StepPace& pace) {
    require_few();
    start();
    states();
    r_.event(EventKind::step_begin, 0);
    const PipelineTime time = replay_pipeline(s_, pace.stages);
    std::size_t i = 0;
    for (const PipelineEvent& e : schedule_events(s_, rank_)) {
      const std::int64_t stage = e.chunk * s_.layout.pipeline + rank_;
      const StageTime& t = pace.stages[static_cast<std::size_t>(stage)];
      const double ns = e.pass == PipelinePass::forward ? t.forward_ns
                        : e.pass == PipelinePass::weights
                            ? t.weights_ns
                            : t.backward_ns + (apart_ ? 0 : t.weights_ns);
      const double begin_ns = time.begin_ns[static_cast<std::size_t>(rank_)][i++];
      run(e, stage, begin_ns, ns);
    }
    optimizer(std::max(pace.step_ns, time.end_ns));
    return std::move(r_.trace);
  }

 private:
  void require_few() const {
    double layers = 0;
    for (std::int64_t chunk = 0; chunk < s_.layout.virtual_stages; ++chunk) {
      layers += real(layers_of_stage(model_, s_, chunk * s_.layout.pipeline + rank_));
    }
    const double tensors = layers * real(s_.batch.micro_batches) * 64;
    if (tensors <= k_most_tensors) return;
    throw InputError(InputError::Parts{
        .place = "--output",
        .expected = fmt::format("a step of at most {:.0f} tensors on a rank (fewer micro-batches)",
                                k_most_tensors),
        .found = fmt::format("about {:.0f}", tensors)});
  }

  void start() {
    Meta& meta = r_.trace.meta;
    meta.kind = TraceKind::dry;
    meta.backend = "dry";
    meta.tool = k_tool;
    meta.rank = 0;
    const std::string layout = layout_text(s_.layout);
    meta.title = fmt::format("{}, {}, {}, {} micro-batches, pipeline rank {}", model_.name,
                             layout.empty() ? "one rank" : layout, s_.recipe.name,
                             s_.batch.micro_batches, rank_);
    r_.trace.streams.push_back({.name = "compute"});
    embedding_ = r_.layer("embedding", "embedding");
    for (std::int64_t i = 0; i < model_.layers; ++i) {
      layers_.push_back(r_.layer(fmt::format("layer{}", i), "transformer layer"));
    }
    head_ = r_.layer("head", "final norm, output layer and loss");
  }

  [[nodiscard]] double bytes_of(const KeptTensor& t) const {
    TokenBytes bytes;
    (t.split == Split::tensor     ? bytes.tensor
     : t.split == Split::sequence ? bytes.sequence
                                  : bytes.routed) = t.bytes_per_token;
    return rank_bytes(bytes, s_.layout, tokens_);
  }

  [[nodiscard]] bool is_last(std::int64_t stage) const {
    return stage == s_.layout.pipeline * s_.layout.virtual_stages - 1;
  }
  LayerId layer_id(std::int64_t i) const { return layers_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] double gathered_row() const {
    return s_.layout.sequence_parallel ? 2 * rows_ * real(s_.layout.tensor) : 0;
  }
  [[nodiscard]] UnitBytes unit(std::int64_t i) const {
    return unit_bytes(s_.recipe, sizes_,
                      local_elements(s_.layout, level_a_.layer(is_dense(model_, i))));
  }

  /// Of a group of parameters, what lives from step to step.
  void state(const std::string& name, LayerId layer, const Parameters& p,
             const StatePart& parameter) {
    const StateRecipe& recipe = s_.recipe;
    const auto add = [&](const char* what, const StatePart& part, Category category) {
      r_.alloc(name + what, layer, category, part_bytes(part, s_.layout, p));
    };
    add(".weights", parameter, Category::weight);
    add(".master", recipe.master, Category::optimizer_state);
    add(".first moments", recipe.moments, Category::optimizer_state);
    add(".second moments", recipe.moments, Category::optimizer_state);
    if (recipe.gradients_stay) gradient(name, layer, p);
  }

  void gradient(const std::string& name, LayerId layer, const Parameters& p) {
    BufferId made = r_.alloc(name + ".gradients", layer, Category::gradient,
                             part_bytes(s_.recipe.gradient, s_.layout, p));
    BufferId sum = r_.alloc(name + ".gradient sums", layer, Category::gradient,
                            part_bytes(s_.recipe.gradient_sum, s_.layout, p));
    if (s_.recipe.gradients_stay) return;
    of_step_.insert(of_step_.end(), {made, sum});
  }

  void states() {
    const RankParameters p = level_a_.parameters(s_, rank_);
    state("embedding", embedding_, p.embedding, end_parameter(s_.recipe));
    for (std::int64_t chunk = 0; chunk < s_.layout.virtual_stages; ++chunk) {
      const std::int64_t stage = chunk * s_.layout.pipeline + rank_;
      const std::int64_t first = first_layer_of_stage(model_, s_, stage);
      for (std::int64_t i = first; i < first + layers_of_stage(model_, s_, stage); ++i) {
        state(fmt::format("layer{}", i), layer_id(i), level_a_.layer(is_dense(model_, i)),
              s_.recipe.parameter);
      }
    }
    state("head", head_, p.head, end_parameter(s_.recipe));
    r_.alloc("gathered for all of the step", {}, Category::communication,
             level_a_.gathered_bytes(s_, p));
    ends_ = p;
    messages_ = message_bytes(model_, s_);
    for (std::int64_t chunk = 0; chunk < s_.layout.virtual_stages; ++chunk) {
      const std::int64_t stage = chunk * s_.layout.pipeline + rank_;
      if (stage > 0 && messages_.rows > 0 && !s_.kept_on_host)
        received_.insert(first_layer_of_stage(model_, s_, stage));
      for (std::int64_t i = 0; i < s_.batch.micro_batches; ++i) {
        if (stage > 0) message("input", stage, i);
        if (!is_last(stage)) message("gradient of the output", stage, i);
      }
    }
  }

  /// What torch.distributed.pipelining holds beside the layers of a stage.
  BufferId message(const char* what, std::int64_t stage, std::int64_t micro_batch) {
    return r_.alloc(fmt::format("stage{}.{}@{}", stage, what, micro_batch), {},
                    Category::communication, messages_.rows);
  }

  void run(const PipelineEvent& e, std::int64_t stage, double begin_ns, double ns) {
    r_.go_to(begin_ns);
    const std::int64_t first = first_layer_of_stage(model_, s_, stage);
    const std::int64_t layers = layers_of_stage(model_, s_, stage);
    const double each_ns = ns / real(std::max<std::int64_t>(1, layers + (is_last(stage) ? 1 : 0)));
    switch (e.pass) {
      case PipelinePass::forward:
        return forward(stage, e.micro_batch, {first, first + layers}, begin_ns, each_ns);
      case PipelinePass::backward:
        return backward(stage, e.micro_batch, {first, first + layers}, begin_ns, each_ns);
      case PipelinePass::weights:
        break;
    }
    for (std::int64_t i = first + layers; i-- > first;) {
      r_.op(fmt::format("layer{}.weights@{}", i, e.micro_batch), layer_id(i), Phase::backward,
            e.micro_batch);
      BufferId whole =
          r_.alloc("gradient of a unit", layer_id(i), Category::gradient, unit(i).gradient);
      r_.free(held_[{i, e.micro_batch}]);
      r_.free(whole);
      if (e.micro_batch == 0 && !s_.recipe.gradients_stay) layer_gradient(i);
      r_.end_op(begin_ns + each_ns * real(first + layers - i));
    }
  }

  void layer_gradient(std::int64_t i) {
    gradient(fmt::format("layer{}", i), layer_id(i), level_a_.layer(is_dense(model_, i)));
  }

  struct LayerRange {
    std::int64_t first = 0;
    std::int64_t end = 0;
  };

  /// The unit of layer `i` and of as many as are fetched ahead, in steps of `step` up to `end`.
  void gather(Units& units, std::int64_t i, std::int64_t step, std::int64_t end) {
    for (std::int64_t n = 0; n <= s_.recipe.prefetch && i != end; ++n, i += step) {
      const auto same = [i](const auto& u) { return u.first == i; };
      if (std::ranges::any_of(units, same)) continue;
      units.emplace_back(i, r_.alloc(fmt::format("layer{}.gathered", i), layer_id(i),
                                     Category::communication, unit(i).gathered));
    }
  }
  void let_go(Units& units) {
    r_.free(units.front().second);
    units.pop_front();
  }

  /// All tensors of the layer that backward reads; those that are there stay as they are.
  void hold(std::int64_t i, std::int64_t micro_batch, Category remade) {
    const LayerTensors& tensors = tensors_[is_dense(model_, i)];
    std::vector<BufferId>& held = kept_[{i, micro_batch}];
    // Its first tensor, the layer's input, may lie in the buffer in which it came.
    const bool is_received = received_.contains(i);
    std::size_t n = 0;
    for (const KeptTensor& t : tensors) {
      if (!is_held(t, s_.recompute)) continue;
      if (held.size() <= n) held.emplace_back();
      BufferId& id = held[n++];
      if (id.valid() || (is_received && &t == tensors.begin())) continue;
      const bool again = t.dropped_by.meets(s_.recompute);
      id = r_.alloc(fmt::format("layer{}.{}@{}", i, t.name, micro_batch), layer_id(i),
                    again ? remade : Category::activation, bytes_of(t));
    }
  }

  /// What is not kept until backward.
  void drop(std::int64_t i, std::int64_t micro_batch) {
    std::vector<BufferId>& held = kept_[{i, micro_batch}];
    std::size_t n = 0;
    for (const KeptTensor& t : tensors_[is_dense(model_, i)]) {
      if (!is_held(t, s_.recompute)) continue;
      BufferId& id = held[n++];
      if (s_.kept_on_host || t.dropped_by.meets(s_.recompute)) r_.free(id);
    }
  }

  void forward(std::int64_t stage, std::int64_t micro_batch, LayerRange range, double begin_ns,
               double each_ns) {
    if (stage == 0 && s_.kernels.dropout) {
      masks_[micro_batch] = r_.alloc(fmt::format("embedding.mask@{}", micro_batch), embedding_,
                                     Category::activation, rows_);
    }
    Units units;
    for (std::int64_t i = range.first; i < range.end; ++i) {
      r_.op(fmt::format("layer{}.forward@{}", i, micro_batch), layer_id(i), Phase::forward,
            micro_batch);
      gather(units, i, 1, range.end);
      hold(i, micro_batch, Category::temporary);
      BufferId row =
          r_.alloc("gathered rows", layer_id(i), Category::communication, gathered_row());
      r_.end_op(begin_ns + each_ns * real(i - range.first + 1));
      r_.free(row);
      drop(i, micro_batch);
      let_go(units);
    }
    if (!is_last(stage)) {
      outputs_[{stage, micro_batch}] = message("output", stage, micro_batch);
      return;
    }
    r_.op(fmt::format("head.forward@{}", micro_batch), head_, Phase::forward, micro_batch);
    auto& kept = head_kept_[micro_batch];
    const LossBytes loss = loss_bytes(s_.kernels.loss);
    const auto keep = [&](const char* name, double bytes) {
      kept.push_back(r_.alloc(fmt::format("head.{}@{}", name, micro_batch), head_,
                              Category::activation, bytes));
    };
    keep("norm input", 2 * rows_);
    keep("norm output", 2 * rows_);
    keep("logits", logits_ * loss.kept - messages_.logits);
    of_step_.push_back(r_.alloc(fmt::format("head.logits put out@{}", micro_batch), head_,
                                Category::activation, messages_.logits));
    loss_working();
    r_.end_op(begin_ns + each_ns * real(range.end - range.first + 1));
  }

  void loss_working() {
    BufferId row = r_.alloc("gathered rows", head_, Category::communication, gathered_row());
    BufferId work = r_.alloc("loss.workspace", head_, Category::workspace,
                             logits_ * loss_bytes(s_.kernels.loss).working);
    r_.free(work);
    r_.free(row);
  }

  void backward(std::int64_t stage, std::int64_t micro_batch, LayerRange range, double begin_ns,
                double each_ns) {
    const bool makes = !s_.recipe.gradients_stay && reached_.insert(stage).second;
    BufferId head_unit;
    double at_ns = begin_ns;
    if (is_last(stage)) {
      r_.op(fmt::format("head.backward@{}", micro_batch), head_, Phase::backward, micro_batch);
      loss_working();
      for (BufferId& id : head_kept_[micro_batch]) r_.free(id);
      if (makes) gradient("head", head_, ends_.head);
      head_unit = r_.alloc("head.whole gradient", head_, Category::gradient,
                           level_a_.head_gradient_bytes(s_));
      r_.end_op(at_ns += each_ns);
    }
    Units units;
    BufferId output;  // gradient of the output of a layer
    for (std::int64_t i = range.end; i-- > range.first;) {
      r_.op(fmt::format("layer{}.backward@{}", i, micro_batch), layer_id(i), Phase::backward,
            micro_batch);
      layer_backward(i, micro_batch, range, units, output);
      if (i == range.first) r_.free(output);
      if (apart_) {
        const LayerProducts products = layer_products(model_, is_dense(model_, i), s_);
        held_[{i, micro_batch}] =
            r_.alloc(fmt::format("layer{}.operands of gradients@{}", i, micro_batch), layer_id(i),
                     Category::activation, held_bytes(products, model_, s_));
      } else if (makes) {
        layer_gradient(i);
      }
      r_.end_op(at_ns += each_ns);
    }
    r_.free(head_unit);
    BufferId put_out = outputs_[{stage, micro_batch}];
    if (s_.recipe.keeps_outputs) {
      of_step_.push_back(put_out);
      if (stage > 0) of_step_.push_back(message("gradient of the input", stage, micro_batch));
    } else {
      r_.free(put_out);
    }
    if (stage != 0) return;
    r_.free(masks_[micro_batch]);
    if (makes) gradient("embedding", embedding_, ends_.embedding);
  }

  /// Against the order of forward: the gradient of each tensor, then the tensor is gone.
  void layer_backward(std::int64_t i, std::int64_t micro_batch, LayerRange range, Units& units,
                      BufferId& output) {
    const LayerId layer = layer_id(i);
    gather(units, i, -1, range.first - 1);
    BufferId whole = r_.alloc(fmt::format("layer{}.whole gradient", i), layer, Category::gradient,
                              unit(i).gradient);
    BufferId row = r_.alloc("gathered rows", layer, Category::communication, gathered_row());
    hold(i, micro_batch, Category::recomputed_activation);
    if (!output.valid()) {
      output = r_.alloc("gradient of an output", layer, Category::temporary, 2 * rows_);
    }
    std::vector<BufferId>& held = kept_[{i, micro_batch}];
    std::vector<const KeptTensor*> order;
    for (const KeptTensor& t : tensors_[is_dense(model_, i)]) {
      if (is_held(t, s_.recompute)) order.push_back(&t);
    }
    for (std::size_t n = order.size(); n-- > 0;) {
      const KeptTensor& t = *order[n];
      if (t.has_gradient) {
        const BufferId next = r_.alloc(fmt::format("layer{}.gradient of {}", i, t.name), layer,
                                       Category::temporary, bytes_of(t));
        r_.free(output);
        output = next;
      }
      r_.free(held[n]);
    }
    kept_.erase({i, micro_batch});
    r_.free(row);
    r_.free(whole);
    let_go(units);
  }

  void optimizer(double end_ns) {
    r_.op("optimizer", {}, Phase::optimizer, 0);
    r_.end_op(end_ns);
    for (BufferId& id : of_step_) r_.free(id);
    r_.event(EventKind::step_end, 0);
  }

  using Key = std::pair<std::int64_t, std::int64_t>;  // layer, micro-batch

  const Transformer& model_;
  const Strategy& s_;
  std::int64_t rank_;
  ShardSizes sizes_;
  CapacityModel level_a_;
  bool apart_;  // gradients of weights
  double tokens_;
  double rows_;  // one byte per hidden element of the tokens
  double logits_;
  std::array<LayerTensors, 2> tensors_{};  // with experts, dense
  RankParameters ends_;
  Recorder r_;
  LayerId embedding_;
  LayerId head_;
  std::vector<LayerId> layers_;
  std::map<Key, std::vector<BufferId>> kept_;  // in the order of the layer's tensors
  std::map<Key, BufferId> held_;               // operands of late gradients of weights
  std::map<std::int64_t, BufferId> masks_;     // by micro-batch
  std::map<std::int64_t, std::vector<BufferId>> head_kept_;
  std::set<std::int64_t> reached_;  // stages by a backward
  MessageBytes messages_;
  std::map<Key, BufferId> outputs_;  // by stage and micro-batch
  std::set<std::int64_t> received_;  // layers whose input is a message
  std::vector<BufferId> of_step_;    // gradients and messages that are freed when the step ends
};

}  // namespace

Trace strategy_trace(const Transformer& model, const Strategy& strategy, std::int64_t rank,
                     const StepPace& pace) {
  return StepWriter(model, strategy, rank).write(pace);
}

}  // namespace tidemark
