#include "gui/stack_image.h"

#include <algorithm>
#include <cstdlib>

namespace tidemark {
namespace {

/// Bands thinner than this have no darker edge: nothing of their colour would be left.
constexpr int k_least_edged_px = 3;

/// First rows per band and column, as arrays over x: the inner loops run over one of them.
struct Tops {
  int width_px = 0;
  std::array<std::vector<int>, k_band_count> row;
  std::array<std::vector<int>, k_band_count> edge;  // row of the edge; -1 = none
  // Over all columns: above `highest` a band is nowhere, from `lowest` on it or a band below it is
  // everywhere.
  std::array<int, k_band_count> highest{};
  std::array<int, k_band_count> lowest{};
};

Tops tops_of(const StackScene& scene) {
  Tops tops;
  tops.width_px = static_cast<int>(scene.columns.size());
  for (auto& rows : tops.row) rows.resize(scene.columns.size());
  for (auto& rows : tops.edge) rows.resize(scene.columns.size());
  for (std::size_t x = 0; x < scene.columns.size(); ++x) {
    const auto column_tops = band_tops(scene.columns[x], scene.scale);
    int below = scene.scale.height_px;
    for (std::size_t k = 0; k < k_band_count; ++k) {
      const bool edged = below - column_tops[k] >= k_least_edged_px;
      tops.row[k][x] = column_tops[k];
      tops.edge[k][x] = edged ? column_tops[k] : -1;
      below = column_tops[k];
    }
  }
  for (std::size_t k = 0; k < k_band_count && tops.width_px > 0; ++k) {
    const auto [least, most] = std::minmax_element(tops.row[k].begin(), tops.row[k].end());
    tops.highest[k] = *least;
    tops.lowest[k] = *most;
  }
  return tops;
}

/// From the highest band down, each covers what lies below its first row. Compare and select over
/// whole rows without branches, so that the compiler makes vector code of it.
void fill_row(const Tops& tops, int y, Rgb* row) {
  std::size_t end = 0;  // bands from here on are covered or not there
  while (end < k_band_count && tops.lowest[end] > y) ++end;
  for (std::size_t band = std::min(end + 1, k_band_count); band-- > 0;) {
    if (tops.highest[band] > y) continue;
    const Rgb fill = band_colour(static_cast<Band>(band));
    const Rgb edge = edge_colour(static_cast<Band>(band));
    const int* first_row = tops.row[band].data();
    const int* edge_row = tops.edge[band].data();
    for (int x = 0; x < tops.width_px; ++x) {
      const Rgb inside = edge_row[x] == y ? edge : fill;
      row[x] = first_row[x] <= y ? inside : row[x];
    }
  }
}

void hatch_over_budget(const StackScene& scene, const Tops& tops, PixelImage& image) {
  const int budget_row = scene.scale.row_of(scene.budget_bytes);
  const std::vector<int>& top = tops.row.back();
  for (int y = 0; y < std::min(budget_row, image.height_px); ++y) {
    for (int x = 0; x < image.width_px; ++x) {
      const bool over = top[static_cast<std::size_t>(x)] <= y;
      if (over && (x + y) % 6 < 2) image.at(x, y) = scene.colours.over;
    }
  }
}

void mark_minimum(const StackScene& scene, const Tops& tops, PixelImage& image) {
  constexpr Rgb k_light = 0xFFFFFFFF;
  for (int x = 0; x < image.width_px; ++x) {
    const auto column = static_cast<std::size_t>(x);
    const int row = scene.scale.row_of(scene.columns[column].extremes.min_bytes);
    if (row - tops.row.back()[column] < 3 || row >= image.height_px) continue;
    image.at(x, row) = k_light;
  }
}

void fade_saved(const OverlayColumns& overlay, const StackScene& scene, const Tops& tops,
                PixelImage& image) {
  for (int x = 0; x < image.width_px; ++x) {
    const auto column = static_cast<std::size_t>(x);
    if (overlay.max_bytes[column] < 0) continue;
    const int end = std::min(scene.scale.row_of(overlay.max_bytes[column]), image.height_px);
    for (int y = std::max(tops.row.back()[column], 0); y < end; ++y) {
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

std::array<int, k_band_count> band_tops(const Column& column, const ByteScale& scale) {
  std::array<int, k_band_count> tops{};
  std::int64_t below_bytes = 0;
  for (std::size_t k = 0; k < k_band_count; ++k) {
    below_bytes += column.at_max[k];
    tops[k] = scale.row_of(below_bytes);
  }
  return tops;
}

std::optional<Band> band_at(const Column& column, const ByteScale& scale, int y) {
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
  const Tops tops = tops_of(scene);
  PixelImage image{.width_px = tops.width_px, .height_px = scene.scale.height_px, .pixels = {}};
  const auto width = static_cast<std::size_t>(image.width_px);
  image.pixels.assign(width * static_cast<std::size_t>(image.height_px), scene.colours.background);
  for (int y = 0; y < image.height_px; ++y) {
    fill_row(tops, y, image.pixels.data() + static_cast<std::size_t>(y) * width);
  }
  if (scene.show_minimum) mark_minimum(scene, tops, image);
  for (const OverlayColumns& overlay : scene.overlays) {
    if (overlay.fade_saved) fade_saved(overlay, scene, tops, image);
  }
  if (scene.budget_bytes >= 0) hatch_over_budget(scene, tops, image);
  draw_outlines(scene, image);
  return image;
}

}  // namespace tidemark
