// The device table: memory, rates and links of one accelerator, each figure with its source.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

struct Device {
  std::string name;   // "h100-80g"
  std::string about;  // "NVIDIA H100 SXM 80 GB"
  std::int64_t memory_bytes = 0;
  double f32_flops_per_s = 0;  // dense matrix products, as run by this trainer
  double bf16_flops_per_s = 0;
  double memory_bytes_per_s = 0;
  double host_link_bytes_per_s = 0;  // per direction
  std::int64_t launch_ns = 0;        // least time of one op
  double efficiency = 1;             // share of the flops rate that large products reach
  std::string source;
};

[[nodiscard]] const std::vector<Device>& devices();

/// Throws InputError that lists the names.
[[nodiscard]] const Device& find_device(std::string_view name);

/// Roofline time of one op: max(flops / (efficiency x rate), bytes / bandwidth) + launch.
/// Copies between spaces: bytes / host link + launch.
[[nodiscard]] std::int64_t modelled_ns(const Device& device, const Trace& trace, const Op& op);

/// What copies between device and host cost where a trace was made.
struct HostLink {
  double bytes_per_s = 0;       // per direction
  std::int64_t latency_ns = 0;  // of each copy
  std::string device;           // whose link it is
  bool operator==(const HostLink&) const = default;
};

/// The link of the device in META; that of one CPU core (laptop-core) when the table does not have
/// it. The latency on the cpu backend is that of waking its copy thread.
[[nodiscard]] HostLink host_link_of(const Trace& trace);

/// Fills duration_ns of every op that has none with modelled_ns, marked TimeSource::modelled.
void fill_modelled_times(const Device& device, Trace& trace);

}  // namespace tidemark
