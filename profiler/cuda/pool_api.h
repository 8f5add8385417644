// The driver's own allocator (cudaMallocAsync), as the CUDA plug-in gives it. C++17, and no other
// header of the project, like plugin_api.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tidemark::cuda {

/// What a pool counts by itself, since it was made. Reserved: taken from the device; used: given
/// out and not given back.
struct PoolCounts {
  std::uint64_t reserved_bytes = 0;
  std::uint64_t most_reserved_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t most_used_bytes = 0;
};

/// Functions return 0 or a code for error_text of the plug-in. Allocations and frees take their
/// turn on a stream: what another stream does with a block stands between two events.
struct PoolApi {
  /// On the device of the calling thread. The pool gives nothing back to the device before it is
  /// dropped (release threshold at its maximum, as PyTorch sets it), and never has more than
  /// `most_bytes`, rounded up to what the driver maps at once.
  int (*make)(std::size_t most_bytes, void** pool) = nullptr;
  int (*allocate)(void* pool, std::size_t bytes, void* stream, void** pointer) = nullptr;
  int (*release)(void* pointer, void* stream) = nullptr;
  int (*count)(void* pool, PoolCounts* counts) = nullptr;
  /// Once all of its blocks are given back.
  int (*drop)(void* pool) = nullptr;
  int no_room = 0;  // the code of `allocate` when the pool is at its limit
};

/// The table of the plug-in.
[[nodiscard]] PoolApi pool_table();

}  // namespace tidemark::cuda
