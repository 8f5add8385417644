#include "sim/pytorch_allocator.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "traces/trace.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_mib = std::int64_t{1} << 20;
constexpr std::int64_t k_min_block_bytes = 512;
constexpr std::int64_t k_small_request_bytes = k_mib;
constexpr std::int64_t k_small_segment_bytes = 2 * k_mib;
constexpr std::int64_t k_own_segment_from_bytes = 10 * k_mib;
constexpr std::int64_t k_segment_round_bytes = 2 * k_mib;
constexpr std::size_t k_most_streams = 64;

constexpr std::int64_t k_no_limit = std::numeric_limits<std::int64_t>::max();

}  // namespace

PyTorchAllocator::PyTorchAllocator(const AllocatorConf& conf, DeviceMemory& device)
    : conf_(conf), device_(device) {
  collects_garbage_ = conf.garbage_collection_threshold > 0 && limit_bytes() != k_no_limit;
}

std::int64_t PyTorchAllocator::limit_bytes() const {
  if (conf_.memory_fraction <= 0 || device_.capacity_bytes() <= 0) return k_no_limit;
  return static_cast<std::int64_t>(conf_.memory_fraction *
                                   static_cast<double>(device_.capacity_bytes()));
}

std::int64_t PyTorchAllocator::round_size(const AllocatorConf& conf, std::int64_t size_bytes) {
  if (size_bytes < k_min_block_bytes) return k_min_block_bytes;
  const auto size = static_cast<std::uint64_t>(size_bytes);
  const int log = static_cast<int>(std::bit_width(size)) - 1;
  const auto interval = static_cast<std::size_t>(std::clamp(log - 20, 0, 15));
  const std::int64_t divisions = conf.roundup_divisions[interval];
  if (divisions <= 1 || size_bytes <= k_min_block_bytes * divisions) {
    return round_up(size_bytes, k_min_block_bytes);
  }
  if (std::has_single_bit(size)) return size_bytes;
  const std::int64_t power = std::int64_t{1} << log;
  const std::int64_t step = power / divisions;
  return step == 0 ? 2 * power : round_up(size_bytes, step);
}

std::int64_t PyTorchAllocator::segment_bytes_for(bool is_small, std::int64_t size_bytes) const {
  if (is_small) return k_small_segment_bytes;
  if (size_bytes < k_own_segment_from_bytes) {
    // A larger setting than 10 MiB only; a smaller one must still hold the request.
    return std::max(conf_.large_segment_bytes, round_up(size_bytes, k_segment_round_bytes));
  }
  return round_up(size_bytes, k_segment_round_bytes);
}

// ---- blocks and free sets ----

std::int32_t PyTorchAllocator::new_block() {
  if (unused_.empty()) {
    blocks_.emplace_back();
    return static_cast<std::int32_t>(blocks_.size() - 1);
  }
  const std::int32_t row = unused_.back();
  unused_.pop_back();
  at(row) = Block{};
  return row;
}

std::int32_t PyTorchAllocator::cache_of(std::int32_t pool, std::int32_t stream) {
  const std::size_t key = index(pool) * k_most_streams + index(stream);
  if (key >= cache_rows_.size()) cache_rows_.resize((index(pool) + 1) * k_most_streams, -1);
  if (cache_rows_[key] < 0) {
    cache_rows_[key] = static_cast<std::int32_t>(caches_.size());
    caches_.push_back(std::make_unique<Cache>());
    caches_.back()->pool = pool;
    caches_.back()->stream = stream;
    if (index(pool) >= pool_lookups_.size()) pool_lookups_.resize(index(pool) + 1, 0);
  }
  return cache_rows_[key];
}

/// Bytes of a free block that could go back to the device: a whole segment, or the whole pages of
/// an expandable one.
std::int64_t PyTorchAllocator::releasable_bytes(const Block& block) const {
  if (!block.is_expandable) {
    return (block.previous & block.next) == -1 && block.previous == block.next ? block.size_bytes
                                                                               : 0;
  }
  const std::int64_t base = range_base(block);
  const std::int64_t page = page_bytes(block);
  const std::int64_t begin = round_up(block.address - base, page);
  const std::int64_t end = (block.address + block.size_bytes - base) / page * page;
  return std::max<std::int64_t>(end - begin, 0);
}

