// One input of the fuzzer: any bytes must be refused with an InputError or give traces that both
// kinds of replay can walk. Built like fuzz_trace.cpp.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sim/allocator_replay.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/import_snapshot.h"

using namespace tidemark;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    for (const ImportedDevice& device : import_snapshot(bytes, "input")) {
      ReplayOptions options;
      options.conf = recorded_conf(device.trace);
      options.follow_recording = true;
      options.explain = true;
      (void)replay_allocator(device.trace, options);
      options.follow_recording = false;
      options.restore_start = true;
      (void)replay_allocator(device.trace, options);
      if (from_bytes(to_binary(device.trace), "again") != device.trace) std::abort();
    }
  } catch (const InputError& e) {
    if (e.what()[0] == '\0') std::abort();
  }
  return 0;
}
