// Memory for CUPTI to write its records into. Asked for from whichever thread of the program needs
// a buffer, so it takes no lock and allocates nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace tidemark {

/// At most 64 buffers of one size. Each is free, lent to CUPTI, or full and waiting to be read.
class ActivityBufferPool {
 public:
  static constexpr std::size_t k_most_buffers = 64;

  /// `buffer_bytes` a multiple of 8, `buffers` from 1 to 64; std::logic_error else. Pages are taken
  /// from the system when they are first written.
  ActivityBufferPool(std::size_t buffer_bytes, std::size_t buffers);
  ~ActivityBufferPool();
  ActivityBufferPool(const ActivityBufferPool&) = delete;
  ActivityBufferPool& operator=(const ActivityBufferPool&) = delete;

  [[nodiscard]] std::size_t buffer_bytes() const { return buffer_bytes_; }

  /// A free buffer, aligned to 8 bytes; null when all are in use: CUPTI then drops records.
  std::uint8_t* lend();

  /// A lent buffer comes back with so many bytes of records. False for a pointer that was not lent.
  bool complete(const std::uint8_t* buffer, std::size_t used_bytes);

  /// Calls `read` with the content of each complete buffer and frees it. For one thread at a time.
  template <class Read>
  void drain(const Read& read) {
    while (const std::optional<std::size_t> slot = take(complete_)) {
      read(std::span(at(*slot), used_bytes_[*slot]));
      free_.fetch_or(std::uint64_t{1} << *slot, std::memory_order_release);
    }
  }

  /// Bytes of the buffers that were ever lent: what the pool costs.
  [[nodiscard]] std::int64_t touched_bytes() const;

 private:
  /// Removes the lowest set bit.
  static std::optional<std::size_t> take(std::atomic<std::uint64_t>& slots);
  [[nodiscard]] std::uint8_t* at(std::size_t slot) const { return memory_ + slot * buffer_bytes_; }

  std::size_t buffer_bytes_;
  std::size_t buffers_;
  std::uint8_t* memory_ = nullptr;
  std::atomic<std::uint64_t> free_;
  std::atomic<std::uint64_t> lent_{0};
  std::atomic<std::uint64_t> complete_{0};
  std::atomic<std::uint64_t> touched_{0};
  std::array<std::size_t, k_most_buffers> used_bytes_{};
};

}  // namespace tidemark
