#include "profiler/memory.h"

#include <algorithm>
#include <utility>

namespace tidemark {

ProgramMemory::ProgramMemory(const Trace& trace, const MemoryOptions& options, Recorder& recorder)
    : trace_(trace), recorder_(recorder), offsets_(trace.buffers.size(), -1) {
  for (const Buffer& buffer : trace.buffers) {
    if (buffer.storage.valid()) continue;
    std::unique_ptr<Room>& room = rooms_[buffer.space];
    const bool on_device = buffer.space.kind == SpaceKind::device;
    if (room == nullptr) {
      room = std::make_unique<Room>(ArenaOptions{
          .space = buffer.space,
          .capacity_bytes = on_device ? options.device_bytes : options.host_bytes,
          .has_memory = options.has_memory && (!on_device || options.device_blocks == nullptr),
          .poison = options.poison,
          .source = on_device                                     ? options.device_source
                    : buffer.space.kind == SpaceKind::host_pinned ? options.pinned_source
                                                                  : nullptr});
      if (on_device) room->blocks = options.device_blocks;
    }
    room->is_placed = room->is_placed && buffer.offset_bytes >= 0;
  }
  for (auto& [space, room] : rooms_) {
    if (room->is_placed || space.kind != SpaceKind::device || room->blocks != nullptr) continue;
    room->caching =
        std::make_unique<CachingAllocator>(room->arena, [this](const SegmentChange& change) {
          recorder_.segment(change.allocated ? EventKind::segment_alloc : EventKind::segment_free,
                            change.offset_bytes, change.size_bytes);
        });
  }
}

/// What the source set aside for one block it does not say.
CachingAllocator::Block ProgramMemory::take_block(Room& room, const Buffer& buffer) {
  const std::int64_t size = counted_bytes(buffer);
  if (std::byte* const block = room.blocks->take(size)) {
    return {static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(block)), size};
  }
  const std::int64_t used = room.blocks->count().used_bytes;
  throw OutOfMemory(
      {.space = room.arena.space(),
       .buffer = {},
       .request_bytes = size,
       .capacity_bytes = room.arena.capacity_bytes(),
       .live_bytes = std::max(used, room.live_bytes),
       .largest_hole_bytes = std::max<std::int64_t>(room.arena.capacity_bytes() - used, 0),
       .live_by_category = {}});
}

CachingAllocator::Block ProgramMemory::take(Room& room, const Buffer& buffer) {
  if (room.blocks != nullptr) return take_block(room, buffer);
  if (room.caching != nullptr) return room.caching->allocate(buffer.size_bytes);
  const std::int64_t rounded =
      std::max(round_up(buffer.size_bytes, k_granule_bytes), k_granule_bytes);
  if (!room.is_placed) return {room.arena.allocate_first_fit(buffer.size_bytes), rounded};
  room.arena.allocate_at(buffer.offset_bytes, buffer.size_bytes);
  return {buffer.offset_bytes, rounded};
}

void ProgramMemory::allocate(BufferId id) {
  const Buffer& buffer = trace_[id];
  Room& room = room_of(buffer);
  try {
    const CachingAllocator::Block block = take(room, buffer);
    offsets_[id.index()] = block.offset_bytes;
    recorder_.alloc(id, room.blocks == nullptr ? block.offset_bytes : -1, block.size_bytes);
  } catch (const OutOfMemory& error) {
    const MemoryShortage shortage = explained(error.shortage(), id);
    recorder_.out_of_memory(id, shortage.request_bytes);
    throw OutOfMemory(shortage);
  }
  room.live_bytes += counted_bytes(buffer);
  room.peak_live_bytes = std::max(room.peak_live_bytes, room.live_bytes);
}

void ProgramMemory::release(BufferId id) {
  const Buffer& buffer = trace_[id];
  Room& room = room_of(buffer);
  const std::int64_t offset = std::exchange(offsets_[id.index()], -1);
  if (room.blocks != nullptr) {
    room.blocks->give_back(reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(offset)));
  } else if (room.caching != nullptr) {
    room.caching->release(offset);
  } else {
    room.arena.release(offset);
  }
  room.live_bytes -= counted_bytes(buffer);
  recorder_.free(id);
}

std::byte* ProgramMemory::pointer(BufferId id) const {
  const Buffer& buffer = trace_[id];
  const BufferId owner = storage_of(trace_, id);
  const Room& room = *rooms_.find(trace_[owner].space)->second;
  // What was freed is still where it was placed: an illegal program, run unchecked, reads poison.
  std::int64_t begin = offsets_[owner.index()];
  const std::int64_t inside = buffer.storage.valid() ? buffer.storage_offset_bytes : 0;
  if (room.blocks != nullptr && begin >= 0) {
    return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(begin)) + inside;
  }
  if (begin < 0) begin = trace_[owner].offset_bytes;
  if (begin < 0 || room.blocks != nullptr ||
      begin > room.arena.capacity_bytes() - trace_[owner].size_bytes) {
    throw std::logic_error("buffer " + buffer.name + " is used but not allocated");
  }
  return room.arena.pointer(begin + inside);
}

/// Splits what is live in the space of `id` by category. What the allocator holds beyond the
/// buffers is allocator slack, so the sum is what the arena has set aside.
MemoryShortage ProgramMemory::explained(MemoryShortage shortage, BufferId id) const {
  shortage.buffer = id;
  if (const auto& caching = rooms_.find(shortage.space)->second->caching; caching != nullptr) {
    shortage.largest_hole_bytes =
        std::max(shortage.largest_hole_bytes, caching->largest_free_bytes());
  }
  std::int64_t known = 0;
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    const Buffer& buffer = trace_.buffers[i];
    if (offsets_[i] < 0 || buffer.space != shortage.space) continue;
    shortage.live_by_category[static_cast<std::size_t>(buffer.category)] += counted_bytes(buffer);
    known += counted_bytes(buffer);
  }
  shortage.live_by_category[static_cast<std::size_t>(Category::allocator_slack)] +=
      shortage.live_bytes - known;
  return shortage;
}

std::vector<ArenaRecord> ProgramMemory::records() const {
  std::vector<ArenaRecord> out;
  for (const auto& [space, room] : rooms_) {
    out.push_back({.space = space,
                   .capacity_bytes = room->arena.capacity_bytes(),
                   .high_water_bytes = room->arena.high_water_bytes(),
                   .peak_live_bytes = room->peak_live_bytes});
    if (room->blocks == nullptr) continue;
    const BlockCounts counts = room->blocks->count();
    out.back().high_water_bytes = counts.most_reserved_bytes;
    out.back().most_used_bytes = counts.most_used_bytes;
  }
  return out;
}

const char* ProgramMemory::allocator_name() const {
  for (const auto& [space, room] : rooms_) {
    if (room->blocks != nullptr) return "cuda-async";
    if (room->caching != nullptr) return "caching";
  }
  return "static";
}

}  // namespace tidemark
