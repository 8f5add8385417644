// A plug-in whose devices are this machine: the same calls, the same kernel bodies, memory of the
// process. A stream is a queue of tasks: it works them off at once or, when the plug-in is late,
// not before somebody waits for it, so that what forgot to wait computes with the wrong values.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "profiler/cuda/plugin_api.h"

namespace tidemark::test {

struct FakePlugin {
  explicit FakePlugin(int devices = 1);
  ~FakePlugin();
  FakePlugin(const FakePlugin&) = delete;
  FakePlugin& operator=(const FakePlugin&) = delete;

  cuda::PluginApi api;
  int devices = 1;
  /// Whose tasks wait until somebody waits for them: all streams, or of each device the first (it
  /// computes) or the others (they copy).
  enum class Late : std::uint8_t { none, all, first, others };
  Late late = Late::none;
  bool fuses_sums = true;        // whether its products make the gradients of biases
  bool attends = true;           // whether it has a library for attention
  int fails_at = -1;             // this many launches later the device is gone; -1: never
  int failing_device = 0;        // which one
  std::uint64_t first_id = 100;  // of device 0; the next has the next

  std::atomic<std::int64_t> live_bytes = 0;    // allocated and not released
  std::atomic<std::int64_t> live_handles = 0;  // streams, events and pools
  std::atomic<std::int64_t> launches = 0;      // of the device that is to fail
  std::atomic<std::int64_t> ranges = 0;
  std::atomic<std::int64_t> attended = 0;  // calls of the library for attention
  std::atomic<int> depth = 0;              // of open ranges
  std::atomic<int> opened = 0;             // devices that somebody has opened, as bits
};

/// For other fakes: the task takes its turn in the stream and is tried until it says that it is
/// done. Returns the code of the call: that of the wrong device or of one that is gone.
int put_into_stream(void* stream, std::function<bool()> task);

}  // namespace tidemark::test
