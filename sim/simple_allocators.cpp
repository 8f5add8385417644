// The allocator models that need no ordering to the address: BFC of TensorFlow and XLA, an
// approximation of cudaMallocAsync, and the ideal. And the device of made-up addresses.

#include <algorithm>
#include <bit>
#include <map>
#include <set>

#include "sim/allocator_model.h"
#include "sim/pytorch_allocator.h"
#include "traces/error.h"
#include "traces/trace.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_mib = std::int64_t{1} << 20;

/// Best fit with coalescing. Source: openxla/xla, xla/tsl/framework/bfc_allocator.{h,cc}, with
/// growth (allow_growth): regions start at 2 MiB and double.
class BfcAllocator final : public AllocatorModel {
 public:
  explicit BfcAllocator(DeviceMemory& device) : device_(device) {}

  BlockHandle allocate(const AllocatorRequest& request) override {
    const std::int64_t size = round_up(std::max<std::int64_t>(request.size_bytes, 1), k_min_bytes);
    std::int64_t address = find(size);
    if (address < 0 && extend(size)) address = find(size);
    if (address < 0) return k_no_block;
    Chunk& chunk = chunks_.at(address);
    free_.erase({bin_of(chunk.size_bytes), chunk.size_bytes, address});
    const std::int64_t rest = chunk.size_bytes - size;
    if (chunk.size_bytes >= 2 * size || rest >= k_most_waste_bytes) {
      chunk.size_bytes = size;
      chunks_[address + size] = {.size_bytes = rest, .region = chunk.region};
      free_.insert({bin_of(rest), rest, address + size});
    }
    chunk.in_use = true;
    figures_.active_bytes += chunk.size_bytes;
    figures_.allocated_bytes += chunk.size_bytes;
    figures_.requested_bytes += request.size_bytes;
    handles_.push_back({address, request.size_bytes});
    return static_cast<BlockHandle>(handles_.size() - 1);
  }

  void free(BlockHandle handle) override {
    const auto [address, requested] = handles_[static_cast<std::size_t>(handle)];
    auto chunk = chunks_.find(address);
    figures_.active_bytes -= chunk->second.size_bytes;
    figures_.allocated_bytes -= chunk->second.size_bytes;
    figures_.requested_bytes -= requested;
    chunk->second.in_use = false;
    const auto join = [this](Chunks::iterator low, Chunks::iterator high) {
      low->second.size_bytes += high->second.size_bytes;
      chunks_.erase(high);
    };
    const auto joins = [&](Chunks::iterator other) {
      return !other->second.in_use && other->second.region == chunk->second.region;
    };
    if (const auto next = std::next(chunk); next != chunks_.end() && joins(next)) {
      free_.erase({bin_of(next->second.size_bytes), next->second.size_bytes, next->first});
      join(chunk, next);
    }
    if (chunk != chunks_.begin() && joins(std::prev(chunk))) {
      const auto before = std::prev(chunk);
      free_.erase({bin_of(before->second.size_bytes), before->second.size_bytes, before->first});
      join(before, chunk);
      chunk = before;
    }
    free_.insert({bin_of(chunk->second.size_bytes), chunk->second.size_bytes, chunk->first});
  }

  [[nodiscard]] std::int64_t address_of(BlockHandle handle) const override {
    return handles_[static_cast<std::size_t>(handle)].first;
  }
  [[nodiscard]] AllocatorFigures figures() const override {
    AllocatorFigures f = figures_;
    // Regions are never given back while the program runs: all that is free is stuck.
    f.inactive_split_bytes = f.reserved_bytes - f.active_bytes;
    return f;
  }
  [[nodiscard]] std::int64_t largest_hole_bytes() const override {
    std::int64_t largest = 0;
    for (const auto& [bin, size, address] : free_) largest = std::max(largest, size);
    return largest;
  }

 private:
  struct Chunk {
    std::int64_t size_bytes = 0;
    std::int64_t region = 0;  // its address
    bool in_use = false;
  };
  using Chunks = std::map<std::int64_t, Chunk>;

  static constexpr std::int64_t k_min_bytes = 256;
  static constexpr std::int64_t k_most_waste_bytes = 128 * k_mib;
  static constexpr int k_bins = 21;

  static int bin_of(std::int64_t bytes) {
    const auto units = static_cast<std::uint64_t>(bytes / k_min_bytes);
    return std::min(k_bins - 1, static_cast<int>(std::bit_width(units)) - 1);
  }

  /// Bins hold sizes that do not overlap, so their order is that of (size, address).
  std::int64_t find(std::int64_t size) const {
    const auto chunk = free_.lower_bound({bin_of(size), size, -1});
    return chunk == free_.end() ? -1 : std::get<2>(*chunk);
  }

  bool extend(std::int64_t size) {
    bool grew = false;
    while (region_bytes_ < size) {
      region_bytes_ *= 2;
      grew = true;
    }
    std::int64_t bytes = region_bytes_;
    std::int64_t address = device_.take(bytes, 0);
    while (address < 0) {  // a tenth less each time, until the request would not fit
      bytes =
          static_cast<std::int64_t>(0.9 * static_cast<double>(bytes)) / k_min_bytes * k_min_bytes;
      if (bytes < size) return false;
      address = device_.take(bytes, 0);
    }
    if (!grew) region_bytes_ *= 2;
    figures_.reserved_bytes += bytes;
    chunks_[address] = {.size_bytes = bytes, .region = address};
    free_.insert({bin_of(bytes), bytes, address});
    return true;
  }

  DeviceMemory& device_;
  Chunks chunks_;
  std::set<std::tuple<int, std::int64_t, std::int64_t>> free_;  // bin, size, address
  std::vector<std::pair<std::int64_t, std::int64_t>> handles_;  // address, requested
  std::int64_t region_bytes_ = 2 * k_mib;
  AllocatorFigures figures_;
};

