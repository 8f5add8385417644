#include "gui/timeline_paint.h"

#include <QPainter>
#include <QPainterPath>
#include <algorithm>
#include <cmath>
#include <map>

#include "gui/gallop.h"
#include "gui/labels.h"
#include "sim/run_state.h"
#include "sim/units.h"

namespace tidemark {
namespace {

QString text_of(const std::string& text) {
  return QString::fromStdString(text);
}

QFont small_font(const QPainter& painter) {
  QFont font = painter.font();
  font.setPointSizeF(font.pointSizeF() * 0.92);
  return font;
}

const char* brief_name(Phase phase) {
  switch (phase) {
    case Phase::forward:
      return "fwd";
    case Phase::backward:
      return "bwd";
    case Phase::optimizer:
      return "opt";
    default:
      return to_string(phase).data();
  }
}

void paint_byte_axis(QPainter& painter, const TimelinePicture& p) {
  for (const Tick& tick : byte_ticks(p.bytes, 46)) {
    const int y = p.canvas.top() + tick.at_px;
    painter.setPen(to_colour(p.colours.grid));
    painter.drawLine(p.canvas.left() - 5, y, p.canvas.left() - 1, y);
    painter.setPen(to_colour(p.colours.faint_text));
    painter.drawText(QRect(0, y - 9, p.canvas.left() - 9, 18), Qt::AlignRight | Qt::AlignVCenter,
                     text_of(tick.text));
  }
}

/// Grid lines only where nothing is painted: above the stack.
void paint_grid(QPainter& painter, const TimelinePicture& p) {
  painter.setPen(to_colour(p.colours.grid));
  std::vector<int> top;
  top.reserve(p.columns.size());
  for (const PixelColumn& column : p.columns)
    top.push_back(p.bytes.row_of(column.extremes.max_bytes));
  for (const Tick& tick : byte_ticks(p.bytes, 46)) {
    int from = 0;
    const auto covered = [&](int x) { return top[static_cast<std::size_t>(x)] <= tick.at_px; };
    for (int x = 0; x <= p.canvas.width(); ++x) {
      if (x < p.canvas.width() && !covered(x)) continue;
      if (x > from) {
        painter.drawLine(p.canvas.left() + from, p.canvas.top() + tick.at_px,
                         p.canvas.left() + x - 1, p.canvas.top() + tick.at_px);
      }
      from = x + 1;
    }
  }
}

void paint_time_axis(QPainter& painter, const TimelinePicture& p) {
  const int y = p.canvas.bottom() + 1 + k_phase_lane_px;
  for (const Tick& tick : axis_ticks(p.scale(), p.state.axis, zero_of(p.state), 110)) {
    const int x = p.canvas.left() + tick.at_px;
    painter.setPen(to_colour(p.colours.faint_text));
    painter.drawLine(x, y, x, y + 4);
    const QString text = text_of(tick.text);
    const int width_px = painter.fontMetrics().horizontalAdvance(text) + 2;
    const int last_px = p.canvas.right() + k_right_margin_px - width_px;
    painter.drawText(QRect(std::min(x - width_px / 2, last_px), y + 5, width_px, 18),
                     Qt::AlignCenter, text);
  }
  painter.drawText(
      QRect(0, y + 5, p.canvas.left() - 12, 18), Qt::AlignLeft | Qt::AlignVCenter,
      p.state.axis == Axis::time ? QStringLiteral("  time") : QStringLiteral("  events"));
}

/// What a span may be named by, best first: within itself, or before itself with an arrow to it.
struct PhaseNames {
  struct Name {
    QString text;
    int width_px = 0;
    bool before = false;
  };
  std::vector<Name> names;

