#include <map>
#include <random>

#include "gui/stack_image.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;
using test::run_of;

namespace {

StackScene scene_of(std::span<const PixelColumn> columns, std::int64_t top_bytes, int height_px) {
  return {.columns = columns,
          .scale = {.top_bytes = top_bytes, .height_px = height_px},
          .colours = light_colours(),
          .show_minimum = false,
          .overlays = {}};
}

/// A column with one activation of `bytes`.
PixelColumn plain_column(std::int64_t bytes) {
  PixelColumn column;
  column.at_max[static_cast<std::size_t>(Band::activation)] = bytes;
  column.extremes = {.max_bytes = bytes, .max_change = 0, .min_bytes = bytes};
  return column;
}

}  // namespace

TEST_CASE("the hit test names the band whose colour is painted there") {
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    const auto run = run_of(test::random_trace({.seed = seed, .change_count = 3000}));
    const auto columns = run->pyramid().columns({run->whole(Axis::time), 150}, Axis::time);
    const StackScene scene = scene_of(columns, run->timeline().run_peak.bytes * 11 / 10, 130);
    const PixelImage image = paint_stack(scene);
    for (int x = 0; x < image.width_px; ++x) {
      for (int y = 0; y < image.height_px; ++y) {
        const auto band = band_at(columns[static_cast<std::size_t>(x)], scene.scale, y);
        const Rgb painted = image.at(x, y);
        const bool fits = band ? painted == band_colour(*band) || painted == edge_colour(*band)
                               : painted == scene.colours.background;
        REQUIRE(fits);
      }
    }
  }
}

TEST_CASE("the painted height of a column is its total") {
  const std::vector<PixelColumn> columns = {plain_column(0), plain_column(50), plain_column(100)};
  const PixelImage image = paint_stack(scene_of(columns, 100, 40));
  const Rgb empty = light_colours().background;
  for (int y = 0; y < 40; ++y) {
    CHECK(image.at(0, y) == empty);
    CHECK((image.at(1, y) == empty) == (y < 20));
    CHECK(image.at(2, y) != empty);
  }
}

TEST_CASE("only what lies above the budget is hatched") {
  const std::vector<PixelColumn> columns(30, plain_column(100));
  StackScene scene = scene_of(columns, 100, 40);
  scene.budget_bytes = 50;
  const PixelImage image = paint_stack(scene);
  int over = 0;
  for (int y = 0; y < 40; ++y) {
    for (int x = 0; x < 30; ++x) {
      if (image.at(x, y) != scene.colours.over) continue;
      ++over;
      CHECK(y < 20);
    }
  }
  CHECK(over == 30 * 20 / 3);
}

TEST_CASE("an overlay has an outline at its height and fades what it saves") {
  const std::vector<PixelColumn> columns(32, plain_column(100));
  StackScene scene = scene_of(columns, 100, 40);
  scene.overlays.push_back({.max_bytes = std::vector<std::int64_t>(32, 50)});
  const PixelImage image = paint_stack(scene);
  for (int x = 0; x < 32; ++x) CHECK(image.at(x, 20) == scene.colours.overlays[0]);
  const Rgb fill = faded(band_colour(Band::activation), scene.colours.background);
  for (int y = 1; y < 18; ++y) {
    for (int x = 0; x < 32; ++x) CHECK(image.at(x, y) == fill);
  }
  for (int x = 0; x < 32; ++x) CHECK(image.at(x, 30) == band_colour(Band::activation));
}

TEST_CASE("an overlay that shows nothing in a column paints nothing there") {
  const std::vector<PixelColumn> columns(8, plain_column(100));
  StackScene scene = scene_of(columns, 100, 40);
  const PixelImage without = paint_stack(scene);
  scene.overlays.push_back({.max_bytes = std::vector<std::int64_t>(8, -1)});
  CHECK(paint_stack(scene).pixels == without.pixels);
}

TEST_CASE("the lowest total of a column is one light pixel") {
  std::vector<PixelColumn> columns(4, plain_column(100));
  columns[2].extremes.min_bytes = 25;
  StackScene scene = scene_of(columns, 100, 40);
  scene.show_minimum = true;
  const PixelImage image = paint_stack(scene);
  CHECK(image.at(2, 30) == 0xFFFFFFFF);
  CHECK(image.at(1, 30) == band_colour(Band::activation));
}