/// The pool of cudaMallocAsync, approximately: it is closed source. Sizes are rounded to 512 bytes,
/// the pool grows in steps of 32 MiB that it can stitch together, so only the sum counts; it keeps
/// what it has (PyTorch sets its release threshold to the maximum) until empty_cache.
class CudaAsyncAllocator final : public AllocatorModel {
 public:
  explicit CudaAsyncAllocator(DeviceMemory& device) : device_(device) {}

  BlockHandle allocate(const AllocatorRequest& request) override {
    const std::int64_t size = round_up(std::max<std::int64_t>(request.size_bytes, 1), 512);
    const std::int64_t missing = figures_.active_bytes + size - figures_.reserved_bytes;
    if (missing > 0) {
      const std::int64_t bytes = round_up(missing, 32 * k_mib);
      if (device_.take(bytes, request.stream) < 0) return k_no_block;
      figures_.reserved_bytes += bytes;
    }
    figures_.active_bytes += size;
    figures_.allocated_bytes += size;
    figures_.requested_bytes += request.size_bytes;
    sizes_.push_back(request.size_bytes);
    return static_cast<BlockHandle>(sizes_.size() - 1);
  }
  void free(BlockHandle handle) override {
    const std::int64_t requested = sizes_[static_cast<std::size_t>(handle)];
    const std::int64_t size = round_up(std::max<std::int64_t>(requested, 1), 512);
    figures_.active_bytes -= size;
    figures_.allocated_bytes -= size;
    figures_.requested_bytes -= requested;
  }
  void empty_cache() override {
    const std::int64_t kept = round_up(figures_.active_bytes, 32 * k_mib);
    const std::int64_t bytes = figures_.reserved_bytes - kept;
    if (bytes <= 0) return;
    device_.give_back(0, bytes, 0);
    figures_.reserved_bytes = kept;
  }
  [[nodiscard]] std::int64_t address_of(BlockHandle) const override { return -1; }
  [[nodiscard]] AllocatorFigures figures() const override {
    AllocatorFigures f = figures_;
    const std::int64_t free = f.reserved_bytes - f.active_bytes;
    f.cached_bytes = free / (32 * k_mib) * (32 * k_mib);
    f.inactive_split_bytes = free - f.cached_bytes;
    return f;
  }
  [[nodiscard]] std::int64_t largest_hole_bytes() const override {
    return figures_.reserved_bytes - figures_.active_bytes;
  }

 private:
  DeviceMemory& device_;
  std::vector<std::int64_t> sizes_;  // by handle, as requested
  AllocatorFigures figures_;
};

/// What is live, and nothing else: no allocator can need less.
class IdealAllocator final : public AllocatorModel {
 public:
  explicit IdealAllocator(DeviceMemory& device) : device_(device) {}

  BlockHandle allocate(const AllocatorRequest& request) override {
    if (device_.take(request.size_bytes, request.stream) < 0) return k_no_block;
    live_bytes_ += request.size_bytes;
    sizes_.push_back(request.size_bytes);
    return static_cast<BlockHandle>(sizes_.size() - 1);
  }
  void free(BlockHandle handle) override {
    const std::int64_t bytes = sizes_[static_cast<std::size_t>(handle)];
    device_.give_back(0, bytes, 0);
    live_bytes_ -= bytes;
  }
  [[nodiscard]] std::int64_t address_of(BlockHandle) const override { return -1; }
  [[nodiscard]] AllocatorFigures figures() const override {
    return {live_bytes_, live_bytes_, live_bytes_, live_bytes_, 0, 0};
  }
  [[nodiscard]] std::int64_t largest_hole_bytes() const override { return 0; }

 private:
  DeviceMemory& device_;
  std::vector<std::int64_t> sizes_;  // by handle
  std::int64_t live_bytes_ = 0;
};

}  // namespace

std::unique_ptr<AllocatorModel> make_allocator(AllocatorKind kind, const AllocatorConf& conf,
                                               DeviceMemory& device) {
  switch (kind) {
    case AllocatorKind::pytorch:
      return std::make_unique<PyTorchAllocator>(conf, device);
    case AllocatorKind::bfc:
      return std::make_unique<BfcAllocator>(device);
    case AllocatorKind::cuda_async:
      return std::make_unique<CudaAsyncAllocator>(device);
    case AllocatorKind::ideal:
    case AllocatorKind::static_plan:
      break;
  }
  return std::make_unique<IdealAllocator>(device);
}

std::int64_t PlainDevice::take(std::int64_t bytes, std::int32_t) {
  if (capacity_bytes_ > 0 && bytes > capacity_bytes_ - used_bytes_) return -1;
  used_bytes_ += bytes;
  const std::int64_t address = next_;
  next_ += round_up(bytes, 2 * k_mib);
  return address;
}

void PlainDevice::give_back(std::int64_t, std::int64_t bytes, std::int32_t) {
  used_bytes_ -= bytes;
}

std::int64_t PlainDevice::take_range(std::int64_t bytes, std::int32_t) {
  const std::int64_t address = next_;
  next_ += round_up(bytes, 2 * k_mib);
  return address;
}

bool PlainDevice::map(std::int64_t, std::int64_t bytes, std::int32_t) {
  if (capacity_bytes_ > 0 && bytes > capacity_bytes_ - used_bytes_) return false;
  used_bytes_ += bytes;
  return true;
}

void PlainDevice::unmap(std::int64_t, std::int64_t bytes, std::int32_t) {
  used_bytes_ -= bytes;
}

}  // namespace tidemark
