// A memory snapshot of PyTorch's CUDA caching allocator, as torch.cuda.memory._dump_snapshot writes
// it: rows as plain structs, checked, with shared call stacks by number.
// Source of the format: PyTorch, torch/csrc/cuda/memory_snapshot.cpp and Module.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "traces/enums.h"
#include "traces/pickle.h"

namespace tidemark {

enum class SnapshotAction : std::uint8_t {
  alloc,
  free_requested,
  free_completed,
  segment_alloc,
  segment_free,
  segment_map,
  segment_unmap,
  oom,
  snapshot,
  user_defined,
};

template <>
struct EnumNames<SnapshotAction> {
  static constexpr std::string_view k_type = "action";
  static constexpr auto k_names = std::to_array<std::string_view>(
      {"alloc", "free_requested", "free_completed", "segment_alloc", "segment_free", "segment_map",
       "segment_unmap", "oom", "snapshot", "user_defined"});
};

enum class BlockState : std::uint8_t { active_allocated, active_pending_free, inactive };

template <>
struct EnumNames<BlockState> {
  static constexpr std::string_view k_type = "state";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"active_allocated", "active_pending_free", "inactive"});
};

/// Two numbers that name a private pool; {0, 0} is the default pool.
using SnapshotPool = std::pair<std::int64_t, std::int64_t>;

inline constexpr PickleRef k_no_frames{~std::uint32_t{0}};

struct SnapshotEvent {
  SnapshotAction action = SnapshotAction::alloc;
  std::int64_t address = 0;     // oom: free bytes of the device
  std::int64_t size_bytes = 0;  // alloc, free: as requested; segments: true; oom: rounded
  std::int64_t stream = 0;
  std::int64_t time_us = -1;  // -1 = not recorded
  SnapshotPool pool{};
  PickleRef frames = k_no_frames;
  std::string_view metadata{};
  std::string_view category{};  // as torch.cuda._memory_viz and an export write it; empty = none
};

struct SnapshotBlock {
  std::int64_t address = 0;
  std::int64_t size_bytes = 0;
  std::int64_t requested_bytes = 0;  // of an inactive block: what it once was
  BlockState state = BlockState::inactive;
  PickleRef frames = k_no_frames;
};

struct SnapshotSegment {
  std::int64_t device = 0;
  std::int64_t address = 0;
  std::int64_t total_bytes = 0;
  std::int64_t allocated_bytes = 0;
  std::int64_t active_bytes = 0;
  std::int64_t requested_bytes = 0;
  std::int64_t stream = 0;
  bool is_small = false;
  bool is_expandable = false;
  SnapshotPool pool{};
  std::vector<SnapshotBlock> blocks;  // by address; they tile the segment
};

/// A range that a profiler marked, such as "Optimizer.step#AdamW.step".
struct SnapshotAnnotation {
  bool is_begin = true;
  std::string_view name{};
  std::int64_t device = 0;
  std::int64_t time_us = 0;
};

struct Snapshot {
  PickleDocument document;  // owns all text and the call stacks
  std::vector<SnapshotSegment> segments;
  std::vector<std::vector<SnapshotEvent>> device_events;  // by device
  std::vector<SnapshotAnnotation> annotations;
  bool is_export = false;  // written by to_snapshot(): frames name buffers and layers
  std::string conf;        // in the words of PYTORCH_CUDA_ALLOC_CONF, made from allocator_settings
};

struct SnapshotFrame {
  std::string_view name{};
  std::string_view file{};
  std::int64_t line = 0;
};

/// Reads a pickle (decompressed). Throws InputError, without the file name, for anything that is no
/// such snapshot: a wrong type, negative or overflowing sizes, blocks that do not tile their
/// segment, an unknown action.
[[nodiscard]] Snapshot read_snapshot(std::string bytes);

/// The call stack behind `frames`, innermost first; at most 1024 frames.
[[nodiscard]] std::vector<SnapshotFrame> frames_of(const PickleDocument& document,
                                                   PickleRef frames);

}  // namespace tidemark
