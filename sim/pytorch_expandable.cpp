// Expandable segments of PyTorchAllocator, the state at the begin of a recording, and its layout.

#include <algorithm>
#include <map>
#include <tuple>

#include "sim/pytorch_allocator.h"
#include "traces/trace.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_small_page_bytes = std::int64_t{2} << 20;

/// Address space of one expandable segment: 9/8 of the device, or plenty when its size is unknown.
std::int64_t range_bytes(const DeviceMemory& device) {
  const std::int64_t capacity = device.capacity_bytes();
  constexpr std::int64_t k_plenty_bytes = std::int64_t{1} << 40;
  const std::int64_t bytes = capacity > 0 ? capacity + capacity / 8 : k_plenty_bytes;
  return round_up(bytes, 10 * k_small_page_bytes);
}

}  // namespace

std::int64_t PyTorchAllocator::page_bytes(const Block& block) const {
  return caches_[index(block.cache)]->is_small() ? k_small_page_bytes : conf_.large_segment_bytes;
}

/// The nearest begin of a range below the block: how far a recorded range reaches is not known.
std::int64_t PyTorchAllocator::range_base(const Block& block) const {
  std::int64_t nearest = -1;
  for (const auto& [base, bytes] : ranges_) {
    if (block.address >= base) nearest = std::max(nearest, base);
  }
  return nearest < 0 ? block.address : nearest;
}

void PyTorchAllocator::insert_unmapped(std::int32_t row) {
  std::vector<std::int32_t>& all = caches_[index(at(row).cache)]->unmapped;
  const auto place = std::ranges::lower_bound(all, at(row).address, {},
                                              [this](std::int32_t r) { return at(r).address; });
  all.insert(place, row);
}

void PyTorchAllocator::remove_unmapped(std::int32_t row) {
  std::erase(caches_[index(at(row).cache)]->unmapped, row);
}

std::int32_t PyTorchAllocator::add_range(std::int32_t cache, std::int64_t base,
                                         std::int64_t bytes) {
  const std::int32_t row = new_block();
  Block& b = at(row);
  b.address = base;
  b.size_bytes = bytes;
  b.cache = cache;
  b.is_mapped = false;
  b.is_expandable = true;
  ranges_.emplace_back(base, bytes);
  insert_unmapped(row);
  return row;
}

/// The lowest unmapped block from which, or from the free block before which, enough free and
/// unmapped space follows; a new range when there is none.
std::int32_t PyTorchAllocator::find_expandable(std::int32_t cache_row, std::int64_t size_bytes) {
  const Cache& cache = *caches_[index(cache_row)];
  for (std::int32_t row : cache.unmapped) {
    const std::int32_t before = at(row).previous;
    if (before >= 0 && !at(before).in_use) row = before;
    std::int64_t bytes = 0;
    for (std::int32_t b = row; b >= 0 && !at(b).in_use && bytes < size_bytes; b = at(b).next) {
      bytes += at(b).size_bytes;
    }
    if (bytes >= size_bytes) return row;
  }
  const std::int64_t bytes =
      std::max(range_bytes(device_), round_up(size_bytes, k_small_page_bytes));
  const std::int64_t base = device_.take_range(bytes, cache.stream);
  return base < 0 ? -1 : add_range(cache_row, base, bytes);
}

std::int32_t PyTorchAllocator::grow_expandable(std::int32_t cache, std::int64_t size_bytes) {
  std::int32_t row = find_expandable(cache, size_bytes);
  if (row < 0) return -1;
  if (!at(row).is_mapped && !map_block(row, std::min(at(row).size_bytes, size_bytes))) return -1;
  // A mapped block joins the free one before it and keeps its own row.
  while (at(row).size_bytes < size_bytes) {
    const std::int32_t next = at(row).next;
    const std::int64_t missing = size_bytes - at(row).size_bytes;
    if (!map_block(next, std::min(missing, at(next).size_bytes))) return -1;
    row = next;
  }
  remove_free(at(row));
  return row;
}

/// Maps the first `size_bytes`, in whole pages, of an unmapped block; joins it with its neighbours.
bool PyTorchAllocator::map_block(std::int32_t row, std::int64_t size_bytes) {
  const std::int64_t base = range_base(at(row));
  const std::int64_t page = page_bytes(at(row));
  const std::int64_t end = base + round_up(at(row).address + size_bytes - base, page);
  const std::int64_t bytes = std::min(end - at(row).address, at(row).size_bytes);
  if (!device_.map(at(row).address, bytes, caches_[index(at(row).cache)]->stream)) return false;
  remove_unmapped(row);
  if (bytes < at(row).size_bytes) split_high(row, bytes);  // the rest is unmapped still
  at(row).is_mapped = true;
  reserved_bytes_ += bytes;
  for (const std::int32_t neighbour : {at(row).previous, at(row).next}) {
    if (!joins(at(row), neighbour)) continue;
    remove_free(at(neighbour));
    absorb(row, neighbour);
  }
  insert_free(row);
  return true;
}

