// The memory of one run: an arena per space, and the buffers in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "profiler/arena.h"
#include "profiler/caching_allocator.h"
#include "profiler/recorder.h"
#include "traces/trace.h"

namespace tidemark {

/// What an allocator that is not ours counted. Reserved: taken from the device; used: given out.
struct BlockCounts {
  std::int64_t most_reserved_bytes = 0;
  std::int64_t used_bytes = 0;
  std::int64_t most_used_bytes = 0;
};

/// Device memory block by block, from an allocator that is not ours.
struct BlockSource {
  std::function<std::byte*(std::int64_t size_bytes)> take;  // null: there is no room
  std::function<void(std::byte*)> give_back;
  std::function<BlockCounts()> count;
};

struct MemoryOptions {
  std::int64_t device_bytes = 0;
  std::int64_t host_bytes = 0;  // of each host space
  bool has_memory = true;       // false: counts only (dry)
  bool poison = false;
  // Of device and pinned host spaces; null: pages of this process. They outlive the memory.
  const MemorySource* device_source = nullptr;
  const MemorySource* pinned_source = nullptr;
  const BlockSource* device_blocks = nullptr;  // of device spaces, whatever is placed
};

/// Allocates and frees the buffers of a program. A space whose owning buffers are all placed uses
/// their offsets; else the device goes through the caching allocator and a host space through first
/// fit. With `device_blocks` each buffer of the device is a block of its own, at no offset. Writes
/// alloc, free and segment events.
class ProgramMemory {
 public:
  /// `trace` and `recorder` must outlive it.
  ProgramMemory(const Trace& trace, const MemoryOptions& options, Recorder& recorder);

  /// Throws OutOfMemory with buffer and live bytes by category filled in.
  void allocate(BufferId id);
  void release(BufferId id);

  [[nodiscard]] bool is_live(BufferId id) const {
    return offsets_[storage_of(trace_, id).index()] >= 0;
  }

  /// First byte of a live buffer or view; null when the memory only counts.
  [[nodiscard]] std::byte* pointer(BufferId id) const;

  /// What each arena counted, in the order of spaces.
  [[nodiscard]] std::vector<ArenaRecord> records() const;

  /// "cuda-async" with blocks, "static" when the device is placed, else "caching".
  [[nodiscard]] const char* allocator_name() const;

 private:
  struct Room {
    explicit Room(const ArenaOptions& options) : arena(options) {}
    Arena arena;
    bool is_placed = true;
    std::unique_ptr<CachingAllocator> caching;
    const BlockSource* blocks = nullptr;  // then offsets are addresses
    std::int64_t live_bytes = 0;          // of buffers, rounded to k_granule_bytes
    std::int64_t peak_live_bytes = 0;
  };

  Room& room_of(const Buffer& buffer) { return *rooms_.find(buffer.space)->second; }
  CachingAllocator::Block take(Room& room, const Buffer& buffer);
  static CachingAllocator::Block take_block(Room& room, const Buffer& buffer);
  [[nodiscard]] MemoryShortage explained(MemoryShortage shortage, BufferId id) const;

  const Trace& trace_;
  Recorder& recorder_;
  std::map<Space, std::unique_ptr<Room>> rooms_;
  std::vector<std::int64_t> offsets_;  // per buffer; -1 = not live
};

}  // namespace tidemark
