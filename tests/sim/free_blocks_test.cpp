// The set of free blocks against an ordered set, operation by operation.
#include "sim/free_blocks.h"

#include <random>
#include <set>
#include <utility>

#include "../catch.h"

namespace tidemark {
namespace {

using Key = std::pair<std::int64_t, std::int64_t>;  // size, address

/// Sizes that meet: multiples of 512, few large ones, and odd ones.
std::int64_t some_size(std::mt19937_64& random) {
  switch (random() % 4) {
    case 0:
      return 512 * static_cast<std::int64_t>(1 + random() % 80);
    case 1:
      return (std::int64_t{1} << 20) * static_cast<std::int64_t>(1 + random() % 3);
    case 2:
      return static_cast<std::int64_t>(1 + random() % 5000);
    default:
      return static_cast<std::int64_t>(random() % (std::uint64_t{1} << 42));
  }
}

class Both {
 public:
  explicit Both(std::uint64_t seed) : random_(seed) {}

  void step() {
    const std::uint64_t what = random_() % 8;
    if (what < 3 || known_.empty()) {
      add({some_size(random_), next_address_ += 512});
    } else if (what == 3) {
      remove(any());
    } else if (what == 4) {
      change(any());
    } else {
      look(some_size(random_));
    }
    CHECK(free_.largest_bytes() == (known_.empty() ? 0 : known_.rbegin()->first));
  }

  void compare_order() {
    FreeBlocks::Place place = free_.begin();
    for (const Key& key : known_) {
      REQUIRE(!place.at_end());
      REQUIRE(key_at(place) == key);
      place = free_.next(place);
    }
    REQUIRE(place.at_end());
    for (auto key = known_.rbegin(); key != known_.rend(); ++key) {
      place = free_.previous(place);
      REQUIRE(key_at(place) == *key);
    }
    if (!known_.empty()) REQUIRE(free_.previous(place).at_end());
  }

 private:
  [[nodiscard]] Key key_at(const FreeBlocks::Place& place) const {
    return {free_[place].size_bytes, free_[place].address};
  }
  Key any() {
    auto key = known_.begin();
    std::advance(key, static_cast<std::ptrdiff_t>(random_() % known_.size()));
    return *key;
  }
  void add(const Key& key) {
    known_.insert(key);
    free_.insert({key.first, key.second, static_cast<std::int32_t>(key.second / 512)});
  }
  void remove(const Key& key) {
    known_.erase(key);
    free_.erase(key.first, key.second);
    REQUIRE(free_.find(key.first, key.second).at_end());
    free_.erase(key.first, key.second);  // not there any more: nothing happens
  }
  void change(const Key& from) {
    const bool little = random_() % 2 == 0;
    const Key to{little ? from.first + 512 : some_size(random_), next_address_ += 512};
    known_.erase(from);
    known_.insert(to);
    const FreeBlocks::Place place = free_.find(from.first, from.second);
    REQUIRE(!place.at_end());
    free_.replace(place, {to.first, to.second, static_cast<std::int32_t>(to.second / 512)});
  }
  void look(std::int64_t size) {
    const FreeBlocks::Place place = free_.best_fit(size);
    const auto expected = known_.lower_bound({size, -1});
    REQUIRE(place.at_end() == (expected == known_.end()));
    if (place.at_end()) return;
    REQUIRE(key_at(place) == *expected);
    REQUIRE(free_[place].block == expected->second / 512);
  }

  std::mt19937_64 random_;
  FreeBlocks free_;
  std::set<Key> known_;
  std::int64_t next_address_ = 0;
};

TEST_CASE("free blocks: every operation is that of an ordered set") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Both both(seed);
    for (int i = 0; i < 1500; ++i) both.step();
    both.compare_order();
  }
}

}  // namespace
}  // namespace tidemark
