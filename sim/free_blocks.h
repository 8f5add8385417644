// The free blocks of one stream in one pool, ordered by (size, address): an ordered set for the few
// operations that an allocator needs, without an allocation per operation.
//
// Sizes fall into classes: exact in units of 512 bytes up to 32 KiB, then 32 classes per power of
// two. A bitmap of two levels finds the next class that has blocks; within a class the blocks are
// an array, the largest first: what is wanted most, the smallest, goes from the end.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace tidemark {

class FreeBlocks {
 public:
  struct Entry {
    std::int64_t size_bytes = 0;
    std::int64_t address = 0;
    std::int32_t block = -1;
    [[nodiscard]] bool at_least(std::int64_t size, std::int64_t at) const {
      return size_bytes > size || (size_bytes == size && address >= at);
    }
  };

  /// Where an entry stands; `bin` = k_bins is the end.
  struct Place {
    std::size_t bin = k_bins;
    std::size_t index = 0;
    [[nodiscard]] bool at_end() const { return bin == k_bins; }
  };

  void insert(const Entry& entry) {
    const std::size_t bin = bin_of(entry.size_bytes);
    Bin& entries = bins_[bin];
    entries.insert(entries.count_at_least(entry.size_bytes, entry.address), entry);
    words_[bin / 64] |= std::uint64_t{1} << bin % 64;
    summary_ |= std::uint64_t{1} << bin / 64;
  }

  /// Does nothing when the entry is not there.
  void erase(std::int64_t size_bytes, std::int64_t address) {
    if (const Place place = find(size_bytes, address); !place.at_end()) erase(place);
  }

  void erase(const Place& place) {
    Bin& entries = bins_[place.bin];
    entries.erase(place.index);
    std::uint64_t& word = words_[place.bin / 64];  // no branches: what comes next is random
    word &= ~(std::uint64_t{entries.size() == 0} << place.bin % 64);
    summary_ &= ~(std::uint64_t{word == 0} << place.bin / 64);
  }

  /// Puts `entry` in the place of another. A block that loses or gains a little mostly stays where
  /// it is.
  void replace(const Place& place, const Entry& entry) {
    if (bin_of(entry.size_bytes) != place.bin) {
      erase(place);
      insert(entry);
      return;
    }
    Bin& entries = bins_[place.bin];
    std::size_t at = place.index;
    for (; at > 0 && !entries[at - 1].at_least(entry.size_bytes, entry.address); --at) {
      entries[at] = entries[at - 1];
    }
    for (; at + 1 < entries.size() && entries[at + 1].at_least(entry.size_bytes, entry.address);
         ++at) {
      entries[at] = entries[at + 1];
    }
    entries[at] = entry;
  }

  /// Of the block of that size at that address; the end when it is not there.
  [[nodiscard]] Place find(std::int64_t size_bytes, std::int64_t address) const {
    const std::size_t bin = bin_of(size_bytes);
    const Bin& entries = bins_[bin];
    const std::size_t count = entries.count_at_least(size_bytes, address);
    if (count == 0) return {};
    const Entry& found = entries[count - 1];
    const bool same = found.size_bytes == size_bytes && found.address == address;
    return same ? Place{bin, count - 1} : Place{};
  }

  /// The smallest block of at least `size_bytes`, the lowest address among equals.
  [[nodiscard]] Place best_fit(std::int64_t size_bytes) const {
    const std::size_t bin = bin_of(size_bytes);
    const std::size_t count = bins_[bin].count_at_least(size_bytes, -1);
    return count > 0 ? Place{bin, count - 1} : first_from(bin + 1);
  }

  [[nodiscard]] const Entry& operator[](const Place& place) const {
    return bins_[place.bin][place.index];
  }
  [[nodiscard]] Place begin() const { return first_from(0); }
  [[nodiscard]] Place next(Place place) const {
    return place.index > 0 ? Place{place.bin, place.index - 1} : first_from(place.bin + 1);
  }
  /// The entry before `place`, which may be the end; the end when there is none.
  [[nodiscard]] Place previous(Place place) const {
    if (!place.at_end() && place.index + 1 < bins_[place.bin].size()) {
      return {place.bin, place.index + 1};
    }
    for (std::size_t bin = place.bin; bin-- > 0;) {
      if (bins_[bin].size() > 0) return {bin, 0};
    }
    return {};
  }
  [[nodiscard]] std::int64_t largest_bytes() const {
    const Place last = previous({});
    return last.at_end() ? 0 : (*this)[last].size_bytes;
  }

