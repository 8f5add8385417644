#include "gui/theme.h"

#include <QApplication>
#include <QPalette>
#include <QStyle>
#include <QStyleFactory>

namespace tidemark {
namespace {

QPalette palette_of(Theme theme) {
  const CanvasColours& c = colours_of(theme);
  const QColor background = QColor::fromRgb(c.background);
  const QColor text = QColor::fromRgb(c.text);
  const QColor faint = QColor::fromRgb(c.faint_text);
  const QColor card = QColor::fromRgb(c.card);
  const QColor highlight = QColor::fromRgb(theme == Theme::light ? 0xFF0A64A4 : 0xFF2F7FB8);
  QPalette palette(text, card, background, QColor::fromRgb(c.grid), faint, text, background);
  palette.setColor(QPalette::Button, card);
  palette.setColor(QPalette::Window, card);
  palette.setColor(QPalette::AlternateBase, card);
  palette.setColor(QPalette::ToolTipBase, card);
  palette.setColor(QPalette::ToolTipText, text);
  palette.setColor(QPalette::PlaceholderText, faint);
  palette.setColor(QPalette::Highlight, highlight);
  palette.setColor(QPalette::HighlightedText, Qt::white);
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
  return theme == Theme::light ? light_colours() : dark_colours();
}

void set_up_application(QApplication& application) {
  QApplication::setStyle(QStyleFactory::create(QStringLiteral("Fusion")));
  application.setApplicationName(QStringLiteral("tidemark-view"));
  application.setApplicationDisplayName(QStringLiteral("Tidemark"));
}

}  // namespace tidemark
