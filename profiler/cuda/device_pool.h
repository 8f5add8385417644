// The memory of a run from the driver's own allocator: profile --allocator cuda-async.
#pragma once

#include <set>

#include "profiler/cuda/plugin_api.h"
#include "profiler/memory.h"

namespace tidemark::cuda {

/// A pool on the device that the calling thread has opened, and the compute stream, in which blocks
/// are taken and given back.
class DevicePool {
 public:
  /// At most `most_bytes`. `api` outlives it. Throws InputError.
  DevicePool(const PluginApi& api, std::int64_t most_bytes);
  /// Gives back what is still out; the streams that used it are idle.
  ~DevicePool();
  DevicePool(const DevicePool&) = delete;
  DevicePool& operator=(const DevicePool&) = delete;

  [[nodiscard]] void* stream() const { return stream_; }
  [[nodiscard]] const BlockSource& blocks() const { return blocks_; }

 private:
  std::byte* take(std::int64_t size_bytes);
  void give_back(std::byte* block);
  [[nodiscard]] BlockCounts count() const;
  void check(int code) const;

  const PluginApi& api_;
  void* pool_ = nullptr;
  void* stream_ = nullptr;
  std::set<std::byte*> out_;
  BlockSource blocks_;
};

}  // namespace tidemark::cuda
