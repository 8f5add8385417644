// PyTorch's caching allocator in literal rules: ordered sets, linked blocks, no cleverness. The
// judge of sim/pytorch_allocator.h; shares no code with it but the seam to the device.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <set>
#include <vector>

#include "sim/allocator_model.h"

namespace tidemark::reference {

struct Pool;

struct Block {
  std::int32_t stream = 0;
  std::int64_t size = 0;
  std::int64_t requested = 0;
  std::int64_t addr = 0;
  bool allocated = false;
  bool mapped = true;
  bool expandable = false;
  std::int64_t range_base = 0;
  Block* prev = nullptr;
  Block* next = nullptr;
  Pool* pool = nullptr;
  std::set<std::int32_t> stream_uses{};
  int event_count = 0;
  std::int64_t gc_base = 0;
};

struct BySize {
  bool operator()(const Block* a, const Block* b) const {
    return std::tuple(a->stream, a->size, a->addr) < std::tuple(b->stream, b->size, b->addr);
  }
};
struct ByAddress {
  bool operator()(const Block* a, const Block* b) const {
    return std::tuple(a->stream, a->addr) < std::tuple(b->stream, b->addr);
  }
};

struct Pool {
  bool is_small = false;
  std::set<Block*, BySize> blocks{};
  std::set<Block*, ByAddress> unmapped{};
  std::int64_t lookups = 0;
};

class Allocator {
 public:
  Allocator(const AllocatorConf& conf, DeviceMemory& device) : conf_(conf), device_(device) {}

  Block* malloc(std::int64_t size, std::int32_t stream, std::int32_t private_pool);
  void free(Block* block);
  void record_stream(Block* block, std::int32_t stream);
  void synchronize();
  void empty_cache();

  std::int64_t reserved = 0;
  std::int64_t active = 0;
  std::int64_t allocated = 0;
  std::int64_t requested = 0;

  /// Address, size and whether it is in use, of all mapped blocks, by address.
  [[nodiscard]] std::vector<std::tuple<std::int64_t, std::int64_t, bool>> layout() const;

 private:
  [[nodiscard]] std::int64_t round_size(std::int64_t size) const;
  Block* get_free_block(Pool& pool, std::int32_t stream, std::int64_t size);
  Block* alloc_block(Pool& pool, std::int32_t stream, std::int64_t size, std::int64_t alloc_size);
  void garbage_collect();
  bool release_available(Pool& pool, std::int32_t stream, std::int64_t size);
  void release_cached();
  void release_blocks(Pool& pool);
  void release_block(Block* block);
  void free_block(Block* block);
  std::int64_t try_merge(Block* dst, Block* src);
  Block* find_expandable(Pool& pool, std::int32_t stream, std::int64_t size);
  Block* allocate_expandable(Pool& pool, std::int32_t stream, std::int64_t size);
  bool map_block(Block* block, std::int64_t size);
  void unmap_block(Block* block);
  void insert_free(Block* block);
  [[nodiscard]] bool has_limit() const {
    return conf_.memory_fraction > 0 && device_.capacity_bytes() > 0;
  }
  [[nodiscard]] std::int64_t allowed() const {
    return static_cast<std::int64_t>(conf_.memory_fraction *
                                     static_cast<double>(device_.capacity_bytes()));
  }
  [[nodiscard]] std::int64_t page(const Pool& pool) const {
    return pool.is_small ? 2 << 20 : conf_.large_segment_bytes;
  }
  Block* make() { return &store_.emplace_back(); }

  AllocatorConf conf_;
  DeviceMemory& device_;
  std::list<Block> store_;  // never shrinks: it is a test
  std::map<std::int32_t, Pool> small_, large_;
  std::map<std::int32_t, std::deque<Block*>> events_;
  std::set<Block*> heads_;
};

}  // namespace tidemark::reference