void PyTorchAllocator::insert_free(std::int32_t row) {
  Block& b = at(row);
  Cache& cache = *caches_[index(b.cache)];
  b.free_since = pool_lookups_[index(cache.pool)];
  cached_bytes_ += releasable_bytes(b);
  cache.free.insert({b.size_bytes, b.address, row});
}

void PyTorchAllocator::remove_free(const Block& b) {
  cached_bytes_ -= releasable_bytes(b);
  caches_[index(b.cache)]->free.erase(b.size_bytes, b.address);
}

/// True when a free block and its neighbour become one.
bool PyTorchAllocator::joins(const Block& block, std::int32_t neighbour) const {
  if (neighbour < 0) return false;
  const Block& n = at(neighbour);
  return !n.in_use && n.is_mapped == block.is_mapped;
}

/// `block` takes over `neighbour`, which is in no set any more.
void PyTorchAllocator::absorb(std::int32_t row, std::int32_t neighbour) {
  Block& b = at(row);
  Block& n = at(neighbour);
  b.size_bytes += n.size_bytes;
  if (b.previous == neighbour) {
    b.address = n.address;
    b.previous = n.previous;
    if (b.previous >= 0) at(b.previous).next = row;
  } else {
    b.next = n.next;
    if (b.next >= 0) at(b.next).previous = row;
  }
  unused_.push_back(neighbour);
}

void PyTorchAllocator::free_block(std::int32_t row) {
  Block& b = at(row);
  active_bytes_ -= b.size_bytes;
  b.in_use = false;
  b.is_pending = false;
  for (const std::int32_t neighbour : {b.previous, b.next}) {
    if (!joins(b, neighbour)) continue;
    remove_free(at(neighbour));
    absorb(row, neighbour);
  }
  insert_free(row);
}

/// Cuts a block that is in no set: what lies behind `low_bytes` becomes a free block.
void PyTorchAllocator::split_high(std::int32_t row, std::int64_t low_bytes) {
  const std::int32_t rest = new_block();
  Block& low = at(row);
  Block& high = at(rest);
  high.address = low.address + low_bytes;
  high.size_bytes = low.size_bytes - low_bytes;
  high.cache = low.cache;
  high.is_expandable = low.is_expandable;
  high.is_mapped = low.is_mapped;
  high.previous = row;
  high.next = low.next;
  if (high.next >= 0) at(high.next).previous = rest;
  low.next = rest;
  low.size_bytes = low_bytes;
  if (high.is_mapped) {
    insert_free(rest);
  } else {
    insert_unmapped(rest);
  }
}

// ---- requests ----

BlockHandle PyTorchAllocator::allocate(const AllocatorRequest& request) {
  const std::int64_t size = round_size(conf_, request.size_bytes);
  const bool is_small = size <= k_small_request_bytes;
  const std::int32_t cache = cache_of(2 * request.pool + (is_small ? 1 : 0), request.stream);
  std::int32_t row = take_free(cache, size);
  if (row < 0) row = grow_with_last_resorts(cache, size);
  if (row < 0) return k_no_block;
  const std::int64_t rest = at(row).size_bytes - size;
  const bool splits = is_small || conf_.expandable_segments
                          ? rest >= k_min_block_bytes
                          : size < conf_.max_split_bytes && rest > k_small_request_bytes;
  at(row).in_use = true;
  if (splits) split_high(row, size);
  Block& b = at(row);
  b.requested_bytes = request.size_bytes;
  active_bytes_ += b.size_bytes;
  allocated_bytes_ += b.size_bytes;
  requested_bytes_ += b.requested_bytes;
  return row;
}

/// The free block that serves the request, out of its set; -1 when none does.
std::int32_t PyTorchAllocator::take_free(std::int32_t cache_row, std::int64_t size_bytes) {
  Cache& cache = *caches_[index(cache_row)];
  if (collects_garbage_) ++pool_lookups_[index(cache.pool)];
  FreeBlocks::Place place = cache.free.best_fit(size_bytes);
  if (place.at_end()) return -1;
  if (at(cache.free[place].block).is_expandable) {
    place = skip_expandable(cache, place);
    if (place.at_end()) return -1;
  }
  const FreeBlocks::Entry entry = cache.free[place];
  const std::int64_t most = conf_.max_split_bytes;
  if (size_bytes < most && entry.size_bytes >= most) return -1;
  if (size_bytes >= most && entry.size_bytes >= size_bytes + conf_.max_non_split_rounding_bytes) {
    return -1;
  }
  cached_bytes_ -= releasable_bytes(at(entry.block));
  cache.free.erase(place);
  return entry.block;
}

