// Time of one training step: roofline of every product and tensor, collectives over the topology,
// issue by the host, and the pipeline by replay of its schedule.
#pragma once

#include <array>
#include <vector>

#include "sim/capacity.h"
#include "sim/collectives.h"
#include "sim/device.h"
#include "sim/framework.h"
#include "sim/layer_products.h"
#include "sim/pipeline_replay.h"

namespace tidemark {

/// Devices and what joins them.
struct Machine {
  double flops_per_ns = 0;  // of 16-bit products, as large ones reach it
  double memory_bytes_per_ns = 0;
  double host_link_bytes_per_ns = 0;
  double kernel_ns = 0;  // least time of one kernel
  Topology topology;
};

/// Of a table's device in nodes of `topology`.
[[nodiscard]] Machine machine_of(const Device& device, const Topology& topology);

/// One matrix product: flops at rate x efficiency x inner / (inner + half_inner) x tiles / (tiles +
/// half_tiles), or its operands over the memory, whichever is slower; and the least time of a
/// kernel.
[[nodiscard]] double product_ns(const Product& product, const Machine& machine,
                                const KernelShares& shares);

/// A collective of the tensor-parallel (`stride` 1) or another group whose ranks lie `stride`
/// apart. 0 for one rank.
[[nodiscard]] double group_ns(Collective collective, const Machine& machine,
                              const CollectiveTimes& times, std::int64_t ranks, std::int64_t stride,
                              double bytes);

/// Nanoseconds of one step by what they are spent on; their sum is the step.
struct StepTime {
  double compute_ns = 0;      // kernels of the rank that ends last, without what is recomputed
  double recompute_ns = 0;    // kernels and collectives that run again
  double collectives_ns = 0;  // tensor-parallel sums, exchange of experts and keys
  double gathers_ns = 0;      // of sharded parameters, as far as nothing hides it
  double issue_ns = 0;        // waiting for the host
  double messages_ns = 0;     // between stages
  double bubble_ns = 0;       // waiting for other stages
  double gradients_ns = 0;    // reduction over replicas that backward does not hide
  double optimizer_ns = 0;
  double transfers_ns = 0;  // to and from the host, as far as nothing hides it
  double fixed_ns = 0;      // once per step
  [[nodiscard]] double total_ns() const;
  bool operator==(const StepTime&) const = default;
};

/// Deviation of log(measured / modelled step) whose 90 % interval holds 90 % of the rows of vTrain
/// that calibration has not seen; bench_capacity prints both.
inline constexpr double k_time_spread = 0.09;

/// One layer and one micro-batch on one rank, without what the state recipe adds.
struct LayerTime {
  double forward_ns = 0;
  double backward_ns = 0;
  double weights_ns = 0;      // of backward: products for gradients of weights
  double again_ns = 0;        // what is recomputed
  double collectives_ns = 0;  // of forward and backward
  double collectives_again_ns = 0;
  double kept_bytes = 0;
  double again_share = 0;  // of the products of forward
};

/// Both kinds of layers: with experts, dense.
using LayerTimes = std::array<LayerTime, 2>;

class TimeModel {
 public:
  TimeModel(const Transformer& model, const Machine& machine, const Framework& framework);

  /// Expects problems(model, strategy) to be empty.
  [[nodiscard]] StepTime step(const Strategy& strategy) const;

  /// Of every stage and micro-batch, in model order: what the pipeline of step() replays.
  [[nodiscard]] std::vector<StageTime> stage_times(const Strategy& strategy) const;

  /// The same for all strategies that differ in nothing but state recipe and kept_on_host.
  [[nodiscard]] LayerTimes layer_times(const Strategy& strategy) const;

  /// Level A of time, in closed form: the busiest rank, and what the first micro-batch takes to
  /// reach it and the last to come back. Never above step().total_ns(), and the same for equal
  /// stages of GPipe and 1F1B. When it is above `enough`, any value above that may come back.
  [[nodiscard]] double least_ns(const Strategy& strategy, const LayerTimes& layers,
                                double enough) const;

  [[nodiscard]] const CapacityModel& capacity() const { return capacity_; }

 private:
  struct Slot;
  [[nodiscard]] LayerTime layer(const Strategy& s, bool dense) const;
  [[nodiscard]] double reduced_ns(const Strategy& s) const;
  [[nodiscard]] double exchanged_ns(const Strategy& s) const;
  [[nodiscard]] double ring_attention_ns(const Strategy& s, double core_ns) const;
  [[nodiscard]] double shard_traffic_ns(const Strategy& s, const Parameters& p) const;
  [[nodiscard]] double messages_ns(const Strategy& s) const;
  void add_ends(const Strategy& s, std::int64_t stage, Slot& slot) const;
  void finish(const Strategy& s, Slot& slot) const;
  [[nodiscard]] Slot slot(const Strategy& s, const LayerTimes& layers, std::int64_t stage) const;
  [[nodiscard]] double gradients_ns(const Strategy& s, const RankParameters& p) const;
  [[nodiscard]] double optimizer_ns(const Strategy& s, const RankParameters& p,
                                    std::int64_t layers) const;
  [[nodiscard]] double host_optimizer_ns(const Strategy& s, const RankParameters& p) const;
  [[nodiscard]] StepTime after_pipeline(const Strategy& s, std::int64_t rank,
                                        const Slot& slot) const;

  Transformer model_;
  Machine machine_;
  Framework framework_;
  CapacityModel capacity_;
};

/// Share of the device's peak rate that the model's own flops reach (Chowdhery et al. 2022,
/// appendix B): recomputation does not count.
[[nodiscard]] double model_flops_utilization(const Transformer& model, const Strategy& strategy,
                                             const Device& device, double step_ns);

}  // namespace tidemark
