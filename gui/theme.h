// One look everywhere: the Fusion style with a light, a dark or a high-contrast palette of our own.
#pragma once

#include <cstdint>

#include "gui/bands.h"

class QApplication;

namespace tidemark {

enum class Theme : std::uint8_t { light, dark, contrast };
inline constexpr std::size_t k_theme_count = 3;

/// What the desktop asks for: dark when its windows are dark.
[[nodiscard]] Theme system_theme();
void apply_theme(Theme theme);
[[nodiscard]] const CanvasColours& colours_of(Theme theme);

/// Fusion, and the names that are shown to the desktop. Call once, before the first window.
void set_up_application(QApplication& application);

}  // namespace tidemark
