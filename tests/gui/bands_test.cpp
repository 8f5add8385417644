// The palette: neighbours in the stack can be told apart, also by people who see fewer colours.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "gui/bands.h"
#include "tests/catch.h"

using namespace tidemark;

namespace {

using Vector = std::array<double, 3>;

Vector linear_rgb(Rgb colour) {
  Vector rgb{};
  for (std::size_t i = 0; i < 3; ++i) {
    const double s = static_cast<double>((colour >> (16 - 8 * i)) & 0xFF) / 255;
    rgb[i] = s <= 0.04045 ? s / 12.92 : std::pow((s + 0.055) / 1.055, 2.4);
  }
  return rgb;
}

Vector times(const std::array<Vector, 3>& m, const Vector& v) {
  Vector out{};
  for (std::size_t i = 0; i < 3; ++i) {
    out[i] = std::inner_product(v.begin(), v.end(), m[i].begin(), 0.0);
  }
  return out;
}

/// Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB.
constexpr std::array<Vector, 3> k_normal = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
constexpr std::array<Vector, 3> k_protanopia = {{{0.152286, 1.052583, -0.204868},
                                                 {0.114503, 0.786281, 0.099216},
                                                 {-0.003882, -0.048116, 1.051998}}};
constexpr std::array<Vector, 3> k_deuteranopia = {{{0.367322, 0.860646, -0.227968},
                                                   {0.280085, 0.672501, 0.047413},
                                                   {-0.011820, 0.042940, 0.968881}}};

Vector lab(const Vector& rgb) {
  const Vector xyz = times({{{0.4124564, 0.3575761, 0.1804375},
                             {0.2126729, 0.7151522, 0.0721750},
                             {0.0193339, 0.1191920, 0.9503041}}},
                           rgb);
  const auto f = [](double t) {
    t = std::max(t, 0.0);
    return t > 0.008856 ? std::cbrt(t) : 7.787 * t + 16.0 / 116;
  };
  const double x = f(xyz[0] / 0.95047);
  const double y = f(xyz[1]);
  const double z = f(xyz[2] / 1.08883);
  return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

double delta_e(Rgb a, Rgb b, const std::array<Vector, 3>& sight) {
  const Vector p = lab(times(sight, linear_rgb(a)));
  const Vector q = lab(times(sight, linear_rgb(b)));
  return std::hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
}

double luminance(Rgb colour) {
  const Vector rgb = linear_rgb(colour);
  return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
}

double contrast(Rgb a, Rgb b) {
  const double x = luminance(a);
  const double y = luminance(b);
  return (std::max(x, y) + 0.05) / (std::min(x, y) + 0.05);
}

}  // namespace

TEST_CASE("every category has a band, and sums keep the total") {
  CategoryBytes bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::int64_t{1} << i;
  const BandBytes bands = by_band(bytes);
  CHECK(std::accumulate(bands.begin(), bands.end(), std::int64_t{0}) == total_bytes(bytes));
  CHECK(bands[static_cast<std::size_t>(Band::activation)] ==
        std::int64_t{1} << static_cast<int>(Category::activation));
  CHECK(std::count(bands.begin(), bands.end(), 0) == 0);
}

TEST_CASE("a band that holds one category has its name") {
  for (std::size_t c = 0; c < k_category_count; ++c) {
    const Band band = band_of(static_cast<Category>(c));
    if (band == Band::overhead) continue;
    CHECK(to_string(band) == to_string(static_cast<Category>(c)));
  }
}

TEST_CASE("neighbours in the stack differ under normal and dichromatic sight") {
  for (const auto& sight : {k_normal, k_protanopia, k_deuteranopia}) {
    for (std::size_t k = 0; k + 1 < k_band_count; ++k) {
      CAPTURE(to_string(static_cast<Band>(k)), to_string(static_cast<Band>(k + 1)));
      CHECK(delta_e(band_colour(static_cast<Band>(k)), band_colour(static_cast<Band>(k + 1)),
                    sight) > 20);
    }
  }
}

TEST_CASE("all band colours and their edges are distinct") {
  std::set<Rgb> colours;
  for (std::size_t k = 0; k < k_band_count; ++k) {
    colours.insert(band_colour(static_cast<Band>(k)));
    colours.insert(edge_colour(static_cast<Band>(k)));
  }
  CHECK(colours.size() == 2 * k_band_count);
}

TEST_CASE("runs that lie over the stack can be told apart and stand out from their border") {
  for (const CanvasColours& colours : {light_colours(), dark_colours(), contrast_colours()}) {
    for (std::size_t i = 0; i < colours.overlays.size(); ++i) {
      CAPTURE(i);
      CHECK(contrast(colours.overlays[i], colours.background) >= 4.5);
      const Rgb next = colours.overlays[(i + 1) % colours.overlays.size()];
      for (const auto& sight : {k_normal, k_protanopia, k_deuteranopia}) {
        CHECK(delta_e(colours.overlays[i], next, sight) > 20);
      }
    }
  }
}

TEST_CASE("text can be read in all themes") {
  for (const CanvasColours& colours : {light_colours(), dark_colours(), contrast_colours()}) {
    CHECK(contrast(colours.text, colours.background) >= 7);
    CHECK(contrast(colours.text, colours.card) >= 7);
    CHECK(contrast(colours.faint_text, colours.background) >= 4.5);
    CHECK(contrast(colours.over, colours.background) >= 4.5);
  }
}

TEST_CASE("edges stand out from their band and, in the light theme, from the background") {
  for (std::size_t k = 0; k < k_band_count; ++k) {
    const Band band = static_cast<Band>(k);
    CAPTURE(to_string(band));
    CHECK(contrast(edge_colour(band), band_colour(band)) >= 1.8);
    CHECK(contrast(edge_colour(band), light_colours().background) >= 3);
    CHECK(contrast(band_colour(band), dark_colours().background) >= 2.5);
  }
}
