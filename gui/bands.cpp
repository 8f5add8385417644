#include "gui/bands.h"

#include <numeric>

namespace tidemark {
namespace {

constexpr std::array<std::string_view, k_band_count> k_band_names = {
    "weight",        "optimizer_state", "kv_cache",
    "gradient",      "activation",      "recomputed_activation",
    "communication", "workspace",       "temporary",
    "input",         "overhead",        "unknown"};

constexpr std::array<Rgb, k_band_count> k_band_colours = {
    0xFF0072B2,  // weight: blue
    0xFF009E73,  // optimizer state: green
    0xFFA0522D,  // key-value cache: brown
    0xFF56B4E9,  // gradient: sky blue
    0xFFE69F00,  // activation: orange
    0xFFFFD98A,  // recomputed activation: light orange
    0xFFCC79A7,  // communication: purple
    0xFFD55E00,  // workspace: vermilion
    0xFFF0E442,  // temporary: yellow
    0xFF5F5F5F,  // input: dark grey
    0xFFB8BCC2,  // overhead: light blue-grey
    0xFF86837C,  // unknown: grey
};

constexpr CanvasColours k_light = {.background = 0xFFFFFFFF,
                                   .text = 0xFF1A1A1A,
                                   .faint_text = 0xFF5A5A5A,
                                   .grid = 0xFFE2E2E2,
                                   .card = 0xFFF7F7F7,
                                   .over = 0xFFC40018,
                                   // navy, magenta, brown
                                   .overlays = {0xFF14148C, 0xFFB8007A, 0xFF5A3A00}};
constexpr CanvasColours k_dark = {.background = 0xFF17191C,
                                  .text = 0xFFEDEDED,
                                  .faint_text = 0xFFA8ADB3,
                                  .grid = 0xFF33373C,
                                  .card = 0xFF24272B,
                                  .over = 0xFFFF5A5A,
                                  // blue, pink, light green
                                  .overlays = {0xFF4DA3FF, 0xFFFF7FA8, 0xFFC8FF90}};

// Pure black and white, and nothing between them but lines.
constexpr CanvasColours k_contrast = {.background = 0xFF000000,
                                      .text = 0xFFFFFFFF,
                                      .faint_text = 0xFFFFFFFF,
                                      .grid = 0xFF8C8C8C,
                                      .card = 0xFF000000,
                                      .over = 0xFFFF6060,
                                      // blue, pink, light green
                                      .overlays = {0xFF4DA3FF, 0xFFFF7FA8, 0xFFC8FF90}};

}  // namespace

Band band_of(Category category) {
  switch (category) {
    case Category::weight:
      return Band::weight;
    case Category::optimizer_state:
      return Band::optimizer_state;
    case Category::kv_cache:
      return Band::kv_cache;
    case Category::gradient:
      return Band::gradient;
    case Category::activation:
      return Band::activation;
    case Category::recomputed_activation:
      return Band::recomputed_activation;
    case Category::communication:
      return Band::communication;
    case Category::workspace:
      return Band::workspace;
    case Category::temporary:
      return Band::temporary;
    case Category::input:
      return Band::input;
    case Category::allocator_slack:
    case Category::framework:
    case Category::profiler:
      return Band::overhead;
    case Category::unknown:
      return Band::unknown;
  }
  return Band::unknown;
}

std::string_view to_string(Band band) {
  return k_band_names[static_cast<std::size_t>(band)];
}

BandBytes by_band(const CategoryBytes& by_category) {
  BandBytes bands{};
  for (std::size_t c = 0; c < by_category.size(); ++c) {
    bands[static_cast<std::size_t>(band_of(static_cast<Category>(c)))] += by_category[c];
  }
  return bands;
}

std::int64_t total_bytes(std::span<const std::int64_t> parts) {
  return std::accumulate(parts.begin(), parts.end(), std::int64_t{0});
}

const CanvasColours& light_colours() {
  return k_light;
}
const CanvasColours& dark_colours() {
  return k_dark;
}

const CanvasColours& contrast_colours() {
  return k_contrast;
}

Rgb band_colour(Band band) {
  return k_band_colours[static_cast<std::size_t>(band)];
}

Rgb darkened(Rgb colour) {
  const auto channel = [colour](int shift) {
    return (((colour >> shift) & 0xFFU) * 9 / 20) << shift;
  };
  return 0xFF000000U | channel(16) | channel(8) | channel(0);
}

Rgb edge_colour(Band band) {
  return darkened(band_colour(band));
}

}  // namespace tidemark
