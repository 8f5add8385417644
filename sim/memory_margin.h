// From the bytes of tensors to what a device must have: allocator, context, communicators, and how
// far off all of it may be.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/strategy.h"

namespace tidemark {

/// Measured constants of a program and its version; `source` says on what.
struct MemoryMargin {
  std::string name;
  double context_bytes = 0;            // CUDA context, kernels and libraries of one process
  double communicator_bytes = 0;       // of each group of ranks that communicates
  double most_communicator_bytes = 0;  // of all of them together
  double reserved_share = 1;           // what the allocator reserves, over what is allocated
  double reserved_spread = 0;          // standard deviation of its logarithm
  std::string source;
};

/// "megatron", "torchtitan", "torchtune".
[[nodiscard]] const std::vector<MemoryMargin>& memory_margins();

/// Throws InputError that lists the names.
[[nodiscard]] const MemoryMargin& find_memory_margin(std::string_view name);

/// Standard deviation of log(measured / level B) over the published peaks; measured by
/// bench_capacity on the rows of torchtitan, torchtune and Megatron-Bridge.
inline constexpr double k_model_spread = 0.075;

enum class Verdict : std::uint8_t { fits, may_fit, too_large };

template <>
struct EnumNames<Verdict> {
  static constexpr std::string_view k_type = "verdict";
  static constexpr auto k_names = std::to_array<std::string_view>({"fits", "may_fit", "too_large"});
};

/// Of one rank. Logarithms are taken as normal: a peak is off by a factor, not by bytes.
struct MemoryDemand {
  double tensor_bytes = 0;  // level B
  double slack_bytes = 0;   // reserved by the allocator, not allocated
  double context_bytes = 0;
  double communicator_bytes = 0;
  double spread = 0;  // standard deviation of the logarithm of the sum
  bool operator==(const MemoryDemand&) const = default;
  [[nodiscard]] double expected_bytes() const {
    return tensor_bytes + slack_bytes + context_bytes + communicator_bytes;
  }
  /// Below it with probability `share`, in (0, 1).
  [[nodiscard]] double quantile_bytes(double share) const;
  [[nodiscard]] double fits_probability(double device_bytes) const;
  /// `fits` from 0.9 up, `too_large` below 0.1.
  [[nodiscard]] Verdict verdict(double device_bytes) const;
};

/// Groups of more than one rank that the layout makes: tensor, context, data, pipeline, experts.
[[nodiscard]] std::int64_t communicators(const Layout& layout);

[[nodiscard]] MemoryDemand memory_demand(double tensor_bytes, const Layout& layout,
                                         const MemoryMargin& margin);

struct Interval {
  double low = 0;
  double high = 0;
};
/// In which a value lies with probability 0.9 whose logarithm is normal, with that deviation around
/// the logarithm of `expected`.
[[nodiscard]] Interval interval_90(double expected, double spread);

/// x with probability `share` below it, of a normal variable with mean 0 and deviation 1; `share`
/// in (0, 1). By bisection of erfc.
[[nodiscard]] double normal_quantile(double share);

}  // namespace tidemark
