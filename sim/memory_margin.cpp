#include "sim/memory_margin.h"

#include <algorithm>
#include <cmath>

#include "traces/error.h"

namespace tidemark {
namespace {

constexpr double k_gib = 1 << 30;
constexpr double k_likely = 0.9;

double normal_share(double x) {
  return std::erfc(-x / std::sqrt(2.0)) / 2;
}

std::vector<MemoryMargin> make_margins() {
  const std::string context =
      "context: 0.47 GiB lazy (PyTorch 2.1), 0.92 eager, A100, stas00/ml-engineering; "
      "communicators: 544 to 688 MB each, NVIDIA/nccl#964, about 6 GB for all, NVIDIA/nccl#864";
  return {
      {.name = "megatron",
       .context_bytes = 0.92 * k_gib,
       .communicator_bytes = 1.6e9,
       .most_communicator_bytes = 6e9,
       .reserved_share = 1.15,
       .reserved_spread = 0.12,
       .source = context + "; allocator: assumed, as 55 GiB allocated ran out of 80 by "
                           "fragmentation (Megatron-Bridge, performance guide)"},
      {.name = "torchtitan",
       .context_bytes = 0.47 * k_gib,
       .communicator_bytes = 0.688e9,
       .most_communicator_bytes = 6e9,
       .reserved_share = 1.055,
       .reserved_spread = 0.03,
       .source = context + "; allocator: torchtitan's published peaks, which are reserved bytes, "
                           "over level B: median of the rows without pipeline"},
      {.name = "torchtune",
       .context_bytes = 0.47 * k_gib,
       .communicator_bytes = 0.688e9,
       .most_communicator_bytes = 6e9,
       .reserved_share = 1.055,
       .reserved_spread = 0.05,
       .source = context + "; allocator: as torchtitan"},
  };
}

}  // namespace

const std::vector<MemoryMargin>& memory_margins() {
  static const std::vector<MemoryMargin> table = make_margins();
  return table;
}

const MemoryMargin& find_memory_margin(std::string_view name) {
  std::string names;
  for (const MemoryMargin& margin : memory_margins()) {
    if (margin.name == name) return margin;
    names += (names.empty() ? "" : ", ") + margin.name;
  }
  throw InputError({.file = {},
                    .place = "memory margin",
                    .expected = "one of " + names,
                    .found = "'" + std::string(name) + "'"});
}

double normal_quantile(double share) {
  double low = -40;
  double high = 40;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (normal_share(middle) < share ? low : high) = middle;
  }
  return (low + high) / 2;
}

double MemoryDemand::quantile_bytes(double share) const {
  return expected_bytes() * std::exp(spread * normal_quantile(share));
}

double MemoryDemand::fits_probability(double device_bytes) const {
  if (spread <= 0) return expected_bytes() <= device_bytes ? 1 : 0;
  return normal_share(std::log(device_bytes / expected_bytes()) / spread);
}

Verdict MemoryDemand::verdict(double device_bytes) const {
  const double share = fits_probability(device_bytes);
  return share >= k_likely      ? Verdict::fits
         : share < 1 - k_likely ? Verdict::too_large
                                : Verdict::may_fit;
}

std::int64_t communicators(const Layout& l) {
  std::int64_t count = 0;
  for (const std::int64_t ranks : {l.tensor, l.pipeline, l.data, l.context, l.expert}) {
    count += ranks > 1 ? 1 : 0;
  }
  return count;
}

MemoryDemand memory_demand(double tensor_bytes, const Layout& layout, const MemoryMargin& m) {
  const double groups = static_cast<double>(communicators(layout));
  MemoryDemand out{
      .tensor_bytes = tensor_bytes,
      .slack_bytes = tensor_bytes * (m.reserved_share - 1),
      .context_bytes = m.context_bytes,
      .communicator_bytes = std::min(groups * m.communicator_bytes, m.most_communicator_bytes)};
  out.spread = std::hypot(k_model_spread, m.reserved_spread);
  return out;
}

Interval interval_90(double expected, double spread) {
  static const double k_bound = normal_quantile(0.95);
  const double factor = std::exp(spread * k_bound);
  return {expected / factor, expected * factor};
}

}  // namespace tidemark
