// Options of PyTorch's caching allocator, in the words of PYTORCH_CUDA_ALLOC_CONF.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace tidemark {

/// Defaults are PyTorch's. Source: c10/cuda/CUDAAllocatorConfig.h and c10/core/AllocatorConfig.h.
struct AllocatorConf {
  /// Blocks of this size and more are never split; max = no limit.
  std::int64_t max_split_bytes = std::numeric_limits<std::int64_t>::max();
  /// How much larger than an oversize request its block may be.
  std::int64_t max_non_split_rounding_bytes = std::int64_t{20} << 20;
  /// Segment of a request from 1 to 10 MiB, and page of a large expandable segment.
  std::int64_t large_segment_bytes = std::int64_t{20} << 20;
  /// Divisions of each power of two for requests from 1 MiB up (index = log2(MiB), the last for
  /// all larger ones, the first for all smaller ones); 0 = round to 512 bytes.
  std::array<std::int64_t, 16> roundup_divisions{};
  /// Share of the limit from which unused segments are given back before growing; 0 = off. Needs
  /// `memory_fraction`, as in PyTorch.
  double garbage_collection_threshold = 0;
  bool expandable_segments = false;
  /// torch.cuda.set_per_process_memory_fraction: share of the device that may be reserved; 0 = not
  /// set. Not an option of PYTORCH_CUDA_ALLOC_CONF, but read here beside them.
  double memory_fraction = 0;

  bool operator==(const AllocatorConf&) const = default;
};

/// Reads "key:value,key:value" with the keys max_split_size_mb, max_non_split_rounding_mb,
/// large_segment_size_mb, roundup_power2_divisions (a number, or "[256:1,512:2,>:4]"),
/// garbage_collection_threshold, expandable_segments and memory_fraction; options of PyTorch that
/// change no address are accepted. `place` names the flag in the InputError for anything else.
[[nodiscard]] AllocatorConf parse_allocator_conf(std::string_view text, const std::string& place);

/// The same in words: only what differs from the defaults; "" when nothing does.
[[nodiscard]] std::string to_string(const AllocatorConf& conf);

}  // namespace tidemark
