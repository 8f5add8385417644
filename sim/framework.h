// What a training program adds to its kernels and tensors: time of the host, memory outside the
// tensors, and how well its kernels use a device. Each figure is measured or fitted; `source` says
// on what.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/strategy.h"

namespace tidemark {

/// Rates are shares of what the device table says.
struct KernelShares {
  double products = 1;           // of device rate x efficiency, for very large products
  double half_inner = 0;         // inner size at which half of that is reached
  double half_tiles = 0;         // tiles of 128 x 128 of the result, likewise
  double memory = 1;             // of the bandwidth, for everything that is no product
  double forward_passes = 2;     // over each tensor that backward reads: written and read
  double backward_passes = 3.5;  // read, and gradients written and read
  double logit_bytes = 80;       // moved for each logit by the loss and its backward
  double optimizer_passes = 1;   // over the bytes of states
  bool operator==(const KernelShares&) const = default;
};

/// Time of the host between kernels. A device that is slower than the host hides it.
struct HostTimes {
  double layer_ns = 0;  // to issue forward and backward of one layer, of it a third in forward
  /// The same for the four collectives of a tensor-parallel layer, by ranks: 2, 4, 8 and more.
  std::array<double, 3> collectives_ns{};
  double micro_batch_ns = 0;  // for what is before and behind the layers
  double step_ns = 0;
  double stage_ns = 0;            // device idle in each stage and micro-batch: what is awaited
  double optimizer_layer_ns = 0;  // of each layer of the rank
  double hiding = 4;  // p of (host^p + device^p)^(1/p): infinite = the slower hides the other
  bool operator==(const HostTimes&) const = default;
};

struct CollectiveTimes {
  double launch_ns = 0;      // of each call, beside the messages
  double share = 1;          // of the modelled time of tensor-parallel collectives
  double message_ns = 0;     // of handing a micro-batch to the next stage, beside its bytes
  double message_share = 1;  // of the modelled time of its bytes
  /// Each tensor-parallel rank sends its part of a micro-batch only, and they gather it behind
  /// (Narayanan et al. 2021, section 4.1); always so with sequence parallelism.
  bool scatters_messages = false;
  /// Gradients are reduced while backward still runs; both then take this much longer.
  bool overlaps_gradients = false;
  bool operator==(const CollectiveTimes&) const = default;
};

struct Framework {
  std::string name;
  std::string about;
  KernelShares kernels;
  HostTimes host;
  CollectiveTimes collectives;
  std::string source;
  bool operator==(const Framework&) const = default;
};

[[nodiscard]] const std::vector<Framework>& frameworks();

/// Throws InputError that lists the names.
[[nodiscard]] const Framework& find_framework(std::string_view name);

}  // namespace tidemark
