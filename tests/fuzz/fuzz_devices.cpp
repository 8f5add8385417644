// One input of the fuzzer as a device file in YAML: refused with an InputError, or a table whose
// figures are positive.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sim/device.h"
#include "traces/error.h"

using namespace tidemark;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    DeviceTable table;
    read_devices(text, "input", table);
    for (const Device& d : table.devices) {
      if (d.memory_bytes <= 0 || !(d.bf16_flops_per_s > 0) || d.efficiency > 1) std::abort();
    }
    for (const Cluster& c : table.clusters) {
      if (c.topology.node_ranks < 1 || !(c.topology.inside.bytes_per_ns > 0)) std::abort();
    }
  } catch (const InputError& e) {
    if (!std::string(e.what()).starts_with("input")) std::abort();
  }
  return 0;
}
