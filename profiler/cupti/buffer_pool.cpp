#include "profiler/cupti/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <new>
#include <stdexcept>

namespace tidemark {
namespace {

std::uint64_t lowest(std::size_t bits) {
  return bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
}

}  // namespace

ActivityBufferPool::ActivityBufferPool(std::size_t buffer_bytes, std::size_t buffers)
    : buffer_bytes_(buffer_bytes), buffers_(buffers), free_(lowest(buffers)) {
  if (buffer_bytes == 0 || buffer_bytes % 8 != 0 || buffers == 0 || buffers > k_most_buffers) {
    throw std::logic_error("activity buffer pool: a size or number that cannot be");
  }
  void* memory = mmap(nullptr, buffer_bytes * buffers, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::uint8_t*>(memory);
}

ActivityBufferPool::~ActivityBufferPool() {
  munmap(memory_, buffer_bytes_ * buffers_);
}

std::optional<std::size_t> ActivityBufferPool::take(std::atomic<std::uint64_t>& slots) {
  std::uint64_t seen = slots.load(std::memory_order_acquire);
  while (seen != 0) {
    if (slots.compare_exchange_weak(seen, seen & (seen - 1), std::memory_order_acq_rel)) {
      return static_cast<std::size_t>(std::countr_zero(seen));
    }
  }
  return std::nullopt;
}

std::uint8_t* ActivityBufferPool::lend() {
  const std::optional<std::size_t> slot = take(free_);
  if (!slot) return nullptr;
  lent_.fetch_or(std::uint64_t{1} << *slot, std::memory_order_acq_rel);
  touched_.fetch_or(std::uint64_t{1} << *slot, std::memory_order_relaxed);
  return at(*slot);
}

bool ActivityBufferPool::complete(const std::uint8_t* buffer, std::size_t used_bytes) {
  if (buffer < memory_ || buffer >= memory_ + buffers_ * buffer_bytes_) return false;
  const auto offset = static_cast<std::size_t>(buffer - memory_);
  const std::size_t slot = offset / buffer_bytes_;
  const std::uint64_t bit = std::uint64_t{1} << slot;
  if (offset % buffer_bytes_ != 0) return false;
  if ((lent_.fetch_and(~bit, std::memory_order_acq_rel) & bit) == 0) return false;
  used_bytes_[slot] = std::min(used_bytes, buffer_bytes_);
  complete_.fetch_or(bit, std::memory_order_release);
  return true;
}

std::int64_t ActivityBufferPool::touched_bytes() const {
  return std::popcount(touched_.load(std::memory_order_relaxed)) *
         static_cast<std::int64_t>(buffer_bytes_);
}

}  // namespace tidemark