 private:
  static constexpr int k_unit_bits = 9;      // 512 bytes
  static constexpr int k_mantissa_bits = 5;  // 32 classes per power of two
  static constexpr std::size_t k_words = 32;
  static constexpr std::size_t k_bins = 64 * k_words;

  /// The blocks of one class, the largest first, then the highest address. Most come and go at the
  /// end, some come at the front: there is room at both.
  class Bin {
   public:
    [[nodiscard]] std::size_t size() const { return entries_.size() - first_; }
    [[nodiscard]] const Entry& operator[](std::size_t i) const { return entries_[first_ + i]; }
    [[nodiscard]] Entry& operator[](std::size_t i) { return entries_[first_ + i]; }

    /// How many entries are not below (size, address): those in front.
    [[nodiscard]] std::size_t count_at_least(std::int64_t size_bytes, std::int64_t address) const {
      const Entry* const begin = entries_.data() + first_;
      std::size_t count = size();
      const std::size_t least = count > k_near ? count - k_near : 0;
      while (count > least && !begin[count - 1].at_least(size_bytes, address)) --count;
      if (count > least || count == 0) return count;
      if (!begin[0].at_least(size_bytes, address)) return 0;
      const Entry* const place = std::partition_point(
          begin, begin + count, [=](const Entry& e) { return e.at_least(size_bytes, address); });
      return static_cast<std::size_t>(place - begin);
    }

    void insert(std::size_t at, const Entry& entry) {
      if (at + k_near < size() && at < size() / 2) {
        if (first_ == 0) make_room_in_front();
        --first_;
        shift(1, at + 1, -1);
      } else {
        entries_.push_back(entry);
        shift(at, size() - 1, 1);
      }
      (*this)[at] = entry;
    }

    void erase(std::size_t at) {
      shift(at + 1, size(), -1);
      entries_.pop_back();
    }

   private:
    static constexpr std::size_t k_near = 4;

    /// Moves entries [from, to) by one place. Most are few: a call of memmove would take longer.
    void shift(std::size_t from, std::size_t to, int by) {
      Entry* const e = entries_.data() + first_;
      if (to - from > k_near) {
        std::memmove(e + from + by, e + from, (to - from) * sizeof(Entry));
      } else if (by > 0) {
        for (std::size_t i = to; i > from; --i) e[i] = e[i - 1];
      } else {
        for (std::size_t i = from; i < to; ++i) e[i - 1] = e[i];
      }
    }

    void make_room_in_front() {
      first_ = size() + 1;
      entries_.insert(entries_.begin(), first_, Entry{});
    }

    std::vector<Entry> entries_;
    std::size_t first_ = 0;  // the entries before it are room
  };

  static std::size_t bin_of(std::int64_t size_bytes) {
    const auto units = static_cast<std::uint64_t>(size_bytes) >> k_unit_bits;
    const int above = static_cast<int>(std::bit_width(units | 1)) - 1 - k_mantissa_bits;
    const int shift = std::max(above, 0);
    return (static_cast<std::size_t>(shift) << k_mantissa_bits) + (units >> shift);
  }

  [[nodiscard]] Place first_from(std::size_t bin) const {
    const std::size_t found = next_bin(bin);
    return found == k_bins ? Place{} : Place{found, bins_[found].size() - 1};
  }

  /// First class from `bin` on that has blocks; k_bins when there is none.
  [[nodiscard]] std::size_t next_bin(std::size_t bin) const {
    if (bin >= k_bins) return k_bins;
    const std::size_t word = bin / 64;
    const std::uint64_t here = words_[word] & (~std::uint64_t{0} << bin % 64);
    if (here != 0) return 64 * word + static_cast<std::size_t>(std::countr_zero(here));
    const std::uint64_t rest = word + 1 < 64 ? summary_ & (~std::uint64_t{0} << (word + 1)) : 0;
    if (rest == 0) return k_bins;
    const auto found = static_cast<std::size_t>(std::countr_zero(rest));
    return 64 * found + static_cast<std::size_t>(std::countr_zero(words_[found]));
  }

  std::array<Bin, k_bins> bins_;
  std::array<std::uint64_t, k_words> words_{};
  std::uint64_t summary_ = 0;
};

}  // namespace tidemark
