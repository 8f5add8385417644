#include "profiler/cuda/device_pool.h"

#include <string>

#include "traces/error.h"

namespace tidemark::cuda {

DevicePool::DevicePool(const PluginApi& api, std::int64_t most_bytes) : api_(api) {
  check(api_.make_stream(&stream_));
  if (const int code = api_.pool.make(static_cast<std::size_t>(most_bytes), &pool_); code != 0) {
    api_.drop_stream(stream_);
    check(code);
  }
  blocks_ = {.take = [this](std::int64_t size_bytes) { return take(size_bytes); },
             .give_back = [this](std::byte* block) { give_back(block); },
             .count = [this] { return count(); }};
}

DevicePool::~DevicePool() {
  for (std::byte* block : out_) api_.pool.release(block, stream_);
  api_.synchronize(stream_);
  api_.pool.drop(pool_);
  api_.drop_stream(stream_);
}

std::byte* DevicePool::take(std::int64_t size_bytes) {
  void* block = nullptr;
  const int code = api_.pool.allocate(pool_, static_cast<std::size_t>(size_bytes), stream_, &block);
  if (code == api_.pool.no_room) return nullptr;
  check(code);
  return *out_.insert(static_cast<std::byte*>(block)).first;
}

void DevicePool::give_back(std::byte* block) {
  out_.erase(block);
  check(api_.pool.release(block, stream_));
}

/// Also of a device that is gone: zeros then, for the trace of the run is still to be written.
BlockCounts DevicePool::count() const {
  PoolCounts counts;
  if (api_.pool.count(pool_, &counts) != 0) return {};
  return {.most_reserved_bytes = static_cast<std::int64_t>(counts.most_reserved_bytes),
          .used_bytes = static_cast<std::int64_t>(counts.used_bytes),
          .most_used_bytes = static_cast<std::int64_t>(counts.most_used_bytes)};
}

void DevicePool::check(int code) const {
  if (code != 0) throw InputError(std::string("CUDA device: ") + api_.error_text(code));
}

}  // namespace tidemark::cuda
