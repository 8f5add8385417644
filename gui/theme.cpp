#include "gui/theme.h"

#include <QApplication>
#include <QPalette>
#include <QStyle>
#include <QStyleFactory>
#include <array>

namespace tidemark {
namespace {

QPalette palette_of(Theme theme) {
  const CanvasColours& c = colours_of(theme);
  const QColor background = QColor::fromRgb(c.background);
  const QColor text = QColor::fromRgb(c.text);
  const QColor faint = QColor::fromRgb(c.faint_text);
  const QColor card = QColor::fromRgb(c.card);
  static constexpr std::array<QRgb, k_theme_count> k_highlights = {0xFF0A64A4, 0xFF2F7FB8,
                                                                   0xFFFFFF00};
  const QColor highlight = QColor::fromRgb(k_highlights[static_cast<std::size_t>(theme)]);
  QPalette palette(text, card, background, QColor::fromRgb(c.grid), faint, text, background);
  palette.setColor(QPalette::Button, card);
  palette.setColor(QPalette::Window, card);
  palette.setColor(QPalette::AlternateBase, card);
  palette.setColor(QPalette::ToolTipBase, card);
  palette.setColor(QPalette::ToolTipText, text);
  palette.setColor(QPalette::PlaceholderText, faint);
  palette.setColor(QPalette::Highlight, highlight);
  palette.setColor(QPalette::HighlightedText, theme == Theme::contrast ? Qt::black : Qt::white);
  palette.setColor(QPalette::Link, highlight);
  for (const QPalette::ColorRole role :
       {QPalette::Text, QPalette::ButtonText, QPalette::WindowText}) {
    palette.setColor(QPalette::Disabled, role, faint);
  }
  return palette;
}

}  // namespace

Theme system_theme() {
  return QApplication::palette().color(QPalette::Window).lightness() < 128 ? Theme::dark
                                                                           : Theme::light;
}

void apply_theme(Theme theme) {
  QApplication::setPalette(palette_of(theme));
}

const CanvasColours& colours_of(Theme theme) {
  switch (theme) {
    case Theme::light:
      return light_colours();
    case Theme::dark:
      return dark_colours();
    case Theme::contrast:
      break;
  }
  return contrast_colours();
}

void set_up_application(QApplication& application) {
  QApplication::setStyle(QStyleFactory::create(QStringLiteral("Fusion")));
  application.setApplicationName(QStringLiteral("tidemark-view"));
  application.setApplicationDisplayName(QStringLiteral("Tidemark"));
}

}  // namespace tidemark
