#include "gui/treemap.h"

#include <algorithm>
#include <random>

#include "tests/catch.h"

using namespace tidemark;

TEST_CASE("areas are in proportion, lie within the room and do not overlap") {
  std::mt19937 random(2);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::int64_t> sizes(1 + random() % 40);
    for (auto& size : sizes) size = static_cast<std::int64_t>(random() % 5000);
    std::sort(sizes.rbegin(), sizes.rend());
    const Area room{10, 20, 50.0 + static_cast<double>(random() % 300),
                    30.0 + static_cast<double>(random() % 300)};
    double total = 0;
    for (const auto size : sizes) total += static_cast<double>(size);
    const auto areas = squarify(sizes, room);
    REQUIRE(areas.size() == sizes.size());
    for (std::size_t i = 0; i < areas.size(); ++i) {
      const Area& a = areas[i];
      if (total > 0) {
        const double share = static_cast<double>(sizes[i]) / total * room.width * room.height;
        REQUIRE(a.width * a.height == Approx(share).margin(0.01));
      }
      if (sizes[i] == 0) continue;
      REQUIRE(a.left >= room.left - 0.001);
      REQUIRE(a.top >= room.top - 0.001);
      REQUIRE(a.left + a.width <= room.left + room.width + 0.001);
      REQUIRE(a.top + a.height <= room.top + room.height + 0.001);
      for (std::size_t j = 0; j < i; ++j) {
        const Area& b = areas[j];
        const double wide = std::min(a.left + a.width, b.left + b.width) - std::max(a.left, b.left);
        const double high = std::min(a.top + a.height, b.top + b.height) - std::max(a.top, b.top);
        REQUIRE((wide < 0.001 || high < 0.001));
      }
    }
  }
}

TEST_CASE("equal sizes in a square room are squares") {
  const std::vector<std::int64_t> sizes(4, 7);
  for (const Area& a : squarify(sizes, {0, 0, 100, 100})) {
    CHECK(a.width == Approx(50));
    CHECK(a.height == Approx(50));
  }
}

TEST_CASE("nothing to show is nothing") {
  CHECK(squarify({}, {0, 0, 10, 10}).empty());
  const std::vector<std::int64_t> zeros(3, 0);
  CHECK(squarify(zeros, {0, 0, 10, 10}) == std::vector<Area>(3));
  const std::vector<std::int64_t> one(1, 5);
  CHECK(squarify(one, {0, 0, 0, 10}) == std::vector<Area>(1));
}
