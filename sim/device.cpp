#include "sim/device.h"

#include <algorithm>

#include "sim/op_table.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_gib = std::int64_t{1} << 30;
constexpr double k_tera = 1e12;
constexpr double k_giga = 1e9;

// Memory: the capacity that the vendor prints, which is GiB of HBM for these parts. Rates: vendor
// data sheets as collected by stas00/ml-engineering, "Accelerators" (read 2026-08). Efficiency:
// best measured bf16 matrix product there (MAMF): A100 86.9 %, H100 80.3 %, B200 77.6 %,
// MI300X 51.4 %; 80 % is assumed where none is published. Launch: 5 us, the usual least time of a
// small kernel.
std::vector<Device> make_devices() {
  const std::string sheet = "vendor data sheet via stas00/ml-engineering";
  const std::string memory = "from memory, unverified";
  return {
      {"v100-32g", "NVIDIA V100 SXM2 32 GB", 32 * k_gib, 15.7 * k_tera, 125 * k_tera, 900 * k_giga,
       16 * k_giga, 5000, 0.80, memory},
      {"a100-40g", "NVIDIA A100 SXM 40 GB", 40 * k_gib, 19.5 * k_tera, 312 * k_tera, 1555 * k_giga,
       31 * k_giga, 5000, 0.869, sheet},
      {"a100-80g", "NVIDIA A100 SXM 80 GB", 80 * k_gib, 19.5 * k_tera, 312 * k_tera, 2000 * k_giga,
       31 * k_giga, 5000, 0.869, sheet},
      {"h100-80g", "NVIDIA H100 SXM 80 GB", 80 * k_gib, 67 * k_tera, 989 * k_tera, 3350 * k_giga,
       63 * k_giga, 5000, 0.803, sheet},
      {"h200-141g", "NVIDIA H200 SXM 141 GB", 141 * k_gib, 67 * k_tera, 989 * k_tera, 4800 * k_giga,
       63 * k_giga, 5000, 0.803, sheet},
      {"b200-180g", "NVIDIA B200 SXM 180 GB", 180 * k_gib, 75 * k_tera, 2250 * k_tera,
       8000 * k_giga, 63 * k_giga, 5000, 0.776, sheet},
      {"l40s-48g", "NVIDIA L40S 48 GB", 48 * k_gib, 91.6 * k_tera, 362 * k_tera, 860 * k_giga,
       31 * k_giga, 5000, 0.80, sheet},
      {"rtx4090-24g", "NVIDIA GeForce RTX 4090 24 GB", 24 * k_gib, 82.6 * k_tera, 165 * k_tera,
       1008 * k_giga, 31 * k_giga, 5000, 0.80, memory},
      {"mi300x-192g", "AMD MI300X 192 GB", 192 * k_gib, 163 * k_tera, 1300 * k_tera, 5300 * k_giga,
       63 * k_giga, 5000, 0.514, sheet},
      {"laptop-core", "one CPU core of a laptop, 8 GiB", 8 * k_gib, 0.1 * k_tera, 0.1 * k_tera,
       20 * k_giga, 10 * k_giga, 500, 0.85,
       "order of magnitude: 0.1 TFLOP/s fp32 and 20 GB/s per core of a 2022 desktop CPU"},
  };
}

double flops_per_s(const Device& device, const Trace& trace, const Op& op) {
  for (const Operand& operand : op.operands) {
    const DType dtype = trace[operand.buffer].dtype;
    if (dtype == DType::bf16 || dtype == DType::f16) return device.bf16_flops_per_s;
    if (dtype == DType::f64) return device.f32_flops_per_s / 2;
  }
  return device.f32_flops_per_s;
}

std::int64_t to_ns(double seconds) {
  return static_cast<std::int64_t>(seconds * 1e9 + 0.5);
}

}  // namespace

const std::vector<Device>& devices() {
  static const std::vector<Device> table = make_devices();
  return table;
}

const Device& find_device(std::string_view name) {
  std::string names;
  for (const Device& device : devices()) {
    if (device.name == name) return device;
    names += (names.empty() ? "" : ", ") + device.name;
  }
  throw InputError({.file = {},
                    .place = "device",
                    .expected = "one of " + names,
                    .found = "'" + std::string(name) + "'"});
}

std::int64_t modelled_ns(const Device& device, const Trace& trace, const Op& op) {
  if (op.kind == OpKind::record_event || op.kind == OpKind::wait_event) return 0;
  const OpWork work = op_work(trace, op);
  const auto bytes = static_cast<double>(work.bytes_read + work.bytes_written);
  if (op.kind == OpKind::copy) {
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

void fill_modelled_times(const Device& device, Trace& trace) {
  for (Op& op : trace.ops) {
    if (op.duration_ns >= 0) continue;
    op.duration_ns = modelled_ns(device, trace, op);
    op.time_source = TimeSource::modelled;
  }
}

}  // namespace tidemark