  PhaseNames(Phase phase, const QFontMetrics& metrics) {
    const QString arrow = QStringLiteral(" ▸");
    for (const bool before : {false, true}) {
      for (const char* name : {to_string(phase).data(), brief_name(phase)}) {
        const QString text = QString::fromLatin1(name) + (before ? arrow : QString());
        names.push_back({text, metrics.horizontalAdvance(text), before});
      }
    }
  }
};

/// Names stand at the left of their span. A span too narrow for its name has it before itself, in
/// what its neighbour leaves free.
void paint_phases(QPainter& painter, const TimelinePicture& p) {
  if (p.state.run->trace().ops.empty()) return;
  const int y = p.canvas.bottom() + 2;
  painter.setFont(small_font(painter));
  std::map<Phase, PhaseNames> names;  // of a text its width takes long, and there are many spans
  constexpr int k_pad_px = 5;
  int free_from_px = p.canvas.left();
  for (const PhaseSpan& span : phase_spans(*p.state.run, p.scale(), p.state.axis)) {
    const QRect box(p.canvas.left() + span.begin_px, y, span.end_px - span.begin_px,
                    k_phase_lane_px - 3);
    const bool odd = static_cast<int>(span.phase) % 2 == 1;
    painter.fillRect(box, to_colour(odd ? p.colours.grid : p.colours.card));
    painter.setPen(to_colour(p.colours.grid));
    painter.drawLine(box.topLeft(), box.bottomLeft());
    painter.setPen(to_colour(p.colours.faint_text));
    const auto known =
        names.try_emplace(span.phase, span.phase, QFontMetrics(painter.font())).first;
    for (const auto& [text, width_px, before] : known->second.names) {
      const int x = before ? box.left() - width_px - 2 : box.left() + k_pad_px;
      if (before ? x < free_from_px + k_pad_px : width_px + 2 * k_pad_px > box.width()) continue;
      painter.drawText(QRect(x, y, width_px + 1, box.height()), Qt::AlignLeft | Qt::AlignVCenter,
                       text);
      free_from_px = x + width_px;
      break;
    }
    free_from_px = std::max(free_from_px, box.left());
  }
}

/// Of many steps every 50th, 100th and so on, each with its name: lines of all would be a veil over
/// the stack.
std::int64_t step_stride(const TimelinePicture& p, std::int64_t count) {
  constexpr double k_least_px = 8;
  constexpr double k_named_px = 70;
  const auto begin = [&](std::int64_t row) {
    return p.state.run->step(static_cast<std::size_t>(row), p.state.axis).begin;
  };
  const double mean_span = static_cast<double>(begin(count - 1) - begin(0)) /
                           static_cast<double>(std::max<std::int64_t>(count - 1, 1));
  const double step_px = mean_span * p.canvas.width() /
                         static_cast<double>(std::max<std::int64_t>(p.state.range.span(), 1));
  if (count < 2 || step_px >= k_least_px) return 1;
  return tick_step(static_cast<std::int64_t>(std::ceil(k_named_px / std::max(step_px, 1e-9))));
}

void paint_steps(QPainter& painter, const TimelinePicture& p) {
  const auto count = static_cast<std::int64_t>(p.state.run->timeline().step_begin_ns.size());
  if (count == 0) return;
  const auto column_of_step = [&](std::int64_t row) {
    return p.scale().column_of(
        p.state.run->step(static_cast<std::size_t>(row), p.state.axis).begin);
  };
  const std::int64_t stride = step_stride(p, count);
  const auto first =
      static_cast<std::int64_t>(gallop(0, static_cast<std::size_t>(count), 1, [&](std::size_t row) {
        return column_of_step(static_cast<std::int64_t>(row)) >= 0;  // not left of the view
      }));
  const QFontMetrics metrics = painter.fontMetrics();
  int last_px = -1000;
  painter.setPen(QPen(to_colour(p.colours.faint_text), 1, Qt::DotLine));
  for (std::int64_t row = (first + stride - 1) / stride * stride; row < count; row += stride) {
    const int x = column_of_step(row);
    if (x >= p.canvas.width()) break;
    const int at = p.canvas.left() + x;
    painter.drawLine(at, p.canvas.top() - 4, at, p.canvas.bottom());
    const QString name = QStringLiteral("step %1").arg(row);
    const int width_px = metrics.horizontalAdvance(name);
    const bool fits = x + 4 + width_px <= p.canvas.width() + k_right_margin_px;
    if (!fits || x - last_px < width_px + 14) continue;
    last_px = x;
    painter.drawText(at + 4, p.canvas.top() - 7, name);
  }
}

void paint_band_labels(QPainter& painter, const TimelinePicture& p) {
  painter.setFont(small_font(painter));
  const QFontMetrics metrics = painter.fontMetrics();
  const std::vector<std::string>& names = stack_of(p.state).grouping.names;
  for (std::size_t k = 0; k < names.size(); ++k) {
    const Band band = static_cast<Band>(k);
    const QString name = text_of(spoken(names[k]));
    const LabelSize size{metrics.horizontalAdvance(name) + 8, metrics.height()};
    const auto place = place_label(p.columns, p.bytes, band, size, p.lines);
    if (!place) continue;
    const QColor fill = to_colour(band_colour(band));
    painter.setPen(qGray(fill.rgb()) > 105 ? Qt::black : Qt::white);
    const QRect box(p.canvas.left() + place->x - size.width_px / 2,
                    p.canvas.top() + place->y - size.height_px / 2, size.width_px, size.height_px);
    if (!p.lines.empty()) painter.fillRect(box, fill);  // over hatch and fading
    painter.drawText(box, Qt::AlignCenter, name);
  }
}

/// Texts on small cards over the canvas. A card goes to the first of the places that are offered
/// where it covers no other.
class Tags {
 public:
  Tags(QPainter& painter, const TimelinePicture& picture) : painter_(painter), p_(picture) {}

