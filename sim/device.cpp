#include "sim/device.h"

#include <algorithm>

#include "sim/op_table.h"

namespace tidemark {
namespace {

double flops_per_s(const Device& device, const Trace& trace, const Op& op) {
  for (const Operand& operand : op.operands) {
    const DType dtype = trace[operand.buffer].dtype;
    if (dtype == DType::bf16 || dtype == DType::f16) return device.bf16_flops_per_s;
    if (dtype == DType::f64) return device.f32_flops_per_s / 2;
  }
  return device.f32_flops_per_s;
}

/// A copy between device and host; one within a memory moves at the rate of that.
bool crosses_link(const Trace& trace, const Op& op) {
  return trace[op.operands[0].buffer].space != trace[op.operands[1].buffer].space;
}

std::int64_t to_ns(double seconds) {
  return static_cast<std::int64_t>(seconds * 1e9 + 0.5);
}

}  // namespace

const Device& find_device(std::string_view name) {
  return shipped_devices().device(name);
}

const std::vector<Device>& devices() {
  return shipped_devices().devices;
}

std::int64_t modelled_ns(const Device& device, const Trace& trace, const Op& op) {
  if (op.kind == OpKind::record_event || op.kind == OpKind::wait_event) return 0;
  const OpWork work = op_work(trace, op);
  const auto bytes = static_cast<double>(work.bytes_read + work.bytes_written);
  if (op.kind == OpKind::copy && crosses_link(trace, op)) {
    return device.launch_ns + to_ns(bytes / 2 / device.host_link_bytes_per_s);
  }
  const double compute_s =
      static_cast<double>(work.flops) / (device.efficiency * flops_per_s(device, trace, op));
  return device.launch_ns + to_ns(std::max(compute_s, bytes / device.memory_bytes_per_s));
}

HostLink host_link_of(const Trace& trace) {
  // The copy thread of the cpu backend sleeps until there is work: waking it up takes this long.
  constexpr std::int64_t k_thread_wake_ns = 60'000;
  const bool known = std::ranges::any_of(
      devices(), [&trace](const Device& d) { return d.name == trace.meta.device; });
  const Device& device = find_device(known ? trace.meta.device : "laptop-core");
  return {.bytes_per_s = device.host_link_bytes_per_s,
          .latency_ns = trace.meta.backend == "cpu" ? k_thread_wake_ns : device.launch_ns,
          .device = device.name};
}

Device as_measured(const Device& device, const Trace& trace) {
  double bytes = 0;
  double busy_s = 0;
  for (const Op& op : trace.ops) {
    if (op.phase != Phase::optimizer || op.time_source != TimeSource::measured) continue;
    const OpWork work = op_work(trace, op);
    bytes += static_cast<double>(work.bytes_read + work.bytes_written);
    busy_s +=
        static_cast<double>(std::max<std::int64_t>(0, op.duration_ns - device.launch_ns)) / 1e9;
  }
  Device out = device;
  if (bytes > 0 && busy_s > 0) out.memory_bytes_per_s = bytes / busy_s;
  return out;
}

void fill_modelled_times(const Device& device, Trace& trace) {
  for (Op& op : trace.ops) {
    if (op.duration_ns >= 0) continue;
    op.duration_ns = modelled_ns(device, trace, op);
    op.time_source = TimeSource::modelled;
  }
}

}  // namespace tidemark
