#include "pytorch_reference.h"

#include <algorithm>
#include <cmath>

namespace tidemark::reference {

namespace {
constexpr std::int64_t k_mib = 1 << 20;
std::int64_t up(std::int64_t value, std::int64_t to) {
  return value % to == 0 ? value : value + to - value % to;
}
}  // namespace

std::int64_t Allocator::round_size(std::int64_t size) const {
  if (size < 512) return 512;
  int log = 0;
  while ((std::int64_t{2} << log) <= size) ++log;
  const int interval = std::min(std::max(log - 20, 0), 15);
  const std::int64_t d = conf_.roundup_divisions[static_cast<std::size_t>(interval)];
  if (d > 1 && size > 512 * d) {
    const std::int64_t power = std::int64_t{1} << log;
    if (power == size) return size;
    return power / d == 0 ? 2 * power : up(size, power / d);
  }
  return up(size, 512);
}

void Allocator::insert_free(Block* block) {
  block->gc_base = block->pool->lookups;
  block->pool->blocks.insert(block);
}

Block* Allocator::get_free_block(Pool& pool, std::int32_t stream, std::int64_t size) {
  if (has_limit() && conf_.garbage_collection_threshold > 0) ++pool.lookups;
  Block key;
  key.stream = stream;
  key.size = size;
  key.addr = -1;
  auto it = pool.blocks.lower_bound(&key);
  const auto usable = [&](auto i) { return i != pool.blocks.end() && (*i)->stream == stream; };
  if (!usable(it)) return nullptr;
  if ((*it)->expandable) {
    if (conf_.expandable_segments) {
      const auto grown = [](const Block* b) {
        return b->size + (b->next != nullptr && !b->next->mapped ? b->next->size : 0);
      };
      auto next = std::next(it);
      while ((*it)->expandable && usable(next) && grown(*next) < grown(*it)) it = next++;
    } else {
      do ++it;
      while (usable(it) && (*it)->expandable);
      if (!usable(it)) return nullptr;
    }
  }
  if (size < conf_.max_split_bytes && (*it)->size >= conf_.max_split_bytes) return nullptr;
  if (size >= conf_.max_split_bytes && (*it)->size >= size + conf_.max_non_split_rounding_bytes) {
    return nullptr;
  }
  Block* found = *it;
  pool.blocks.erase(it);
  return found;
}

Block* Allocator::malloc(std::int64_t size_bytes, std::int32_t stream, std::int32_t private_pool) {
  const std::int64_t size = round_size(size_bytes);
  const bool is_small = size <= k_mib;
  Pool& pool = is_small ? small_[private_pool] : large_[private_pool];
  pool.is_small = is_small;
  std::int64_t alloc_size = up(size, 2 * k_mib);
  if (is_small) {
    alloc_size = 2 * k_mib;
  } else if (size < 10 * k_mib) {
    alloc_size = std::max(conf_.large_segment_bytes, alloc_size);
  }
  Block* block = get_free_block(pool, stream, size);
  if (block == nullptr) {
    if (has_limit() && conf_.garbage_collection_threshold > 0) garbage_collect();
    block = alloc_block(pool, stream, size, alloc_size);
    if (block == nullptr && release_available(pool, stream, size)) {
      block = alloc_block(pool, stream, size, alloc_size);
    }
    if (block == nullptr) {
      release_cached();
      block = alloc_block(pool, stream, size, alloc_size);
    }
    if (block == nullptr) return nullptr;
  }
  const std::int64_t remaining = block->size - size;
  const bool split = is_small || conf_.expandable_segments
                         ? remaining >= 512
                         : size < conf_.max_split_bytes && remaining > k_mib;
  if (split) {
    Block* rest = block;
    block = make();
    *block = *rest;
    block->size = size;
    if (block->prev != nullptr) block->prev->next = block;
    if (heads_.erase(rest) > 0) heads_.insert(block);
    block->next = rest;
    rest->prev = block;
    rest->addr += size;
    rest->size -= size;
    insert_free(rest);
  }
  block->allocated = true;
  block->requested = size_bytes;
  active += block->size;
  allocated += block->size;
  requested += size_bytes;
  return block;
}

Block* Allocator::alloc_block(Pool& pool, std::int32_t stream, std::int64_t size,
                              std::int64_t alloc_size) {
  if (has_limit() && reserved + alloc_size > allowed()) return nullptr;
  if (conf_.expandable_segments) return allocate_expandable(pool, stream, size);
  const std::int64_t addr = device_.take(alloc_size, stream);
  if (addr < 0) return nullptr;
  reserved += alloc_size;
  Block* block = make();
  block->stream = stream;
  block->size = alloc_size;
  block->addr = addr;
  block->pool = &pool;
  heads_.insert(block);
  return block;
}

void Allocator::free(Block* block) {
  block->allocated = false;
  allocated -= block->size;
  requested -= block->requested;
  if (block->stream_uses.empty()) return free_block(block);
  for (const std::int32_t stream : block->stream_uses) {
    ++block->event_count;
    events_[stream].push_back(block);
  }
  block->stream_uses.clear();
}

void Allocator::record_stream(Block* block, std::int32_t stream) {
  if (stream != block->stream) block->stream_uses.insert(stream);
}

void Allocator::synchronize() {
  for (auto& [stream, queue] : events_) {
    for (Block* block : queue) {
      if (--block->event_count == 0) free_block(block);
    }
    queue.clear();
  }
}

std::int64_t Allocator::try_merge(Block* dst, Block* src) {
  if (src == nullptr || src->allocated || src->event_count > 0 || !src->stream_uses.empty() ||
      dst->mapped != src->mapped) {
    return 0;
  }
  if (src->mapped) {
    src->pool->blocks.erase(src);
  } else {
    src->pool->unmapped.erase(src);
  }
  if (dst->prev == src) {
    dst->addr = src->addr;
    dst->prev = src->prev;
    if (dst->prev != nullptr) dst->prev->next = dst;
    if (heads_.erase(src) > 0) heads_.insert(dst);
  } else {
    dst->next = src->next;
    if (dst->next != nullptr) dst->next->prev = dst;
  }
  dst->size += src->size;
  return src->size;
}

void Allocator::free_block(Block* block) {
  active -= block->size;
  try_merge(block, block->prev);
  try_merge(block, block->next);
  insert_free(block);
}

void Allocator::release_block(Block* block) {
  block->pool->blocks.erase(block);
  heads_.erase(block);
  reserved -= block->size;
  device_.give_back(block->addr, block->size, block->stream);
}

void Allocator::release_blocks(Pool& pool) {
  std::vector<Block*> to_unmap;
  for (auto it = pool.blocks.begin(); it != pool.blocks.end();) {
    Block* block = *it++;
    if (block->expandable) {
      to_unmap.push_back(block);
    } else if (block->prev == nullptr && block->next == nullptr) {
      release_block(block);
    }
  }
  for (Block* block : to_unmap) unmap_block(block);
}

void Allocator::release_cached() {
  synchronize();
  release_blocks(large_[0]);
  release_blocks(small_[0]);
}

void Allocator::empty_cache() {
  release_cached();
}

void Allocator::garbage_collect() {
  const auto threshold = static_cast<std::int64_t>(conf_.garbage_collection_threshold *
                                                   static_cast<double>(allowed()));
  if (reserved <= threshold) return;
  const std::int64_t target = reserved - threshold;
  Pool& pool = large_[0];
  const auto age = [&pool](const Block* b) { return pool.lookups - b->gc_base; };
  const auto whole = [](const Block* b) {
    return !b->expandable && b->prev == nullptr && b->next == nullptr;
  };
  std::int64_t total_age = 0;
  std::int64_t count = 0;
  for (const Block* b : pool.blocks) {
    if (!whole(b)) continue;
    total_age += age(b);
    ++count;
  }
  std::int64_t reclaimed = 0;
  bool freed = true;
  while (reclaimed < target && freed && count > 0) {
    const double mean = static_cast<double>(total_age) / static_cast<double>(count);
    freed = false;
    for (auto it = pool.blocks.begin(); it != pool.blocks.end();) {
      Block* block = *it++;
      if (!whole(block) || static_cast<double>(age(block)) < mean) continue;
      freed = true;
      reclaimed += block->size;
      total_age -= age(block);
      --count;
      release_block(block);
    }
  }
}

bool Allocator::release_available(Pool& pool, std::int32_t stream, std::int64_t size) {
  if (conf_.max_split_bytes == AllocatorConf{}.max_split_bytes) return false;
  Block key;
  key.stream = stream;
  key.size = std::max(size, conf_.max_split_bytes);
  key.addr = -1;
  auto it = pool.blocks.lower_bound(&key);
  if (it != pool.blocks.end() && (*it)->stream == stream) {
    if ((*it)->expandable) return false;
    release_block(*it);
    return true;
  }
  std::int64_t total = 0;
  while (it != pool.blocks.begin() && total < key.size) {
    Block* block = *--it;
    if (block->stream != stream || block->size < conf_.max_split_bytes) break;
    if (block->expandable) continue;
    total += block->size;
    it = std::next(it);
    release_block(block);
  }
  return total >= key.size;
}

Block* Allocator::find_expandable(Pool& pool, std::int32_t stream, std::int64_t size) {
  const auto allocatable = [](const Block* b) {
    return b != nullptr && !b->allocated && b->event_count == 0 && b->stream_uses.empty();
  };
  for (Block* c : pool.unmapped) {
    if (c->stream != stream) continue;
    if (allocatable(c->prev)) c = c->prev;
    std::int64_t bytes = 0;
    for (Block* b = c; bytes < size && allocatable(b); b = b->next) bytes += b->size;
    if (bytes >= size) return c;
  }
  const std::int64_t capacity = device_.capacity_bytes();
  std::int64_t range =
      up(capacity > 0 ? capacity + capacity / 8 : std::int64_t{1} << 40, 20 * k_mib);
  range = std::max(range, up(size, 2 * k_mib));
  Block* block = make();
  block->stream = stream;
  block->size = range;
  block->addr = device_.take_range(range, stream);
  block->range_base = block->addr;
  block->pool = &pool;
  block->mapped = false;
  block->expandable = true;
  pool.unmapped.insert(block);
  heads_.insert(block);
  return block;
}

bool Allocator::map_block(Block* block, std::int64_t size) {
  const std::int64_t bytes =
      std::min(up(block->addr + size - block->range_base, page(*block->pool)) -
                   (block->addr - block->range_base),
               block->size);
  if (!device_.map(block->addr, bytes, block->stream)) return false;
  block->pool->unmapped.erase(block);
  if (bytes < block->size) {
    Block* rest = make();
    *rest = *block;
    rest->addr += bytes;
    rest->size -= bytes;
    rest->prev = block;
    if (rest->next != nullptr) rest->next->prev = rest;
    block->next = rest;
    block->size = bytes;
    block->pool->unmapped.insert(rest);
  }
  block->mapped = true;
  reserved += bytes;
  try_merge(block, block->prev);
  try_merge(block, block->next);
  insert_free(block);
  return true;
}

Block* Allocator::allocate_expandable(Pool& pool, std::int32_t stream, std::int64_t size) {
  Block* block = find_expandable(pool, stream, size);
  if (!block->mapped && !map_block(block, std::min(block->size, size))) return nullptr;
  while (block->size < size) {
    Block* next = block->next;
    if (!map_block(next, std::min(size - block->size, next->size))) return nullptr;
    block = next;
  }
  pool.blocks.erase(block);
  return block;
}

void Allocator::unmap_block(Block* block) {
  const std::int64_t base = block->range_base;
  const std::int64_t begin = base + up(block->addr - base, page(*block->pool));
  const std::int64_t whole = block->addr + block->size - base;
  const std::int64_t end = base + whole - whole % page(*block->pool);
  if (begin >= end) return;
  block->pool->blocks.erase(block);
  const auto piece = [&](std::int64_t from, std::int64_t to) {
    Block* b = make();
    *b = *block;
    b->addr = from;
    b->size = to - from;
    insert_free(b);
    return b;
  };
  if (begin > block->addr) {
    Block* before = piece(block->addr, begin);
    before->next = block;
    if (before->prev != nullptr) before->prev->next = before;
    block->prev = before;
    if (heads_.erase(block) > 0) heads_.insert(before);
  }
  if (const std::int64_t last = base + whole; end < last) {
    Block* after = piece(end, last);
    after->prev = block;
    if (after->next != nullptr) after->next->prev = after;
    block->next = after;
  }
  block->addr = begin;
  block->size = end - begin;
  block->mapped = false;
  reserved -= block->size;
  try_merge(block, block->prev);
  try_merge(block, block->next);
  device_.unmap(begin, end - begin, block->stream);
  if (block->prev == nullptr && block->next == nullptr) {
    heads_.erase(block);
  } else {
    block->pool->unmapped.insert(block);
  }
}

std::vector<std::tuple<std::int64_t, std::int64_t, bool>> Allocator::layout() const {
  std::vector<std::tuple<std::int64_t, std::int64_t, bool>> out;
  for (const Block* head : heads_) {
    for (const Block* b = head; b != nullptr; b = b->next) {
      if (b->mapped) out.emplace_back(b->addr, b->size, b->allocated || b->event_count > 0);
    }
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace tidemark::reference