  void keep_clear(QRect box) { taken_.push_back(box); }

  /// `places`: upper left corners, best first.
  void paint(const QString& text, const std::vector<QPoint>& places) {
    const QSize size = size_of(text);
    const auto is_free = [this](const QRect& box) {
      return std::none_of(taken_.begin(), taken_.end(), [&box](const QRect& other) {
        return other.intersects(box.adjusted(-2, -2, 2, 2));
      });
    };
    QRect chosen = inside({places.front(), size});
    for (const QPoint& place : places) {
      if (is_free(chosen)) break;
      chosen = inside({place, size});
    }
    taken_.push_back(chosen);
    painter_.fillRect(chosen, to_colour(p_.colours.card));
    painter_.setPen(to_colour(p_.colours.faint_text));
    painter_.drawRect(chosen);
    painter_.setPen(to_colour(p_.colours.text));
    painter_.drawText(chosen, Qt::AlignCenter, text);
  }

  [[nodiscard]] QSize size_of(const QString& text) const {
    const QFontMetrics metrics = painter_.fontMetrics();
    return {metrics.horizontalAdvance(text) + 12, metrics.height() + 4};
  }

 private:
  /// Moved into the canvas.
  [[nodiscard]] QRect inside(QRect box) const {
    if (box.right() > p_.canvas.right() - 2) box.moveRight(p_.canvas.right() - 2);
    if (box.left() < p_.canvas.left() + 2) box.moveLeft(p_.canvas.left() + 2);
    if (box.bottom() > p_.canvas.bottom() - 2) box.moveBottom(p_.canvas.bottom() - 2);
    if (box.top() < p_.canvas.top() + 2) box.moveTop(p_.canvas.top() + 2);
    return box;
  }

