#include "gui/stack_image.h"

#include <algorithm>
#include <cstdlib>

namespace tidemark {
namespace {

/// Bands thinner than this have no darker edge: nothing of their colour would be left.
constexpr int k_least_edged_px = 3;

/// From `row` of column `x` down to its next one a colour.
struct Start {
  int row = 0;
  int x = 0;
  Rgb colour = 0;
};

/// Calls `start` for the colours of column `x`; what lies above its highest band is background.
template <class Put>
void for_each_start(const std::array<int, k_band_count>& tops, int height_px, int x, Put put) {
  int below = height_px;
  for (std::size_t k = 0; k < k_band_count && below > 0; ++k) {
    if (tops[k] >= below) continue;
    const auto band = static_cast<Band>(k);
    const bool edged = below - tops[k] >= k_least_edged_px && tops[k] >= 0;
    if (edged) put(Start{tops[k], x, edge_colour(band)});
    put(Start{edged ? tops[k] + 1 : std::max(tops[k], 0), x, band_colour(band)});
    below = tops[k];
  }
}

/// The colours of all columns, by row.
class Starts {
 public:
  Starts(const StackScene& scene, std::vector<int>& top) {
    std::vector<Start> by_column;
    by_column.reserve(scene.columns.size() * 8);
    for (std::size_t x = 0; x < scene.columns.size(); ++x) {
      const auto tops = band_tops(scene.columns[x], scene.scale);
      top.push_back(tops.back());
      for_each_start(tops, scene.scale.height_px, static_cast<int>(x),
                     [&](const Start& start) { by_column.push_back(start); });
    }
    first_.assign(static_cast<std::size_t>(scene.scale.height_px) + 1, 0);
    for (const Start& start : by_column) ++first_[static_cast<std::size_t>(start.row) + 1];
    for (std::size_t row = 1; row < first_.size(); ++row) first_[row] += first_[row - 1];
    starts_.resize(by_column.size());
    std::vector<std::size_t> next(first_.begin(), first_.end() - 1);
    for (const Start& start : by_column) {
      starts_[next[static_cast<std::size_t>(start.row)]++] = start;
    }
  }

  [[nodiscard]] std::span<const Start> of_row(int row) const {
    const auto at = static_cast<std::size_t>(row);
    return std::span(starts_).subspan(first_[at], first_[at + 1] - first_[at]);
  }

