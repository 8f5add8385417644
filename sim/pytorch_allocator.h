// PyTorch's CUDA caching allocator, to the byte and to the address: fast enough to replay a long
// recording in a search. The literal rules, slow and plain, are in tests/sim/pytorch_reference.h;
// the two are held against each other with random requests.
// Source of the rules: PyTorch, c10/cuda/CUDACachingAllocator.cpp (2.6 to 2.9).
#pragma once

#include <memory>
#include <vector>

#include "sim/allocator_model.h"
#include "sim/free_blocks.h"

namespace tidemark {

class PyTorchAllocator final : public AllocatorModel {
 public:
  /// `device` must outlive the allocator.
  PyTorchAllocator(const AllocatorConf& conf, DeviceMemory& device);

  BlockHandle allocate(const AllocatorRequest& request) override;
  void free(BlockHandle handle) override;
  void record_stream(BlockHandle handle, std::int32_t stream) override;
  void complete(BlockHandle handle) override;
  void synchronize() override;
  void empty_cache() override;
  bool release_segment(std::int64_t address) override;
  [[nodiscard]] std::int64_t address_of(BlockHandle handle) const override {
    return blocks_[index(handle)].address;
  }
  [[nodiscard]] AllocatorFigures figures() const override;
  [[nodiscard]] std::int64_t largest_hole_bytes() const override;
  [[nodiscard]] std::vector<AllocatorSegment> segments() const override;

  /// Only before the first request: the state in which a recording began. Runs of one stream and
  /// pool are parts of one expandable segment that begins at the lowest. Returns the handles of all
  /// blocks, in order.
  std::vector<BlockHandle> restore(const std::vector<RestoredSegment>& segments);

  /// Bytes that a request of `size_bytes` gets at least: the rounding rule.
  [[nodiscard]] static std::int64_t round_size(const AllocatorConf& conf, std::int64_t size_bytes);

 private:
  struct alignas(64) Block {  // a cache line
    std::int64_t address = 0;
    std::int64_t size_bytes = 0;
    std::int64_t requested_bytes = 0;
    std::uint64_t streams = 0;    // other streams that use it, a bit each
    std::int64_t free_since = 0;  // lookups of its pool when it became free
    std::int32_t previous = -1;   // neighbours in its segment
    std::int32_t next = -1;
    std::int32_t cache = -1;  // row of caches_
    bool in_use = false;
    bool is_pending = false;
    bool is_mapped = true;
    bool is_expandable = false;
  };

  /// The free blocks of one stream in one pool. Pools are 2 * private pool + is_small.
  struct Cache {
    std::int32_t pool = 0;
    std::int32_t stream = 0;
    FreeBlocks free;
    std::vector<std::int32_t> unmapped;  // by address
    [[nodiscard]] bool is_small() const { return pool % 2 != 0; }
  };

  static std::size_t index(std::int32_t block) { return static_cast<std::size_t>(block); }
  Block& at(std::int32_t block) { return blocks_[index(block)]; }
  [[nodiscard]] const Block& at(std::int32_t block) const { return blocks_[index(block)]; }

  std::int32_t new_block();
  std::int32_t cache_of(std::int32_t pool, std::int32_t stream);
  void insert_free(std::int32_t block);
  void remove_free(const Block& block);
  void free_block(std::int32_t block);
  void absorb(std::int32_t block, std::int32_t neighbour);
  bool joins(const Block& block, std::int32_t neighbour) const;
  void split_high(std::int32_t block, std::int64_t low_bytes);

  std::int32_t take_free(std::int32_t cache, std::int64_t size_bytes);
  FreeBlocks::Place skip_expandable(const Cache& cache, FreeBlocks::Place place) const;
  std::int32_t grow(std::int32_t cache, std::int64_t size_bytes, std::int64_t segment_bytes);
  std::int32_t grow_with_last_resorts(std::int32_t cache, std::int64_t size_bytes);
  [[nodiscard]] std::int64_t segment_bytes_for(bool is_small, std::int64_t size_bytes) const;
  void collect_garbage();
  bool release_oversize(std::int32_t cache, std::int64_t size_bytes);
  void release(std::int32_t block);
  void release_pool(std::int32_t pool);
  [[nodiscard]] std::vector<std::int32_t> free_in_order(std::int32_t pool) const;
  [[nodiscard]] std::int64_t releasable_bytes(const Block& block) const;
  [[nodiscard]] std::int64_t limit_bytes() const;

  std::int32_t grow_expandable(std::int32_t cache, std::int64_t size_bytes);
  std::int32_t find_expandable(std::int32_t cache, std::int64_t size_bytes);
  bool map_block(std::int32_t block, std::int64_t size_bytes);
  void unmap_block(std::int32_t block);
  void insert_unmapped(std::int32_t block);
  void remove_unmapped(std::int32_t block);
  std::int32_t add_range(std::int32_t cache, std::int64_t base, std::int64_t bytes);
  [[nodiscard]] std::int64_t page_bytes(const Block& block) const;
  [[nodiscard]] std::int64_t range_base(const Block& block) const;

  AllocatorConf conf_;
  DeviceMemory& device_;
  bool collects_garbage_ = false;
  std::vector<Block> blocks_;
  std::vector<std::int32_t> unused_;  // rows of blocks_
  std::vector<std::unique_ptr<Cache>> caches_;
  std::vector<std::int32_t> cache_rows_;    // by 64 * pool + stream; -1 = none yet
  std::vector<std::int64_t> pool_lookups_;  // by pool
  std::vector<std::int32_t> pending_;       // may hold blocks that are complete since
  std::vector<std::pair<std::int64_t, std::int64_t>> ranges_;  // base, bytes
  std::int64_t reserved_bytes_ = 0;
  std::int64_t active_bytes_ = 0;
  std::int64_t allocated_bytes_ = 0;
  std::int64_t requested_bytes_ = 0;
  std::int64_t cached_bytes_ = 0;
};

}  // namespace tidemark
