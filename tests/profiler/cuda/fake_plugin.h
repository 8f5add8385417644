// A plug-in whose device is this machine: the same calls, the same kernel bodies, memory of the
// process, streams that are done at once.
#pragma once

#include <cstdint>
#include <vector>

#include "profiler/cuda/plugin_api.h"

namespace tidemark::test {

struct FakePlugin {
  FakePlugin();
  ~FakePlugin();
  FakePlugin(const FakePlugin&) = delete;
  FakePlugin& operator=(const FakePlugin&) = delete;

  cuda::PluginApi api;
  std::int64_t now_ns = 0;      // of the device; each launch and copy takes 1000 or more
  std::int64_t live_bytes = 0;  // allocated and not released
  std::int64_t launches = 0;
  std::int64_t ranges = 0;
  int depth = 0;              // of open ranges
  bool fuses_sums = true;     // whether its products make the gradients of biases
  bool attends = true;        // whether it has a library for attention
  std::int64_t attended = 0;  // calls of that
  int fails_at = -1;          // this many launches later the device is gone; -1: never
};

}  // namespace tidemark::test
