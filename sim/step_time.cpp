#include "sim/step_time.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "sim/real.h"

namespace tidemark {
namespace {

constexpr double k_forward_kernels = 10;  // of a layer, beside its products
constexpr double k_backward_kernels = 15;
constexpr double k_tile = 128;              // rows and columns that one block of threads makes
constexpr double k_width = 2;               // bytes of a value between layers
constexpr double k_embedding_passes = 8;    // over its rows: lookup, positions, dropout, and back
constexpr double k_first_share = 0.3;       // of HostTimes::micro_batch_ns on the first stage
constexpr double k_host_adam_bytes = 28;    // per parameter: 4 read and 3 written, f32
constexpr double k_host_bytes_per_ns = 20;  // of host memory for each rank: assumed

/// Both run at once; the slower one hides most of the other.
double together_ns(double a, double b, double power) {
  const double most = std::max(a, b);
  if (most <= 0) return 0;
  return most * std::pow(std::pow(a / most, power) + std::pow(b / most, power), 1 / power);
}

/// Ranks of a context-parallel and a data-parallel group, and how far apart they lie: tensor-
/// parallel ranks are neighbours, then context, data and pipeline, as Megatron-LM orders them.
std::int64_t data_ranks(const Layout& l) {
  return l.context * l.data;
}
std::int64_t pipeline_stride(const Layout& l) {
  return l.tensor * l.context * l.data;
}

double activation_bytes(const Transformer& m, const Strategy& s) {
  const double tokens = real(s.batch.micro_batch * s.batch.sequence) / real(s.layout.context);
  return k_width * tokens * real(m.hidden);
}

}  // namespace

double StepTime::total_ns() const {
  return compute_ns + recompute_ns + collectives_ns + gathers_ns + issue_ns + messages_ns +
         bubble_ns + gradients_ns + optimizer_ns + transfers_ns + fixed_ns;
}

Machine machine_of(const Device& device, const Topology& topology) {
  return {.flops_per_ns = device.bf16_flops_per_s * device.efficiency / 1e9,
          .memory_bytes_per_ns = device.memory_bytes_per_s / 1e9,
          .host_link_bytes_per_ns = device.host_link_bytes_per_s / 1e9,
          .kernel_ns = real(device.launch_ns),
          .topology = topology};
}

double product_ns(const Product& p, const Machine& machine, const KernelShares& shares) {
  const double tiles = p.count * std::ceil(p.rows / k_tile) * std::ceil(p.columns / k_tile);
  const double share = shares.products * p.inner / (p.inner + shares.half_inner) * tiles /
                       (tiles + shares.half_tiles);
  const double elements = p.rows * p.inner + p.inner * p.columns + p.rows * p.columns;
  const double bytes = k_width * p.count * elements;
  return std::max(p.flops() / (machine.flops_per_ns * share),
                  bytes / (machine.memory_bytes_per_ns * shares.memory)) +
         machine.kernel_ns;
}

double group_ns(Collective collective, const Machine& machine, const CollectiveTimes& times,
                std::int64_t ranks, std::int64_t stride, double bytes) {
  if (ranks <= 1) return 0;
  Topology t = machine.topology;
  t.node_ranks = std::max<std::int64_t>(1, t.node_ranks / stride);
  if (ranks > t.node_ranks) t.node_ranks = std::gcd(ranks, t.node_ranks);
  return times.launch_ns + hierarchical_ns(collective, t, ranks, bytes);
}

/// One stage and one micro-batch.
struct TimeModel::Slot {
  LayerTime device;
  double shards_ns = 0;  // gathering parameters and reducing gradients, were nothing hidden
  double host_ns = 0;
  double gathers_ns = 0;
  double transfers_ns = 0;
  double messages_ns = 0;
  double issue_ns = 0;
  double total_ns = 0;
  StageTime stage;
};

TimeModel::TimeModel(const Transformer& model, const Machine& machine, const Framework& framework)
    : model_(model), machine_(machine), framework_(framework), capacity_(model) {}

/// Sum over the tensor-parallel group: one all-reduce, or its two halves with sequence parallelism.
double TimeModel::reduced_ns(const Strategy& s) const {
  const std::int64_t ranks = s.layout.tensor;
  const double bytes = activation_bytes(model_, s);
  const auto ns = [&](Collective c) {
    return framework_.collectives.share *
           group_ns(c, machine_, framework_.collectives, ranks, 1, bytes);
  };
  if (!s.layout.sequence_parallel) return ns(Collective::all_reduce);
  return ns(Collective::all_gather) + ns(Collective::reduce_scatter);
}

/// Tokens to their experts, or back.
double TimeModel::exchanged_ns(const Strategy& s) const {
  const double rows = real(model_.experts.per_token) * real(s.layout.expert_tensor);
  const double bytes = activation_bytes(model_, s) * rows / real(s.layout.tensor);
  return group_ns(Collective::all_to_all, machine_, framework_.collectives, s.layout.expert, 1,
                  bytes);
}

/// Keys and values once around the context-parallel ring in forward and twice in backward, as far
/// as attention does not hide it.
double TimeModel::ring_attention_ns(const Strategy& s, double core_ns) const {
  const Layout& l = s.layout;
  if (l.context == 1) return 0;
  const double width = k_width * 2 * real(model_.kv_heads * model_.head_size) / real(l.tensor);
  const double tokens = real(s.batch.micro_batch * s.batch.sequence) / real(l.context);
  const Topology& t = machine_.topology;
  const bool inside = l.tensor * l.context <= t.node_ranks;
  const double step =
      ring_ns(Collective::point_to_point, inside ? t.inside : t.between, 2, width * tokens);
  return std::max(0.0, 3 * real(l.context - 1) * step - core_ns);
}

/// Of the parameters of one layer and one micro-batch: gathered before forward and, when they were
/// let go, before backward; gradients reduced behind it.
double TimeModel::shard_traffic_ns(const Strategy& s, const Parameters& p) const {
  const ShardSizes sizes = shard_sizes(s.layout);
  if (!gathers(s.recipe, sizes)) return 0;
  const double bytes = local_elements(s.layout, p) * element_bytes(s.recipe.compute);
  const auto ns = [&](Collective c) {
    return group_ns(c, machine_, framework_.collectives, sizes.shard, s.layout.tensor, bytes);
  };
  double sum = 0;
  if (s.recipe.reshard_after_forward) sum += 2 * ns(Collective::all_gather);
  if (s.recipe.unit_gradients) sum += ns(Collective::reduce_scatter);
  if (s.recipe.parameter.on_host) sum += 2 * bytes / machine_.host_link_bytes_per_ns;
  return sum;
}

LayerTime TimeModel::layer(const Strategy& s, bool dense) const {
  const KernelShares& k = framework_.kernels;
  const double bandwidth = machine_.memory_bytes_per_ns * k.memory;
  LayerTime out;
  double core_ns = 0;
  double count = 0;
  double again = 0;
  for (const LayerProduct& p : layer_products(model_, dense, s)) {
    const Product& f = p.forward;
    const double forward = product_ns(f, machine_, k);
    const Product inputs{f.rows, f.inner, f.columns, f.count};
    const Product weights{f.inner, f.columns, f.rows, f.count};
    out.forward_ns += forward;
    const double weights_ns = product_ns(weights, machine_, k);
    out.backward_ns +=
        product_ns(inputs, machine_, k) + weights_ns + (p.backward_count - 2) * forward;
    if (!p.is_core) out.weights_ns += weights_ns;
    const bool is_again = p.again_with.meets(s.recompute);
    if (is_again) out.again_ns += forward;
    if (p.is_core) core_ns += 3 * forward;
    count += 1;
    again += is_again ? 1 : 0;
    const double moved = p.is_reduced ? reduced_ns(s) : p.is_exchanged ? 2 * exchanged_ns(s) : 0;
    out.collectives_ns += 2 * moved;
    if (is_again) out.collectives_again_ns += moved;
  }
  const LayerTensors tensors = layer_tensors(model_, dense, s.kernels, s.batch.sequence);
  const double tokens = real(s.batch.micro_batch * s.batch.sequence) / real(s.layout.context);
  out.kept_bytes = rank_bytes(kept_bytes(tensors, s.recompute), s.layout, tokens);
  const double remade = rank_bytes(remade_bytes(tensors, s.recompute), s.layout, tokens);
  const double all = out.kept_bytes + remade;
  out.forward_ns += k.forward_passes * all / bandwidth + k_forward_kernels * machine_.kernel_ns;
  out.backward_ns += k.backward_passes * all / bandwidth + k_backward_kernels * machine_.kernel_ns;
  out.again_ns += k.forward_passes * remade / bandwidth;
  out.collectives_ns += ring_attention_ns(s, core_ns);
  out.again_share = again / count;
  return out;
}

/// A micro-batch to the next stage, and its gradient back.
double TimeModel::messages_ns(const Strategy& s) const {
  const Layout& l = s.layout;
  if (l.pipeline == 1) return 0;
  const CollectiveTimes& c = framework_.collectives;
  const bool inside = pipeline_stride(l) < machine_.topology.node_ranks;
  const Link& link = inside ? machine_.topology.inside : machine_.topology.between;
  const bool scattered = l.sequence_parallel || c.scatters_messages;
  const double bytes = activation_bytes(model_, s) / (scattered ? real(l.tensor) : 1);
  return c.message_ns + c.message_share * 2 * bytes / link.bytes_per_ns;
}

void TimeModel::add_ends(const Strategy& s, std::int64_t stage, Slot& slot) const {
  const KernelShares& k = framework_.kernels;
  const double bandwidth = machine_.memory_bytes_per_ns * k.memory;
  if (stage == 0) {
    slot.device.forward_ns += k_embedding_passes * activation_bytes(model_, s) / bandwidth;
    slot.host_ns += k_first_share * framework_.host.micro_batch_ns;
  }
  if (stage + 1 < s.layout.pipeline * s.layout.virtual_stages) return;
  const Product f = head_product(model_, s);
  const double logits_ns = k.logit_bytes * f.rows * f.columns / bandwidth;
  slot.device.forward_ns += product_ns(f, machine_, k) + logits_ns / 2;
  slot.device.backward_ns += product_ns({f.rows, f.inner, f.columns}, machine_, k) +
                             product_ns({f.inner, f.columns, f.rows}, machine_, k) + logits_ns / 2;
  slot.host_ns += (1 - k_first_share) * framework_.host.micro_batch_ns;
}

/// What is hidden behind the kernels of the slot, and how long all of it takes.
void TimeModel::finish(const Strategy& s, Slot& slot) const {
  const LayerTime& d = slot.device;
  const double kernels = d.forward_ns + d.backward_ns + d.again_ns;
  slot.gathers_ns = std::max(0.0, slot.shards_ns - kernels);
  if (s.kept_on_host) {
    const double ns = 2 * d.kept_bytes / machine_.host_link_bytes_per_ns;
    slot.transfers_ns = std::max(0.0, ns - kernels);
  }
  slot.messages_ns = messages_ns(s);
  const double device = kernels + d.collectives_ns + d.collectives_again_ns + slot.gathers_ns +
                        slot.transfers_ns + framework_.host.stage_ns;
  const double busy = together_ns(device, slot.host_ns, framework_.host.hiding);
  slot.issue_ns = busy - device + framework_.host.stage_ns;
  slot.total_ns = busy + slot.messages_ns;
  const double forward_share =
      (d.forward_ns + d.collectives_ns / 2) / (kernels + d.collectives_ns + d.collectives_again_ns);
  slot.stage.forward_ns = slot.total_ns * forward_share;
  slot.stage.backward_ns = slot.total_ns - slot.stage.forward_ns;
  if (s.schedule != PipelineSchedule::zero_bubble) return;
  // Those of the output layer are made at once: its logits are too large to wait.
  const double back = d.backward_ns + d.again_ns + d.collectives_ns / 2 + d.collectives_again_ns;
  slot.stage.weights_ns = slot.stage.backward_ns * d.weights_ns / back;
  slot.stage.backward_ns -= slot.stage.weights_ns;
}

LayerTimes TimeModel::layer_times(const Strategy& s) const {
  LayerTimes out{};
  for (const bool dense : {false, true}) {
    if (dense ? is_dense(model_, 0) : model_.experts.count > 0) out[dense] = layer(s, dense);
  }
  return out;
}

TimeModel::Slot TimeModel::slot(const Strategy& s, const LayerTimes& layers,
                                std::int64_t stage) const {
  const HostTimes& host = framework_.host;
  const std::size_t size = s.layout.tensor <= 2 ? 0 : s.layout.tensor <= 4 ? 1 : 2;
  const double collectives_host = s.layout.tensor == 1 ? 0 : host.collectives_ns[size];
  Slot out;
  const CapacityModel::StageLayers n = capacity_.stage_layers(s, stage);
  for (const bool dense : {false, true}) {
    const double count = real(dense ? n.dense : n.routed);
    if (count == 0) continue;
    const LayerTime& l = layers[dense];
    out.device.forward_ns += count * l.forward_ns;
    out.device.backward_ns += count * l.backward_ns;
    out.device.weights_ns += count * l.weights_ns;
    out.device.again_ns += count * l.again_ns;
    out.device.collectives_ns += count * l.collectives_ns;
    out.device.collectives_again_ns += count * l.collectives_again_ns;
    out.device.kept_bytes += count * l.kept_bytes;
    out.shards_ns += count * shard_traffic_ns(s, capacity_.layer(dense));
    out.host_ns += count * (host.layer_ns * (1 + l.again_share / 3) +
                            collectives_host * (1 + l.again_share / 2));
  }
  add_ends(s, stage, out);
  finish(s, out);
  return out;
}

/// Over the replicas, and between the two copies of a tied embedding.
double TimeModel::gradients_ns(const Strategy& s, const RankParameters& p) const {
  const Layout& l = s.layout;
  const StateRecipe& r = s.recipe;
  const auto ns = [&](Collective c, std::int64_t ranks, std::int64_t stride, double bytes) {
    return group_ns(c, machine_, framework_.collectives, ranks, stride, bytes);
  };
  Parameters all = p.layers;
  all += p.embedding;
  all += p.head;
  const double width = std::max(element_bytes(r.gradient.type), element_bytes(r.gradient_sum.type));
  const double compute = element_bytes(r.compute);
  Parameters shared = all;
  shared.expert = 0;
  const double tied = model_.tied_head && l.pipeline > 1 && p.embedding.total() + p.head.total() > 0
                          ? local_elements(l, embedding_parameters(model_)) * width
                          : 0;
  double sum = tied > 0 ? ns(Collective::all_reduce, 2, pipeline_stride(l), tied) : 0;
  if (gathers(r, shard_sizes(l)) && r.unit_gradients) {
    // Shards were reduced in every slot; hybrid groups then add theirs up.
    const ShardSizes sizes = shard_sizes(l);
    const double shard = local_elements(l, all) / real(sizes.shard);
    return sum + ns(Collective::all_reduce, sizes.data / sizes.shard, l.tensor * sizes.shard,
                    shard * width);
  }
  const auto reduce = [&](std::int64_t ranks, std::int64_t stride, double elements) {
    if (r.moments.group == ShardGroup::whole) {
      return ns(Collective::all_reduce, ranks, stride, elements * width);
    }
    return ns(Collective::reduce_scatter, ranks, stride, elements * width) +
           ns(Collective::all_gather, ranks, stride, elements * compute);
  };
  sum += reduce(data_ranks(l), l.tensor, local_elements(l, shared));
  if (all.expert > 0) {
    Parameters routed;
    routed.expert = all.expert;
    sum +=
        reduce(expert_shard_sizes(l).data, l.expert * l.expert_tensor, local_elements(l, routed));
  }
  return sum;
}

double TimeModel::optimizer_ns(const Strategy& s, const RankParameters& p,
                               std::int64_t layers) const {
  const auto bytes = [&](const Parameters& of) {
    return state_bytes(s.recipe, s.layout, of).total();
  };
  const KernelShares& k = framework_.kernels;
  return k.optimizer_passes * (bytes(p.layers) + bytes(p.embedding) + bytes(p.head)) /
             (machine_.memory_bytes_per_ns * k.memory) +
         framework_.host.optimizer_layer_ns * real(layers);
}

/// Gradients to the host, an update there, parameters back.
double TimeModel::host_optimizer_ns(const Strategy& s, const RankParameters& p) const {
  if (!s.recipe.moments.on_host) return 0;
  const double ranks = s.recipe.moments.group == ShardGroup::whole ? 1
                       : s.recipe.moments.group == ShardGroup::data
                           ? real(shard_sizes(s.layout).data)
                           : real(shard_sizes(s.layout).shard);
  const double elements = (local_elements(s.layout, p.layers) + local_elements(s.layout, p.head) +
                           local_elements(s.layout, p.embedding)) /
                          ranks;
  const double moved = element_bytes(s.recipe.gradient.type) + element_bytes(s.recipe.compute);
  return elements *
         (moved / machine_.host_link_bytes_per_ns + k_host_adam_bytes / k_host_bytes_per_ns);
}

/// What rank `rank` does once its last micro-batch is back; `slot` is that of its first chunk.
StepTime TimeModel::after_pipeline(const Strategy& s, std::int64_t rank, const Slot& slot) const {
  const RankParameters parameters = capacity_.parameters(s, rank);
  std::int64_t layers = 0;
  for (std::int64_t chunk = 0; chunk < s.layout.virtual_stages; ++chunk) {
    layers += layers_of_stage(model_, s, chunk * s.layout.pipeline + rank);
  }
  StepTime out{.gradients_ns = gradients_ns(s, parameters),
               .optimizer_ns = optimizer_ns(s, parameters, layers),
               .transfers_ns = host_optimizer_ns(s, parameters),
               .fixed_ns = framework_.host.step_ns};
  if (framework_.collectives.overlaps_gradients) {
    // Only the backward of the last micro-batch makes final gradients.
    out.gradients_ns =
        std::max(0.0, out.gradients_ns - slot.stage.backward_ns - slot.stage.weights_ns);
  }
  return out;
}

std::vector<StageTime> TimeModel::stage_times(const Strategy& s) const {
  const LayerTimes layers = layer_times(s);
  std::vector<StageTime> out;
  for (std::int64_t i = 0; i < s.layout.pipeline * s.layout.virtual_stages; ++i) {
    out.push_back(slot(s, layers, i).stage);
  }
  return out;
}

StepTime TimeModel::step(const Strategy& s) const {
  const LayerTimes layers = layer_times(s);
  const std::int64_t p = s.layout.pipeline;
  std::vector<Slot> slots;
  std::vector<StageTime> stages;
  for (std::int64_t stage = 0; stage < p * s.layout.virtual_stages; ++stage) {
    slots.push_back(slot(s, layers, stage));
    stages.push_back(slots.back().stage);
  }
  const PipelineTime pipeline = replay_pipeline(s, stages);

  StepTime best;
  for (std::int64_t rank = 0; rank < p; ++rank) {
    StepTime t = after_pipeline(s, rank, slots[static_cast<std::size_t>(rank)]);
    const double times = real(s.batch.micro_batches);
    for (std::int64_t chunk = 0; chunk < s.layout.virtual_stages; ++chunk) {
      const Slot& slot = slots[static_cast<std::size_t>(chunk * p + rank)];
      const LayerTime& d = slot.device;
      t.compute_ns += times * (d.forward_ns + d.backward_ns);
      t.recompute_ns += times * (d.again_ns + d.collectives_again_ns);
      t.collectives_ns += times * d.collectives_ns;
      t.gathers_ns += times * slot.gathers_ns;
      t.transfers_ns += times * slot.transfers_ns;
      t.issue_ns += times * slot.issue_ns;
      t.messages_ns += times * slot.messages_ns;
    }
    const auto at = static_cast<std::size_t>(rank);
    t.bubble_ns = pipeline.rank_end_ns[at] - pipeline.busy_ns[at];
    if (t.total_ns() > best.total_ns()) best = t;
  }
  return best;
}

double TimeModel::least_ns(const Strategy& s, const LayerTimes& layers, double enough) const {
  const std::int64_t p = s.layout.pipeline;
  const std::int64_t last = p * s.layout.virtual_stages - 1;
  // Without experts and with equal stages only the first and the last differ from all others.
  const bool alike = s.stage_layers.empty() && model_.experts.count == 0;
  const Slot first = slot(s, layers, 0);
  const Slot inner = alike && last > 1 ? slot(s, layers, 1) : Slot{};
  const Slot end = last > 0 ? slot(s, layers, last) : Slot{};
  const auto slot_at = [&](std::int64_t stage) {
    return stage == 0 ? first : stage == last ? end : alike ? inner : slot(s, layers, stage);
  };
  double before_forward = 0;  // forward of one micro-batch in the stages before
  double before_all = 0;      // and backward
  double most_back = 0;       // when the last micro-batch is back on rank 0
  double most = 0;
  for (std::int64_t rank = 0; rank < p; ++rank) {
    const bool is_looked_at = !alike || rank == 0 || rank >= p - 2;
    const Slot own = slot_at(rank);
    if (is_looked_at) {
      double busy = 0;
      for (std::int64_t chunk = 0; chunk < s.layout.virtual_stages; ++chunk) {
        busy += slot_at(chunk * p + rank).total_ns;
      }
      busy *= real(s.batch.micro_batches);
      // Where gradients of weights are apart, the last micro-batch goes back before the last of
      // them.
      const auto later = real(std::min(s.batch.micro_batches, weights_behind(s, rank) + 1));
      most_back = std::max(most_back, before_all + busy - later * own.stage.weights_ns);
      if (most_back > enough) return most_back;
      const double after = after_pipeline(s, rank, own).total_ns();
      most = std::max(most, before_forward + busy + after);
    }
    before_forward += own.stage.forward_ns;
    before_all += own.total_ns - own.stage.weights_ns;
  }
  return std::max(most,
                  most_back + first.stage.weights_ns + after_pipeline(s, 0, first).total_ns());
}

double model_flops_utilization(const Transformer& model, const Strategy& strategy,
                               const Device& device, double step_ns) {
  const double peak = device.bf16_flops_per_s / 1e9 * real(strategy.layout.ranks());
  return model_flops(model, strategy) / (step_ns * peak);
}

}  // namespace tidemark
