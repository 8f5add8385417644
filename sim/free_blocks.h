// The free blocks of one stream in one pool, ordered by (size, address): an ordered set for the few
// operations that an allocator needs, without an allocation per operation.
//
// Sizes fall into classes: exact in units of 512 bytes up to 32 KiB, then 32 classes per power of
// two. A bitmap of two levels finds the next class that has blocks; within a class the blocks are a
// short array, the largest first: what is wanted most, the smallest, goes from the end.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
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
    std::vector<Entry>& entries = bins_[bin];
    if (entries.size() <= k_short) {
      entries.push_back(entry);
      std::size_t at = entries.size() - 1;
      for (; at > 0 && !entries[at - 1].at_least(entry.size_bytes, entry.address); --at) {
        entries[at] = entries[at - 1];
      }
      entries[at] = entry;
    } else {
      const std::size_t at = count_at_least(entries, entry.size_bytes, entry.address);
      entries.insert(entries.begin() + static_cast<std::ptrdiff_t>(at), entry);
    }
    words_[bin / 64] |= std::uint64_t{1} << bin % 64;
    summary_ |= std::uint64_t{1} << bin / 64;
  }

  /// Does nothing when the entry is not there.
  void erase(std::int64_t size_bytes, std::int64_t address) {
    const std::size_t bin = bin_of(size_bytes);
    const std::size_t count = count_at_least(bins_[bin], size_bytes, address);
    if (count > 0) erase(Place{bin, count - 1});
  }

  void erase(const Place& place) {
    std::vector<Entry>& entries = bins_[place.bin];
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(place.index));
    if (!entries.empty()) return;
    words_[place.bin / 64] &= ~(std::uint64_t{1} << place.bin % 64);
    if (words_[place.bin / 64] == 0) summary_ &= ~(std::uint64_t{1} << place.bin / 64);
  }

  /// The smallest block of at least `size_bytes`, the lowest address among equals.
  [[nodiscard]] Place best_fit(std::int64_t size_bytes) const {
    const std::size_t bin = bin_of(size_bytes);
    const std::size_t count = count_at_least(bins_[bin], size_bytes, -1);
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
      if (!bins_[bin].empty()) return {bin, 0};
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
  static constexpr std::size_t k_short = 8;

  static std::size_t bin_of(std::int64_t size_bytes) {
    const auto units = static_cast<std::uint64_t>(size_bytes) >> k_unit_bits;
    if (units < std::uint64_t{2} << k_mantissa_bits) return units;
    const int shift = static_cast<int>(std::bit_width(units)) - 1 - k_mantissa_bits;
    return (static_cast<std::size_t>(shift) << k_mantissa_bits) + (units >> shift);
  }

  /// How many entries are not below (size, address): those in front.
  static std::size_t count_at_least(const std::vector<Entry>& entries, std::int64_t size,
                                    std::int64_t address) {
    if (entries.size() <= k_short) {
      std::size_t count = entries.size();
      while (count > 0 && !entries[count - 1].at_least(size, address)) --count;
      return count;
    }
    const auto place =
        std::partition_point(entries.begin(), entries.end(),
                             [size, address](const Entry& e) { return e.at_least(size, address); });
    return static_cast<std::size_t>(place - entries.begin());
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

  std::array<std::vector<Entry>, k_bins> bins_;
  std::array<std::uint64_t, k_words> words_{};
  std::uint64_t summary_ = 0;
};

}  // namespace tidemark
