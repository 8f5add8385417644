// The addresses of a placement at one instant: what is used, and the gaps between. A thin strip.
#pragma once

#include <QRect>
#include <span>
#include <string>

#include "gui/instant_report.h"

class QPainter;

namespace tidemark {

/// What address_parts() adds up to. Bytes that lie free below the highest end in use.
struct Fragmentation {
  std::int64_t used_bytes = 0;
  std::int64_t free_bytes = 0;
  std::int64_t largest_gap_bytes = 0;
  std::int64_t gap_count = 0;
  bool operator==(const Fragmentation&) const = default;
};
[[nodiscard]] Fragmentation fragmentation_of(std::span<const AddressPart> parts);

/// "1.0 GiB used, 200 MiB free in 7 gaps, the largest 96 MiB".
[[nodiscard]] std::string fragmentation_line(const Fragmentation& fragmentation);

/// Height of a strip with its line of text.
[[nodiscard]] int address_strip_height_px(const QPainter& painter);

/// Addresses from the left to the right, each buffer in the colour of its group; gaps are empty.
/// At least one pixel each, so that no buffer is lost.
void paint_address_strip(QPainter& painter, QRect box, std::span<const AddressPart> parts,
                         const ViewState& state, const CanvasColours& colours);

}  // namespace tidemark