/// A block that touches the part that can grow counts with that part; with the option off,
/// expandable blocks are passed over.
FreeBlocks::Place PyTorchAllocator::skip_expandable(const Cache& cache,
                                                    FreeBlocks::Place place) const {
  const auto expandable = [&](FreeBlocks::Place p) {
    return at(cache.free[p].block).is_expandable;
  };
  if (!conf_.expandable_segments) {
    do {
      place = cache.free.next(place);
    } while (!place.at_end() && expandable(place));
    return place;
  }
  const auto grown_bytes = [&](FreeBlocks::Place p) {
    const Block& b = at(cache.free[p].block);
    return b.size_bytes + (b.next >= 0 && !at(b.next).is_mapped ? at(b.next).size_bytes : 0);
  };
  FreeBlocks::Place next = cache.free.next(place);
  while (expandable(place) && !next.at_end() && grown_bytes(next) < grown_bytes(place)) {
    place = next;
    next = cache.free.next(next);
  }
  return place;
}

std::int32_t PyTorchAllocator::grow_with_last_resorts(std::int32_t cache, std::int64_t size_bytes) {
  if (collects_garbage_) collect_garbage();
  const std::int64_t segment = segment_bytes_for(caches_[index(cache)]->is_small(), size_bytes);
  std::int32_t row = grow(cache, size_bytes, segment);
  if (row < 0 && release_oversize(cache, size_bytes)) row = grow(cache, size_bytes, segment);
  if (row >= 0) return row;
  empty_cache();
  return grow(cache, size_bytes, segment);
}

std::int32_t PyTorchAllocator::grow(std::int32_t cache, std::int64_t size_bytes,
                                    std::int64_t segment_bytes) {
  if (reserved_bytes_ + segment_bytes > limit_bytes()) return -1;
  if (conf_.expandable_segments) return grow_expandable(cache, size_bytes);
  const std::int64_t address = device_.take(segment_bytes, caches_[index(cache)]->stream);
  if (address < 0) return -1;
  reserved_bytes_ += segment_bytes;
  const std::int32_t row = new_block();
  at(row).address = address;
  at(row).size_bytes = segment_bytes;
  at(row).cache = cache;
  return row;
}

void PyTorchAllocator::free(BlockHandle handle) {
  Block& b = at(handle);
  allocated_bytes_ -= b.size_bytes;
  requested_bytes_ -= b.requested_bytes;
  if (b.streams == 0) return free_block(handle);
  b.streams = 0;
  b.is_pending = true;
  pending_.push_back(handle);
}

void PyTorchAllocator::record_stream(BlockHandle handle, std::int32_t stream) {
  Block& b = at(handle);
  if (stream != caches_[index(b.cache)]->stream) b.streams |= std::uint64_t{1} << stream;
}

void PyTorchAllocator::complete(BlockHandle handle) {
  if (at(handle).is_pending) free_block(handle);
}

void PyTorchAllocator::synchronize() {
  for (const std::int32_t row : pending_) complete(row);
  pending_.clear();
}

// ---- giving back ----

void PyTorchAllocator::release(std::int32_t row) {
  const Block b = at(row);
  remove_free(b);
  unused_.push_back(row);
  reserved_bytes_ -= b.size_bytes;
  device_.give_back(b.address, b.size_bytes, caches_[index(b.cache)]->stream);
}

/// Free blocks of all streams of a pool by (stream, size, address).
std::vector<std::int32_t> PyTorchAllocator::free_in_order(std::int32_t pool) const {
  std::vector<std::int32_t> out;
  for (std::size_t stream = 0; stream < k_most_streams; ++stream) {
    const std::size_t key = index(pool) * k_most_streams + stream;
    if (key >= cache_rows_.size() || cache_rows_[key] < 0) continue;
    const FreeBlocks& free = caches_[index(cache_rows_[key])]->free;
    for (auto p = free.begin(); !p.at_end(); p = free.next(p)) out.push_back(free[p].block);
  }
  return out;
}