  QPainter& painter_;
  const TimelinePicture& p_;
  std::vector<QRect> taken_;
};

void paint_budget_line(QPainter& painter, const TimelinePicture& p) {
  const std::int64_t budget_bytes = budget_line_of(p.state);
  const int row = budget_bytes < 0 ? -1 : p.bytes.row_of(budget_bytes);
  if (row < 0) return;
  painter.setPen(QPen(to_colour(p.colours.over), 2, Qt::DashLine));
  painter.drawLine(p.canvas.left(), p.canvas.top() + row, p.canvas.right(), p.canvas.top() + row);
}

/// Where the triangle of a peak stands; nothing when that is not in view.
std::optional<QPoint> peak_tip(const TimelinePicture& p, const Run& run, std::int64_t position) {
  const int x = p.scale().column_of(position);
  if (x < 0 || x >= p.canvas.width() || run.timeline().peak.change < 0) return std::nullopt;
  return p.canvas.topLeft() + QPoint(x, p.bytes.row_of(run.timeline().peak.bytes) - 1);
}

QRect paint_triangle(QPainter& painter, const TimelinePicture& p, QPoint tip, Rgb colour) {
  const QPolygon triangle({tip, tip + QPoint(-6, -10), tip + QPoint(6, -10)});
  painter.setPen(QPen(to_colour(p.colours.background), 1));
  painter.setBrush(to_colour(colour));
  painter.drawPolygon(triangle);
  painter.setBrush(Qt::NoBrush);
  return triangle.boundingRect();
}

void paint_peak_tag(Tags& tags, const TimelinePicture& p, QPoint tip) {
  const Run& run = *p.state.run;
  const std::int64_t zero_ns = p.state.one_step ? run.steady_step(Axis::time).begin : 0;
  const bool cut_short = ending_shortage(run.trace()) != nullptr;
  const QString text = QStringLiteral("peak%1 %2 at %3")
                           .arg(cut_short ? QStringLiteral(" so far") : QString(),
                                text_of(format_bytes(run.timeline().peak.bytes)),
                                text_of(format_time_ns(run.timeline().peak.time_ns - zero_ns)));
  const QSize size = tags.size_of(text);
  tags.paint(text, {tip + QPoint(10, -size.height() - 4),
                    tip + QPoint(-10 - size.width(), -size.height() - 4), tip + QPoint(10, 6),
                    tip + QPoint(-10 - size.width(), 6),
                    tip + QPoint(-size.width() / 2, -14 - size.height())});
}

void paint_marks(QPainter& painter, const TimelinePicture& p) {
  Tags tags(painter, p);
  paint_budget_line(painter, p);
  for (std::size_t i = 0; i < p.state.others.size() && !p.state.every_step; ++i) {
    const auto tip = peak_tip(p, *p.state.others[i].run, peak_position(p.state, p.state.others[i]));
    const Rgb colour = p.colours.overlays[i % p.colours.overlays.size()];
    if (tip) tags.keep_clear(paint_triangle(painter, p, *tip, colour));
  }
  const auto tip = peak_tip(p, *p.state.run, peak_position(*p.state.run, p.state.axis));
  if (!tip) return;
  tags.keep_clear(paint_triangle(painter, p, *tip, p.colours.text));
  paint_peak_tag(tags, p, *tip);
}

void paint_selection(QPainter& painter, const TimelinePicture& p) {
  if (!p.state.selection) return;
  const ColumnScale scale = p.scale();
  const int from = std::clamp(scale.column_of(p.state.selection->begin), 0, p.canvas.width());
  const int to = std::clamp(scale.column_of(p.state.selection->end), 0, p.canvas.width());
  const QRect box(p.canvas.left() + from, p.canvas.top(), std::max(to - from, 1),
                  p.canvas.height());
  QColor veil = to_colour(p.colours.text);
  veil.setAlpha(38);
  painter.fillRect(box, veil);
  painter.setPen(QPen(to_colour(p.colours.text), 1));
  painter.drawLine(box.topLeft(), box.bottomLeft());
  painter.drawLine(box.topRight(), box.bottomRight());
}

/// Small flags at the upper edge.
void paint_bookmarks(QPainter& painter, const TimelinePicture& p) {
  for (const Bookmark& bookmark : p.state.bookmarks) {
    const std::int64_t change = p.state.run->of_whole(bookmark.change);
    if (change < 0 || change >= p.state.run->pyramid().change_count()) continue;
    const int x = p.scale().column_of(p.state.run->pyramid().position_of(change, p.state.axis));
    if (x < 0 || x >= p.canvas.width()) continue;
    const QPoint top = p.canvas.topLeft() + QPoint(x, 0);
    painter.setPen(QPen(to_colour(p.colours.text), 1));
    painter.drawLine(top, top + QPoint(0, 16));
    painter.setBrush(to_colour(p.colours.overlays[0]));
    painter.drawPolygon(QPolygon({top, top + QPoint(9, 4), top + QPoint(0, 8)}));
    painter.setBrush(Qt::NoBrush);
  }
}

void paint_pin(QPainter& painter, const TimelinePicture& p) {
  if (!p.state.pinned) return;
  const Instant& pinned = *p.state.pinned;
  const std::int64_t at = p.state.axis == Axis::time ? pinned.time_ns : pinned.change;
  const int x = p.scale().column_of(at);
  if (x < 0 || x >= p.canvas.width()) return;
  const QPoint top = p.canvas.topLeft() + QPoint(x, 0);
  painter.setPen(QPen(to_colour(p.colours.text), 1));
  painter.drawLine(top.x(), p.canvas.top(), top.x(), p.canvas.bottom());
  painter.setBrush(to_colour(p.colours.text));
  painter.drawEllipse(top + QPoint(0, 0), 4, 4);
  painter.setBrush(Qt::NoBrush);
}

void paint_cursor(QPainter& painter, const TimelinePicture& p) {
  if (!p.cursor || !p.canvas.contains(*p.cursor)) return;
  painter.setPen(QPen(to_colour(p.colours.text), 1, Qt::DotLine));
  painter.drawLine(p.cursor->x(), p.canvas.top(), p.cursor->x(), p.canvas.bottom());
  painter.drawLine(p.canvas.left(), p.cursor->y(), p.canvas.right(), p.cursor->y());
  const std::int64_t bytes = p.bytes.bytes_at(p.cursor->y() - p.canvas.top());
  const QRect box(2, p.cursor->y() - 9, p.canvas.left() - 6, 18);
  painter.fillRect(box, to_colour(p.colours.card));
  painter.setPen(to_colour(p.colours.text));
  painter.drawText(box, Qt::AlignRight | Qt::AlignVCenter, text_of(format_bytes(bytes)));
}

}  // namespace

void paint_timeline(QPainter& painter, const TimelinePicture& p) {
  const QFont font = painter.font();
  painter.drawImage(p.canvas.topLeft(), p.stack);
  paint_byte_axis(painter, p);
  painter.setPen(p.frame);
  painter.drawRect(p.canvas.adjusted(-1, -1, 0, 0));
  if (!p.state.run) return;
  paint_grid(painter, p);
  paint_time_axis(painter, p);
  paint_steps(painter, p);
  paint_phases(painter, p);
  paint_band_labels(painter, p);
  painter.setFont(font);
  paint_selection(painter, p);
  paint_marks(painter, p);
  paint_bookmarks(painter, p);
  paint_pin(painter, p);
  paint_cursor(painter, p);
}

}  // namespace tidemark
