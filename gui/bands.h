// The bands of the stacked area: which categories they show, in which order, in which colour.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "sim/timeline.h"
#include "traces/enums.h"

namespace tidemark {

/// From the bottom of the stack to its top, by rising variance: what never moves lies below, so
/// that the edge of every band shows its own changes and not those of a band beneath it.
enum class Band : std::uint8_t {
  weight,
  optimizer_state,
  kv_cache,
  gradient,
  activation,
  recomputed_activation,
  communication,
  workspace,
  temporary,
  input,
  overhead,  // allocator slack, framework, profiler
  unknown,
};
inline constexpr std::size_t k_band_count = 12;

using BandBytes = std::array<std::int64_t, k_band_count>;

[[nodiscard]] Band band_of(Category category);
[[nodiscard]] std::string_view to_string(Band band);

/// Sums the categories into bands; the total is unchanged.
[[nodiscard]] BandBytes by_band(const CategoryBytes& by_category);
[[nodiscard]] std::int64_t total_bytes(std::span<const std::int64_t> parts);

/// Opaque colour, 0xFFRRGGBB: the layout of QImage::Format_RGB32.
using Rgb = std::uint32_t;

/// Colours of one theme that the canvas needs. Bands have the same colours in both themes.
struct CanvasColours {
  Rgb background = 0;
  Rgb text = 0;
  Rgb faint_text = 0;  // axis labels; contrast at least 4.5:1
  Rgb grid = 0;
  Rgb card = 0;                   // background of cards over the canvas
  Rgb over = 0;                   // above the budget; always with a hatch
  std::array<Rgb, 3> overlays{};  // outlines of the runs that lie over the first, in turn
};

[[nodiscard]] const CanvasColours& light_colours();
[[nodiscard]] const CanvasColours& dark_colours();
[[nodiscard]] const CanvasColours& contrast_colours();

/// Okabe-Ito colours: at most eight hues; recomputed activations are a lighter activation; input,
/// overhead and unknown are greys.
[[nodiscard]] Rgb band_colour(Band band);

/// The one pixel at the upper edge of a band: its colour, darkened, so that neighbours are told
/// apart without colour as well.
[[nodiscard]] Rgb edge_colour(Band band);
[[nodiscard]] Rgb darkened(Rgb colour);

}  // namespace tidemark
