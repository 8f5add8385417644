#include <random>

#include "gui/view_range.h"
#include "tests/catch.h"

using namespace tidemark;

TEST_CASE("every unit of a range lies in exactly the column that begins before it") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 300; ++i) {
    const auto begin = static_cast<std::int64_t>(random() % 1'000'000'000'000'000);
    const auto span =
        static_cast<std::int64_t>(random() % (i % 2 == 0 ? 5'000 : 90'000'000'000)) + 1;
    const ColumnScale scale{{begin, begin + span}, static_cast<int>(random() % 2000) + 1};
    REQUIRE(scale.column_begin(0) == begin);
    REQUIRE(scale.column_begin(scale.width_px) == begin + span);
    const auto position =
        begin + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(span));
    const int x = scale.column_of(position);
    REQUIRE(x >= 0);
    REQUIRE(x < scale.width_px);
    REQUIRE(scale.column_begin(x) <= position);
    REQUIRE(position < scale.column_begin(x + 1));
  }
}

TEST_CASE("pixel to time and back gives the same pixel when a pixel has a unit of its own") {
  const ColumnScale scale{{12'345, 12'345 + 7'777}, 640};
  for (int x = 0; x < scale.width_px; ++x) {
    CHECK(scale.column_of(scale.column_begin(x)) == x);
  }
}

TEST_CASE("positions outside the range lie outside the view") {
  const ColumnScale scale{{1000, 2000}, 100};
  CHECK(scale.column_of(999) < 0);
  CHECK(scale.column_of(2000) >= 100);
}

TEST_CASE("zoom keeps what is under the cursor there") {
  const ColumnScale scale{{0, 1'000'000}, 1000};
  for (const int at_px : {0, 250, 999}) {
    const std::int64_t under = scale.column_begin(at_px);
    const ColumnScale nearer{scale.zoomed(0.5, at_px), scale.width_px};
    CHECK(nearer.range.span() == 500'000);
    CHECK(nearer.column_of(under) == at_px);
  }
  const ColumnScale back{ColumnScale{scale.zoomed(0.25, 300), 1000}.zoomed(4, 300), 1000};
  CHECK(back.range == scale.range);
}

TEST_CASE("panning moves content with the hand") {
  const ColumnScale scale{{5000, 6000}, 100};
  CHECK(scale.panned(10) == ViewRange{4900, 5900});
  CHECK(scale.panned(-10) == ViewRange{5100, 6100});
}

TEST_CASE("a clamped range lies within its limits and keeps its span when it can") {
  const ViewRange limits{100, 1100};
  CHECK(clamped({-50, 150}, limits) == ViewRange{100, 300});
  CHECK(clamped({1000, 1400}, limits) == ViewRange{700, 1100});
  CHECK(clamped({-500, 5000}, limits) == limits);
  CHECK(clamped({500, 501}, limits) == ViewRange{500, 500 + k_least_span});
  CHECK(clamped({0, 90}, {0, 5}) == ViewRange{0, 5});
}

TEST_CASE("rows grow downward from the top of the byte scale") {
  const ByteScale scale{.top_bytes = 1000, .height_px = 100};
  CHECK(scale.row_of(0) == 100);
  CHECK(scale.row_of(1000) == 0);
  CHECK(scale.row_of(500) == 50);
  for (int y = 0; y < 100; ++y) CHECK(scale.row_of(scale.bytes_at(y)) == y + 1);
}

TEST_CASE("a byte scale does not overflow at petabytes") {
  const ByteScale scale{.top_bytes = std::int64_t{1} << 55, .height_px = 4000};
  CHECK(scale.row_of(std::int64_t{1} << 54) == 2000);
  CHECK(scale.bytes_at(3999) == 0);
}

TEST_CASE("ticks are round numbers not closer than asked") {
  CHECK(tick_step(1) == 1);
  CHECK(tick_step(3) == 5);
  CHECK(tick_step(51) == 100);
  CHECK(tick_step(200) == 200);
  CHECK(byte_tick_step(3) == 5);
  CHECK(byte_tick_step(1500) == 2 * 1024);
  CHECK(byte_tick_step(30 << 20) == 50 << 20);
}