/// Unmaps the whole pages inside a free block; what is left of it stays free.
void PyTorchAllocator::unmap_block(std::int32_t row) {
  const std::int64_t base = range_base(at(row));
  const std::int64_t page = page_bytes(at(row));
  const std::int64_t address = at(row).address;
  const std::int64_t begin = base + round_up(address - base, page);
  const std::int64_t end = base + (address + at(row).size_bytes - base) / page * page;
  if (begin >= end) return;
  remove_free(at(row));
  if (end < address + at(row).size_bytes) split_high(row, end - address);
  if (begin > address) {
    // The head stays free and keeps the row; the pages get a row of their own.
    const std::int32_t pages = new_block();
    Block& head = at(row);
    Block& b = at(pages);
    b = head;
    b.address = begin;
    b.size_bytes = end - begin;
    b.previous = row;
    if (b.next >= 0) at(b.next).previous = pages;
    head.next = pages;
    head.size_bytes = begin - address;
    insert_free(row);
    row = pages;
  }
  at(row).is_mapped = false;
  reserved_bytes_ -= end - begin;
  for (const std::int32_t neighbour : {at(row).previous, at(row).next}) {
    if (!joins(at(row), neighbour)) continue;
    remove_unmapped(neighbour);
    absorb(row, neighbour);
  }
  const Block& b = at(row);
  device_.unmap(begin, end - begin, caches_[index(b.cache)]->stream);
  if (b.previous < 0 && b.next < 0) {  // the whole range: it is given up
    std::erase_if(ranges_, [&b](const auto& range) { return range.first == b.address; });
    unused_.push_back(row);
  } else {
    insert_unmapped(row);
  }
}

std::vector<BlockHandle> PyTorchAllocator::restore(const std::vector<RestoredSegment>& segments) {
  std::vector<BlockHandle> handles;
  std::map<std::tuple<std::int32_t, std::int32_t>, std::int32_t> last_of_range;
  // One row for each piece of [begin, end), linked behind `before`.
  const auto add = [this](std::int32_t before, std::int32_t cache, std::int64_t begin,
                          std::int64_t end, bool is_expandable) {
    const std::int32_t row = new_block();
    Block& b = at(row);
    b.address = begin;
    b.size_bytes = end - begin;
    b.cache = cache;
    b.is_expandable = is_expandable;
    b.previous = before;
    if (before >= 0) at(before).next = row;
    return row;
  };
  std::vector<std::int32_t> free_rows;
  std::vector<std::int32_t> unmapped_rows;
  for (const RestoredSegment& s : segments) {
    const std::int32_t pool = 2 * s.pool + (s.is_small ? 1 : 0);
    const std::int32_t cache = cache_of(pool, s.stream);
    std::int32_t before = -1;
    const auto range = last_of_range.find({pool, s.stream});
    if (s.is_expandable && range != last_of_range.end()) {
      before = range->second;
      const std::int64_t gap = at(before).address + at(before).size_bytes;
      if (gap < s.address) {
        before = add(before, cache, gap, s.address, true);
        at(before).is_mapped = false;
        unmapped_rows.push_back(before);
      }
    }
    std::int64_t at_address = s.address;
    const std::int64_t end = s.address + s.size_bytes;
    for (const RestoredBlock& block : s.blocks) {
      if (block.address > at_address) {
        before = add(before, cache, at_address, block.address, s.is_expandable);
        free_rows.push_back(before);
      }
      at_address = block.address + block.size_bytes;
      before = add(before, cache, block.address, at_address, s.is_expandable);
      Block& b = at(before);
      b.requested_bytes = block.requested_bytes;
      b.in_use = true;
      b.is_pending = block.is_pending;
      active_bytes_ += b.size_bytes;
      if (block.is_pending) {
        pending_.push_back(before);
      } else {
        allocated_bytes_ += b.size_bytes;
        requested_bytes_ += b.requested_bytes;
      }
      handles.push_back(before);
    }
    if (at_address < end) {
      before = add(before, cache, at_address, end, s.is_expandable);
      free_rows.push_back(before);
    }
    reserved_bytes_ += s.size_bytes;
    if (s.is_expandable) last_of_range[{pool, s.stream}] = before;
  }
  for (const auto& [key, last] : last_of_range) {
    std::int32_t first = last;
    while (at(first).previous >= 0) first = at(first).previous;
    const std::int64_t base = at(first).address;
    const std::int64_t used = at(last).address + at(last).size_bytes - base;
    const std::int64_t bytes = std::max(range_bytes(device_), used);
    ranges_.emplace_back(base, bytes);
    if (used == bytes) continue;
    const std::int32_t rest = add(last, at(last).cache, base + used, base + bytes, true);
    at(rest).is_mapped = false;
    unmapped_rows.push_back(rest);
  }
  for (const std::int32_t row : free_rows) insert_free(row);
  for (const std::int32_t row : unmapped_rows) insert_unmapped(row);
  return handles;
}

std::vector<AllocatorSegment> PyTorchAllocator::segments() const {
  std::vector<bool> is_unused(blocks_.size(), false);
  for (const std::int32_t row : unused_) is_unused[index(row)] = true;
  std::vector<AllocatorSegment> out;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& first = blocks_[i];
    const bool begins = first.previous < 0 || !at(first.previous).is_mapped;
    if (is_unused[i] || !first.is_mapped || !begins) continue;
    const Cache& cache = *caches_[index(first.cache)];
    AllocatorSegment s{.address = first.address,
                       .size_bytes = 0,
                       .stream = cache.stream,
                       .pool = cache.pool / 2,
                       .is_small = cache.is_small(),
                       .is_expandable = first.is_expandable};
    for (auto row = static_cast<std::int32_t>(i); row >= 0 && at(row).is_mapped;
         row = at(row).next) {
      const Block& b = at(row);
      s.blocks.push_back({b.address, b.size_bytes, b.in_use ? row : k_no_block, b.is_pending});
      s.size_bytes += b.size_bytes;
    }
    out.push_back(std::move(s));
  }
  std::ranges::sort(out, {}, &AllocatorSegment::address);
  return out;
}

}  // namespace tidemark
