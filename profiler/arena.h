// One contiguous memory of fixed capacity, with its own book-keeping: what the planner predicts is
// compared with what this counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

#include "profiler/out_of_memory.h"
#include "traces/trace.h"

namespace tidemark {

/// Where the bytes of an arena are when they are not pages of this process.
struct MemorySource {
  std::function<std::byte*(std::int64_t size_bytes)> take;  // throws InputError when it has none
  std::function<void(std::byte*)> give_back;
};

struct ArenaOptions {
  Space space{};
  std::int64_t capacity_bytes = 0;
  bool has_memory = true;  // false: counts only, pointers are null (dry)
  bool poison = false;     // fresh and freed bytes are set to 0xFF: NaN as a number, -1 as a token;
                           // pages of this process only
  const MemorySource* source = nullptr;  // outlives the arena; null: pages of this process
};

/// Blocks are rounded up to k_granule_bytes and never overlap. Pages are taken from the system when
/// they are first touched. Not for use by several threads at once.
class Arena {
 public:
  /// Throws InputError when the system cannot reserve so many addresses.
  explicit Arena(const ArenaOptions& options);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Static placement. Throws OutOfMemory when the block ends beyond the capacity, std::logic_error
  /// when it overlaps a live block or is not aligned to the granule.
  void allocate_at(std::int64_t offset_bytes, std::int64_t size_bytes);

  /// Lowest hole that is large enough; returns its offset. Throws OutOfMemory.
  std::int64_t allocate_first_fit(std::int64_t size_bytes);

  /// Frees the block that begins at `offset_bytes`; std::logic_error when there is none.
  void release(std::int64_t offset_bytes);

  /// Sets bytes of a live block to 0xFF when the option is on.
  void poison(std::int64_t offset_bytes, std::int64_t size_bytes);

  /// First byte at an offset; null when the arena only counts. Aligned to 4 KiB at offset 0.
  [[nodiscard]] std::byte* pointer(std::int64_t offset_bytes) const {
    return begin_ == nullptr ? nullptr : begin_ + offset_bytes;
  }

  [[nodiscard]] Space space() const { return options_.space; }
  [[nodiscard]] std::int64_t capacity_bytes() const { return options_.capacity_bytes; }
  [[nodiscard]] std::int64_t live_bytes() const { return live_bytes_; }
  [[nodiscard]] std::int64_t peak_live_bytes() const { return peak_live_bytes_; }
  /// Highest end of any block ever.
  [[nodiscard]] std::int64_t high_water_bytes() const { return high_water_bytes_; }
  [[nodiscard]] std::int64_t largest_hole_bytes() const;

 private:
  void insert(std::int64_t offset_bytes, std::int64_t size_bytes);
  [[nodiscard]] OutOfMemory shortage(std::int64_t request_bytes) const;

  ArenaOptions options_;
  std::byte* begin_ = nullptr;
  std::map<std::int64_t, std::int64_t> blocks_;  // offset -> size, live ones
  std::int64_t live_bytes_ = 0;
  std::int64_t peak_live_bytes_ = 0;
  std::int64_t high_water_bytes_ = 0;
};

}  // namespace tidemark
