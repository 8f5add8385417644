// Models of memory allocators: what an allocator reserves of a device for a sequence of requests.
//
// The seam to the device is DeviceMemory: a model takes segments from it and gives them back, so
// the same model runs on made-up addresses, on recorded ones, and within a capacity.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/allocator_conf.h"
#include "traces/enums.h"

namespace tidemark {

/// A block that a model gave out. -1 = none: the request failed.
using BlockHandle = std::int32_t;
inline constexpr BlockHandle k_no_block = -1;

/// What a model holds at one instant, in bytes. reserved = active + inactive_split + cached.
struct AllocatorFigures {
  std::int64_t reserved_bytes = 0;        // taken from the device
  std::int64_t active_bytes = 0;          // blocks in use, also those that only wait for a stream
  std::int64_t allocated_bytes = 0;       // blocks that the program holds
  std::int64_t requested_bytes = 0;       // what the program asked for, of the allocated blocks
  std::int64_t inactive_split_bytes = 0;  // free, but in a segment that holds a block: stuck
  std::int64_t cached_bytes = 0;          // free, and could be given back to the device
  bool operator==(const AllocatorFigures&) const = default;
};

/// What one request asks for. `pool` is 0, or a private pool of its own (1, 2, ...).
struct AllocatorRequest {
  std::int64_t size_bytes = 0;
  std::int32_t stream = 0;
  std::int32_t pool = 0;
};

/// Who gives an allocator its segments. Addresses are offsets of at least 0; -1 = refused.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  /// cudaMalloc and cudaFree.
  virtual std::int64_t take(std::int64_t bytes, std::int32_t stream) = 0;
  virtual void give_back(std::int64_t address, std::int64_t bytes, std::int32_t stream) = 0;
  /// Address space for an expandable segment; costs no memory.
  virtual std::int64_t take_range(std::int64_t bytes, std::int32_t stream) = 0;
  /// Memory behind [address, address + bytes) of such a range; false = refused.
  virtual bool map(std::int64_t address, std::int64_t bytes, std::int32_t stream) = 0;
  virtual void unmap(std::int64_t address, std::int64_t bytes, std::int32_t stream) = 0;
  /// Bytes of the device; 0 = no limit is known.
  [[nodiscard]] virtual std::int64_t capacity_bytes() const = 0;
};

/// A block in use at the begin of a recording, and the memory held then.
struct RestoredBlock {
  std::int64_t address = 0;
  std::int64_t size_bytes = 0;
  std::int64_t requested_bytes = 0;
  std::int32_t buffer = -1;  // whose it is
  bool is_pending = false;   // given back by the program, another stream still uses it
};

struct RestoredSegment {
  std::int64_t address = 0;
  std::int64_t size_bytes = 0;
  std::int32_t stream = 0;
  std::int32_t pool = 0;  // as AllocatorRequest::pool
  bool is_small = false;
  bool is_expandable = false;
  std::vector<RestoredBlock> blocks{};  // by address, inside the segment
};

/// One block of a segment as it lies there, for reports and comparisons.
struct AllocatorBlock {
  std::int64_t address = 0;
  std::int64_t size_bytes = 0;
  BlockHandle handle = k_no_block;  // of a block in use; none = free
  bool is_pending = false;
  bool operator==(const AllocatorBlock&) const = default;
};

/// A segment, or a mapped run of an expandable one.
struct AllocatorSegment {
  std::int64_t address = 0;
  std::int64_t size_bytes = 0;
  std::int32_t stream = 0;
  std::int32_t pool = 0;
  bool is_small = false;
  bool is_expandable = false;
  std::vector<AllocatorBlock> blocks{};  // by address; they tile the segment
  bool operator==(const AllocatorSegment&) const = default;
};

class AllocatorModel {
 public:
  virtual ~AllocatorModel() = default;

  /// k_no_block when the device refuses and nothing cached helps.
  virtual BlockHandle allocate(const AllocatorRequest& request) = 0;
  /// The program gives the block back. When another stream uses it (record_stream), it stays active
  /// until complete() or synchronize().
  virtual void free(BlockHandle handle) = 0;
  virtual void record_stream(BlockHandle, std::int32_t /*stream*/) {}
  /// The streams are done with a block that was given back.
  virtual void complete(BlockHandle) {}
  /// All streams are done with everything (the end of a step; also before a last resort).
  virtual void synchronize() {}
  virtual void empty_cache() {}
  /// Gives back the unused segment at `address` as recorded; false when there is none.
  virtual bool release_segment(std::int64_t /*address*/) { return false; }

  [[nodiscard]] virtual std::int64_t address_of(BlockHandle handle) const = 0;
  [[nodiscard]] virtual AllocatorFigures figures() const = 0;
  /// Largest block that a request could get without growing, on any stream.
  [[nodiscard]] virtual std::int64_t largest_hole_bytes() const = 0;
  /// Everything, by address. Empty for models without segments.
  [[nodiscard]] virtual std::vector<AllocatorSegment> segments() const { return {}; }
};

enum class AllocatorKind : std::uint8_t { pytorch, bfc, cuda_async, ideal, static_plan };

/// Names as the command line has them.
template <>
struct EnumNames<AllocatorKind> {
  static constexpr std::string_view k_type = "allocator model";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"pytorch", "bfc", "cuda-async", "ideal", "static"});
};

/// Makes one of the models that work request by request (not static_plan, which needs the whole
/// trace). `conf` counts for pytorch only. `device` must outlive the model.
[[nodiscard]] std::unique_ptr<AllocatorModel> make_allocator(AllocatorKind kind,
                                                             const AllocatorConf& conf,
                                                             DeviceMemory& device);

/// A device of made-up, ascending addresses, as if nothing were ever given out twice.
class PlainDevice final : public DeviceMemory {
 public:
  explicit PlainDevice(std::int64_t capacity_bytes = 0) : capacity_bytes_(capacity_bytes) {}
  std::int64_t take(std::int64_t bytes, std::int32_t stream) override;
  void give_back(std::int64_t address, std::int64_t bytes, std::int32_t stream) override;
  std::int64_t take_range(std::int64_t bytes, std::int32_t stream) override;
  bool map(std::int64_t address, std::int64_t bytes, std::int32_t stream) override;
  void unmap(std::int64_t address, std::int64_t bytes, std::int32_t stream) override;
  [[nodiscard]] std::int64_t capacity_bytes() const override { return capacity_bytes_; }

 private:
  std::int64_t capacity_bytes_;
  std::int64_t used_bytes_ = 0;
  std::int64_t next_ = 0;
};

}  // namespace tidemark