void PyTorchAllocator::release_pool(std::int32_t pool) {
  std::vector<std::int32_t> to_unmap;
  for (const std::int32_t row : free_in_order(pool)) {
    const Block& b = at(row);
    if (b.is_expandable) {
      to_unmap.push_back(row);
    } else if (b.previous < 0 && b.next < 0) {
      release(row);
    }
  }
  for (const std::int32_t row : to_unmap) unmap_block(row);
}

/// Only the default pools: private ones are held by their owner.
void PyTorchAllocator::empty_cache() {
  synchronize();
  release_pool(0);
  release_pool(k_small_pool);
}

bool PyTorchAllocator::release_segment(std::int64_t address) {
  for (const auto& cache : caches_) {
    for (auto p = cache->free.begin(); !p.at_end(); p = cache->free.next(p)) {
      const std::int32_t row = cache->free[p].block;
      const Block& b = at(row);
      if (b.address != address || b.is_expandable || b.previous >= 0 || b.next >= 0) continue;
      release(row);
      return true;
    }
  }
  return false;
}

/// Gives back unused large segments of at least the mean age, until enough is reclaimed.
void PyTorchAllocator::collect_garbage() {
  const auto threshold = static_cast<std::int64_t>(conf_.garbage_collection_threshold *
                                                   static_cast<double>(limit_bytes()));
  if (reserved_bytes_ <= threshold) return;
  const std::int64_t target = reserved_bytes_ - threshold;
  std::vector<std::int32_t> whole;
  double total_age = 0;
  const auto age = [this](std::int32_t row) {
    return static_cast<double>(pool_lookups_[0] - at(row).free_since);
  };
  for (const std::int32_t row : free_in_order(0)) {
    const Block& b = at(row);
    if (b.is_expandable || b.previous >= 0 || b.next >= 0) continue;
    whole.push_back(row);
    total_age += age(row);
  }
  std::int64_t reclaimed = 0;
  bool any = true;
  while (reclaimed < target && any && !whole.empty()) {
    const double mean = total_age / static_cast<double>(whole.size());
    any = false;
    std::vector<std::int32_t> kept;
    for (const std::int32_t row : whole) {
      if (age(row) < mean) {
        kept.push_back(row);
        continue;
      }
      any = true;
      reclaimed += at(row).size_bytes;
      total_age -= age(row);
      release(row);
    }
    whole = std::move(kept);
  }
}

/// With max_split_size: the smallest oversize block that would do, else the largest ones until
/// their sum would do.
bool PyTorchAllocator::release_oversize(std::int32_t cache_row, std::int64_t size_bytes) {
  if (conf_.max_split_bytes == k_no_limit) return false;
  const FreeBlocks& free = caches_[index(cache_row)]->free;
  const std::int64_t key = std::max(size_bytes, conf_.max_split_bytes);
  FreeBlocks::Place place = free.best_fit(key);
  if (!place.at_end()) {
    const std::int32_t row = free[place].block;
    if (at(row).is_expandable) return false;
    release(row);
    return true;
  }
  std::int64_t released = 0;
  std::vector<std::int32_t> rows;  // a release moves the places of others
  for (place = free.previous(place);
       !place.at_end() && released < key && free[place].size_bytes >= conf_.max_split_bytes;
       place = free.previous(place)) {
    const std::int32_t row = free[place].block;
    if (at(row).is_expandable) continue;
    released += at(row).size_bytes;
    rows.push_back(row);
  }
  for (const std::int32_t row : rows) release(row);
  return released >= key;
}

// ---- figures ----

AllocatorFigures PyTorchAllocator::figures() const {
  return {.reserved_bytes = reserved_bytes_,
          .active_bytes = active_bytes_,
          .allocated_bytes = allocated_bytes_,
          .requested_bytes = requested_bytes_,
          .inactive_split_bytes = reserved_bytes_ - active_bytes_ - cached_bytes_,
          .cached_bytes = cached_bytes_};
}

std::int64_t PyTorchAllocator::largest_hole_bytes() const {
  std::int64_t largest = 0;
  for (const auto& cache : caches_) largest = std::max(largest, cache->free.largest_bytes());
  return largest;
}

}  // namespace tidemark