 private:
  std::vector<std::size_t> first_;  // per row, and one past the last
  std::vector<Start> starts_;
};

/// Each row is the one above it but for the few columns in which a colour begins.
void fill_rows(const Starts& starts, Rgb background, PixelImage& image) {
  for (int y = 0; y < image.height_px; ++y) {
    Rgb* row = &image.at(0, y);
    if (y == 0) {
      std::fill_n(row, image.width_px, background);
    } else {
      std::copy_n(row - image.width_px, image.width_px, row);
    }
    for (const Start& start : starts.of_row(y)) row[start.x] = start.colour;
  }
}

/// `top`, here and below: the first row of the stack in each column.
void hatch_over_budget(const StackScene& scene, const std::vector<int>& top, PixelImage& image) {
  constexpr int k_period_px = 6;
  const int budget_row = scene.scale.row_of(scene.budget_bytes);
  for (int y = 0; y < std::min(budget_row, image.height_px); ++y) {
    for (int from = -(y % k_period_px); from < image.width_px; from += k_period_px) {
      for (int x = std::max(from, 0); x < std::min(from + 2, image.width_px); ++x) {
        if (top[static_cast<std::size_t>(x)] <= y) image.at(x, y) = scene.colours.over;
      }
    }
  }
}

void mark_minimum(const StackScene& scene, const std::vector<int>& top, PixelImage& image) {
  constexpr Rgb k_light = 0xFFFFFFFF;
  for (int x = 0; x < image.width_px; ++x) {
    const auto column = static_cast<std::size_t>(x);
    const int row = scene.scale.row_of(scene.columns[column].extremes.min_bytes);
    if (row - top[column] < 3 || row >= image.height_px) continue;
    image.at(x, row) = k_light;
  }
}

void fade_saved(const OverlayColumns& overlay, const StackScene& scene, const std::vector<int>& top,
                PixelImage& image) {
  for (int x = 0; x < image.width_px; ++x) {
    const auto column = static_cast<std::size_t>(x);
    if (overlay.max_bytes[column] < 0) continue;
    const int end = std::min(scene.scale.row_of(overlay.max_bytes[column]), image.height_px);
    for (int y = std::max(top[column], 0); y < end; ++y) {
      image.at(x, y) = faded(image.at(x, y), scene.colours.background);
    }
  }
}

/// Where the outline of an overlay goes, from the left to the right.
template <class Put>
void walk_outline(const OverlayColumns& overlay, const StackScene& scene, int reach_px, Put put) {
  int previous_row = -1;
  for (int x = 0; x < static_cast<int>(overlay.max_bytes.size()); ++x) {
    const std::int64_t bytes = overlay.max_bytes[static_cast<std::size_t>(x)];
    const int row = bytes < 0 ? -1 : scene.scale.row_of(bytes);
    if (row >= 0) {
      const int from = previous_row < 0 ? row : std::min(row, previous_row);
      const int to = previous_row < 0 ? row : std::max(row, previous_row);
      for (int y = from - reach_px; y <= to + 1 + reach_px; ++y) {
        for (int dx = -reach_px; dx <= 1 + reach_px; ++dx) put(x + dx, y);
      }
    }
    previous_row = row;
  }
}

/// Step lines two pixels thick with a contrasting pixel on either side, so that they stand out from
/// every band. A dashed line keeps that border in its gaps and so hangs together.
void draw_outlines(const StackScene& scene, PixelImage& image) {
  const auto inside = [&image](int x, int y) {
    return x >= 0 && x < image.width_px && y >= 0 && y < image.height_px;
  };
  for (const OverlayColumns& overlay : scene.overlays) {
    walk_outline(overlay, scene, 1, [&](int x, int y) {
      if (inside(x, y)) image.at(x, y) = scene.colours.background;
    });
  }
  for (std::size_t i = 0; i < scene.overlays.size(); ++i) {
    const OverlayColumns& overlay = scene.overlays[i];
    const Rgb colour = scene.colours.overlays[i % scene.colours.overlays.size()];
    walk_outline(overlay, scene, 0, [&](int x, int y) {
      const bool gap = overlay.dash_px > 0 && (x + y) / overlay.dash_px % 3 == 2;
      if (inside(x, y)) image.at(x, y) = gap ? scene.colours.background : colour;
    });
  }
}

}  // namespace

std::array<int, k_band_count> band_tops(const PixelColumn& column, const ByteScale& scale) {
  std::array<int, k_band_count> tops{};
  std::int64_t below_bytes = 0;
  for (std::size_t k = 0; k < k_band_count; ++k) {
    below_bytes += column.at_max[k];
    tops[k] = scale.row_of(below_bytes);
  }
  return tops;
}

std::optional<Band> band_at(const PixelColumn& column, const ByteScale& scale, int y) {
  const auto tops = band_tops(column, scale);
  for (std::size_t k = 0; k < k_band_count; ++k) {
    if (y >= tops[k] && y < scale.height_px) return static_cast<Band>(k);
  }
  return std::nullopt;
}

Rgb faded(Rgb colour, Rgb background) {
  // Without the lowest bit of each channel the sum carries into no other.
  return 0xFF000000U | (((colour & 0xFEFEFEU) >> 1) + ((background & 0xFEFEFEU) >> 1));
}

PixelImage paint_stack(const StackScene& scene) {
  PixelImage image{.width_px = static_cast<int>(scene.columns.size()),
                   .height_px = scene.scale.height_px,
                   .pixels = {}};
  image.pixels.resize(scene.columns.size() * static_cast<std::size_t>(image.height_px));
  if (image.pixels.empty()) return image;
  std::vector<int> top;
  top.reserve(scene.columns.size());
  const Starts starts(scene, top);
  fill_rows(starts, scene.colours.background, image);
  if (scene.show_minimum) mark_minimum(scene, top, image);
  for (const OverlayColumns& overlay : scene.overlays) {
    if (overlay.fade_saved) fade_saved(overlay, scene, top, image);
  }
  if (scene.budget_bytes >= 0) hatch_over_budget(scene, top, image);
  draw_outlines(scene, image);
  return image;
}

}  // namespace tidemark
