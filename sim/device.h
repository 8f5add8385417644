// The device table: memory, rates and links of one accelerator, each figure with its source.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sim/collectives.h"
#include "traces/trace.h"

namespace tidemark {

/// Where a figure comes from. `status`: read (seen in the named document), measured, memory (from
/// memory, unverified), assumed, or user.
struct FigureSource {
  std::string status;
  std::string source;
  bool operator==(const FigureSource&) const = default;
};

struct Device {
  std::string name;   // "h100-80g"
  std::string about;  // "NVIDIA H100 SXM 80 GB"
  std::int64_t memory_bytes = 0;
  double f32_flops_per_s = 0;  // dense matrix products
  double bf16_flops_per_s = 0;
  double f8_flops_per_s = 0;  // 0 = not known, or none
  double memory_bytes_per_s = 0;
  double host_link_bytes_per_s = 0;  // per direction
  double peer_link_bytes_per_s = 0;  // per direction, to the other devices of a node; 0 = none
  std::int64_t launch_ns = 0;        // least time of one op
  double efficiency = 1;             // share of the flops rate that large products reach
  double price_per_hour = 0;         // in any currency; 0 = not known
  std::string source;                // of what `figures` does not name
  std::map<std::string, FigureSource> figures{};  // by field of the device file
};

/// Nodes of equal devices, as many of them as ranks need.
struct Cluster {
  std::string name;    // "dgx-h100-80g"
  std::string about;   // "DGX H100 with 8 H100 80 GB"
  std::string device;  // name
  Topology topology;
  FigureSource inside;   // of the link between devices of a node
  FigureSource between;  // of the link between nodes
};

struct DeviceTable {
  std::vector<Device> devices;
  std::vector<Cluster> clusters;

  /// Throw InputError that lists the names.
  [[nodiscard]] const Device& device(std::string_view name) const;
  [[nodiscard]] const Cluster& cluster(std::string_view name) const;
};

/// sim/devices.yaml, as it was when this was built.
[[nodiscard]] const DeviceTable& shipped_devices();

/// The shipped table and, over it, the devices and nodes of a YAML file of the same form ("" =
/// none): one of a known name replaces it. Throws InputError with a line for all that is wrong.
[[nodiscard]] DeviceTable device_table(const std::string& file);

/// Adds the devices and nodes of `text` to `table`, or replaces those of the same name.
void read_devices(const std::string& text, const std::string& file, DeviceTable& table);

[[nodiscard]] const std::vector<Device>& devices();

/// Of the shipped ones. Throws InputError that lists the names.
[[nodiscard]] const Device& find_device(std::string_view name);

/// Roofline time of one op: max(flops / (efficiency x rate), bytes / bandwidth) + launch.
/// Copies between spaces: bytes / host link + launch; within one they are as other ops.
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

/// `device` with the memory rate that the optimizer's measured ops in `trace` reach: they stream
/// over weights, gradients and state once, as sums over ranks and clears do. Unchanged when no such
/// op was measured.
[[nodiscard]] Device as_measured(const Device& device, const Trace& trace);

/// Fills duration_ns of every op that has none with modelled_ns, marked TimeSource::modelled.
void fill_modelled_times(const Device& device, Trace& trace);

}  // namespace tidemark
