#include "gui/lane_widget.h"

#include <QApplication>
#include <QMouseEvent>
#include <QPainter>
#include <QWheelEvent>
#include <algorithm>
#include <span>

#include "gui/labels.h"
#include "sim/units.h"

namespace tidemark {
namespace {

constexpr int k_op_lane_px = 18;
constexpr int k_level_lane_px = 30;
constexpr int k_gap_px = 3;
constexpr int k_least_named_px = 13;
constexpr int k_all_ranks_px = 90;  // many ranks share this room
constexpr std::size_t k_most_ranks = 16;

QString text_of(const std::string& text) {
  return QString::fromStdString(text);
}

/// Phases in the order of a step, told apart by lightness, and their names stand in the boxes.
QColor phase_colour(Phase phase) {
  switch (phase) {
    case Phase::forward:
      return QColor::fromRgb(0xFF9CC9E8);
    case Phase::backward:
      return QColor::fromRgb(0xFFF0C878);
    case Phase::optimizer:
      return QColor::fromRgb(0xFF8FD0B8);
    case Phase::init:
      return QColor::fromRgb(0xFFC9C9C9);
    default:
      return QColor::fromRgb(0xFFD9B3CC);
  }
}

void paint_name(QPainter& painter, QRect room, const QString& name, const CanvasColours& colours) {
  painter.setPen(to_colour(colours.faint_text));
  painter.drawText(room, Qt::AlignRight | Qt::AlignVCenter,
                   painter.fontMetrics().elidedText(name, Qt::ElideMiddle, room.width()));
}

void paint_card(QPainter& painter, QPoint at, QRect within, const QString& text,
                const CanvasColours& colours) {
  if (text.isEmpty()) return;
  const QFontMetrics metrics = painter.fontMetrics();
  QRect card(at + QPoint(14, 8), QSize(metrics.horizontalAdvance(text) + 12, metrics.height() + 4));
  if (card.right() > within.right()) card.moveRight(std::max(at.x() - 8, card.width()));
  if (card.bottom() > within.bottom()) card.moveBottom(within.bottom());
  if (card.left() < within.left()) card.moveLeft(within.left());
  painter.fillRect(card, to_colour(colours.card));
  painter.setPen(to_colour(colours.text));
  painter.drawRect(card.adjusted(0, 0, -1, -1));
  painter.drawText(card, Qt::AlignCenter, text);
}

}  // namespace

LaneWidget::LaneWidget(TimelineWidget& timeline, QWidget* parent)
    : QWidget(parent), timeline_(timeline) {
  setObjectName(QStringLiteral("lanes"));
  setAccessibleName(QStringLiteral("Ops and memory beside the stack"));
  setMouseTracking(true);
  setAttribute(Qt::WA_OpaquePaintEvent);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  const auto follow = [this] {
    refresh();
    update();
  };
  connect(&timeline, &TimelineWidget::range_changed, this, follow);
  connect(&timeline, &TimelineWidget::mode_changed, this, follow);
}

int LaneWidget::canvas_width() const {
  return std::max(width() - k_left_margin_px - k_right_margin_px, 1);
}

void LaneWidget::add(Lane lane, int height_px) {
  lane.top_px =
      lanes_.empty() ? k_gap_px : lanes_.back().top_px + lanes_.back().height_px + k_gap_px;
  lane.height_px = height_px;
  lanes_.push_back(std::move(lane));
}

/// Which lanes there are follows from the runs alone.
void LaneWidget::refresh() {
  const ViewState& state = timeline_.state();
  std::vector<RunPtr> shown = {state.run};
  for (const Overlay& other : state.others) shown.push_back(other.run);
  if (shown == shown_) return;
  shown_ = std::move(shown);
  lanes_.clear();
  updateGeometry();
  if (!state.run) return;
  const Run& run = *state.run;
  streams_ = spans_by_stream(run.trace(), run.timeline().spans);
  for (const StreamSpans& spans : streams_) {
    const auto row = static_cast<std::size_t>(spans.stream());
    Lane lane;
    lane.name = row < run.trace().streams.size() ? text_of(lane_name(run.trace().streams[row]))
                                                 : QStringLiteral("ops");
    lane.spans = &spans;
    add(std::move(lane), k_op_lane_px);
  }
  const auto add_level = [&](const char* name, const char* about,
                             const std::vector<LevelPoint>& points) {
    if (points.empty()) return;
    Lane lane;
    lane.kind = Lane::Kind::level;
    lane.name = QString::fromLatin1(name);
    lane.about = QString::fromLatin1(about);
    lane.points = &points;
    for (const LevelPoint& point : points) lane.most_bytes = std::max(lane.most_bytes, point.bytes);
    add(std::move(lane), k_level_lane_px);
  };
  add_level("reserved", "reserved", run.timeline().reserved);
  add_level("host", "host memory", run.timeline().host);
  transfers_ = transfers_of(run.trace(), run.timeline().spans);
  add_level("bytes", "on the way to the host", transfers_.to_host);
  add_level("bytes", "on the way to the device", transfers_.to_device);
  refresh_ranks();
}

/// Their heights compare.
void LaneWidget::refresh_ranks() {
  const ViewState& state = timeline_.state();
  const std::vector<std::ptrdiff_t> ranks = ranks_of(state);
  std::int64_t most_bytes = 0;
  for (const std::ptrdiff_t rank : ranks) {
    const Run& run = rank < 0 ? *state.run : *state.others[static_cast<std::size_t>(rank)].run;
    most_bytes = std::max(most_bytes, run.timeline().peak.bytes);
  }
  const std::size_t shown = std::min(ranks.size(), k_most_ranks);
  const int height_px = std::clamp(k_all_ranks_px / std::max(static_cast<int>(shown), 1),
                                   k_least_named_px, k_level_lane_px);
  for (const std::ptrdiff_t rank : std::span(ranks).first(shown)) {
    const Run& run = rank < 0 ? *state.run : *state.others[static_cast<std::size_t>(rank)].run;
    Lane lane;
    lane.kind = Lane::Kind::rank;
    lane.name = QStringLiteral("rank %1").arg(run.trace().meta.rank);
    lane.about = QStringLiteral("peak %1").arg(text_of(format_bytes(run.timeline().peak.bytes)));
    lane.rank = rank;
    lane.most_bytes = most_bytes;
    add(std::move(lane), height_px);
  }
  if (shown < ranks.size()) {
    lanes_.back().about +=
        QStringLiteral("; %1 more ranks are not shown").arg(ranks.size() - shown);
  }
}

QSize LaneWidget::sizeHint() const {
  const int bottom_px =
      lanes_.empty() ? 0 : lanes_.back().top_px + lanes_.back().height_px + k_gap_px;
  return {400, bottom_px};
}

void LaneWidget::paint_ops(QPainter& painter, const Lane& lane) const {
  const Trace& trace = timeline_.state().run->trace();
  const QFontMetrics metrics = painter.fontMetrics();
  const QColor edge = to_colour(timeline_.colours().faint_text);
  for (const OpBox& box : lane.boxes) {
    const QRect room(k_left_margin_px + box.begin_px, lane.top_px, box.end_px - box.begin_px,
                     lane.height_px);
    painter.fillRect(room, phase_colour(trace[box.op].phase));
    if (room.width() > 3) {
      painter.setPen(edge);
      painter.drawLine(room.topLeft(), room.bottomLeft());
    }
    if (room.width() < 30 || box.count > 1) continue;
    painter.setPen(Qt::black);
    painter.drawText(
        room.adjusted(4, 0, -2, 0), Qt::AlignLeft | Qt::AlignVCenter,
        metrics.elidedText(text_of(trace[box.op].name), Qt::ElideMiddle, room.width() - 6));
  }
}

void LaneWidget::paint_level(QPainter& painter, const Lane& lane) const {
  const ByteScale scale{std::max<std::int64_t>(lane.most_bytes, 1), lane.height_px};
  const QColor fill = to_colour(band_colour(Band::overhead));
  for (std::size_t x = 0; x < lane.levels.size(); ++x) {
    const int row = scale.row_of(lane.levels[x]);
    if (row >= lane.height_px) continue;
    painter.fillRect(k_left_margin_px + static_cast<int>(x), lane.top_px + row, 1,
                     lane.height_px - row, fill);
  }
  const QString text =
      lane.kind == Lane::Kind::rank
          ? lane.about
          : QStringLiteral("%1, up to %2").arg(lane.about, text_of(format_bytes(lane.most_bytes)));
  // On a card: the bytes behind it may be of any lightness.
  const QFontMetrics metrics = painter.fontMetrics();
  const QRect card(k_left_margin_px + 2, lane.top_px, metrics.horizontalAdvance(text) + 6,
                   std::min(metrics.height(), lane.height_px));
  painter.fillRect(card, to_colour(timeline_.colours().card));
  painter.setPen(to_colour(timeline_.colours().text));
  painter.drawText(card, Qt::AlignCenter, text);
}

void LaneWidget::paintEvent(QPaintEvent*) {
  const ViewState& state = timeline_.state();
  const CanvasColours& colours = timeline_.colours();
  QPainter painter(this);
  painter.fillRect(rect(), to_colour(colours.background));
  if (!state.run) return;
  const ColumnScale scale{state.range, canvas_width()};
  for (Lane& lane : lanes_) {
    paint_name(painter, QRect(2, lane.top_px, k_left_margin_px - 11, lane.height_px), lane.name,
               colours);
    painter.fillRect(QRect(k_left_margin_px, lane.top_px, canvas_width(), lane.height_px),
                     to_colour(colours.card));
    if (lane.kind == Lane::Kind::ops) {
      lane.boxes = op_boxes(*state.run, *lane.spans, scale, state.axis);
      paint_ops(painter, lane);
    } else if (lane.kind == Lane::Kind::rank) {
      lane.levels = rank_columns(state, lane.rank, scale);
      paint_level(painter, lane);
    } else {
      lane.levels = level_columns(*state.run, *lane.points, scale, state.axis);
      paint_level(painter, lane);
    }
  }
  if (cursor_) paint_card(painter, *cursor_, rect(), text_at(*cursor_), colours);
}

QString LaneWidget::text_at(QPoint position) const {
  const int x = position.x() - k_left_margin_px;
  if (x < 0 || x >= canvas_width() || !timeline_.state().run) return {};
  for (const Lane& lane : lanes_) {
    if (position.y() < lane.top_px || position.y() >= lane.top_px + lane.height_px) continue;
    if (lane.kind != Lane::Kind::ops) {
      if (static_cast<std::size_t>(x) >= lane.levels.size()) return {};
      const std::int64_t bytes = lane.levels[static_cast<std::size_t>(x)];
      if (bytes < 0) return {};
      return QStringLiteral("%1 %2").arg(lane.kind == Lane::Kind::rank ? lane.name : lane.about,
                                         text_of(format_bytes(bytes)));
    }
    for (const OpBox& box : lane.boxes) {
      if (x < box.begin_px || x >= box.end_px) continue;
      const Op& op = timeline_.state().run->trace()[box.op];
      const QString name = QStringLiteral("%1 (%2)").arg(
          text_of(op.name), QString::fromLatin1(to_string(op.phase).data()));
      return box.count == 1 ? name : QStringLiteral("%1 and %2 more").arg(name).arg(box.count - 1);
    }
  }
  return {};
}

void LaneWidget::mouseMoveEvent(QMouseEvent* event) {
  cursor_ = event->position().toPoint();
  update();
}

void LaneWidget::leaveEvent(QEvent*) {
  cursor_.reset();
  update();
}

void LaneWidget::wheelEvent(QWheelEvent* event) {
  QApplication::sendEvent(&timeline_, event);  // the margins are the same, so is the cursor
}

LifetimeWidget::LifetimeWidget(TimelineWidget& timeline, QWidget* parent)
    : QWidget(parent), timeline_(timeline) {
  setObjectName(QStringLiteral("lifetimes"));
  setAccessibleName(QStringLiteral("Lives of single buffers"));
  setMouseTracking(true);
  setAttribute(Qt::WA_OpaquePaintEvent);
  setMinimumHeight(60);
  connect(&timeline, &TimelineWidget::range_changed, this, qOverload<>(&QWidget::update));
  connect(&timeline, &TimelineWidget::mode_changed, this, qOverload<>(&QWidget::update));
}

void LifetimeWidget::set_order(LifeOrder order) {
  query_.order = order;
  update();
}

void LifetimeWidget::set_name_part(const QString& part) {
  query_.name_part = part.toStdString();
  update();
}

QRect LifetimeWidget::canvas() const {
  return {k_left_margin_px, 2, std::max(width() - k_left_margin_px - k_right_margin_px, 1),
          std::max(height() - 4, 1)};
}

QRect LifetimeWidget::box_of(std::size_t row) const {
  const LifeBar& bar = bars_[row];
  const QRect room = canvas();
  const int left = room.left() + bar.begin_px;
  const int width_px = std::max(bar.end_px - bar.begin_px, 1);
  if (query_.order == LifeOrder::address) {
    const ByteScale scale{top_bytes_, room.height()};
    const int top = scale.row_of(bar.offset_bytes + bar.bytes);
    const int bottom = scale.row_of(bar.offset_bytes);
    return {left, room.top() + top, width_px, std::max(bottom - top, 1)};
  }
  const int row_px = std::clamp(room.height() / std::max(static_cast<int>(bars_.size()), 1), 4, 17);
  return {left, room.top() + static_cast<int>(row) * row_px, width_px, row_px - 1};
}

const LifeBar* LifetimeWidget::bar_at(QPoint position) const {
  for (std::size_t row = 0; row < bars_.size(); ++row) {
    if (box_of(row).contains(position)) return &bars_[row];
  }
  return nullptr;
}

void LifetimeWidget::paint_bar(QPainter& painter, const LifeBar& bar, QRect box) const {
  const ViewState& state = timeline_.state();
  const Band band = static_cast<Band>(stack_of(state).grouping.of_buffer[bar.buffer.index()]);
  const QColor fill = to_colour(band_colour(band));
  painter.fillRect(box, fill);
  if (bar.idle_end_px > bar.idle_begin_px && box.height() > 3) {  // idle: hatched
    const QRect idle(canvas().left() + bar.idle_begin_px, box.top(),
                     bar.idle_end_px - bar.idle_begin_px, box.height());
    painter.fillRect(idle, to_colour(faded(band_colour(band), timeline_.colours().background)));
    painter.fillRect(idle, QBrush(to_colour(edge_colour(band)), Qt::BDiagPattern));
  }
  if (box.height() > 3) {
    painter.setPen(to_colour(edge_colour(band)));
    for (const int x : bar.uses_px) {
      painter.drawLine(canvas().left() + x, box.top(), canvas().left() + x, box.bottom());
    }
  }
  if (box.width() > 2 && box.height() > 2) {
    painter.setPen(to_colour(edge_colour(band)));
    painter.drawRect(box.adjusted(0, 0, -1, -1));
  }
  if (box.height() < painter.fontMetrics().height() - 2 || box.width() < 50) return;
  const QString name = text_of(state.run->trace()[bar.buffer].name);
  const QString shown = painter.fontMetrics().elidedText(name, Qt::ElideMiddle, box.width() - 8);
  const QRect label(box.left() + 4, box.top(), painter.fontMetrics().horizontalAdvance(shown) + 2,
                    box.height());
  painter.fillRect(label, fill);
  painter.setPen(qGray(fill.rgb()) > 105 ? Qt::black : Qt::white);
  painter.drawText(label, Qt::AlignLeft | Qt::AlignVCenter, shown);
}

void LifetimeWidget::paintEvent(QPaintEvent*) {
  const ViewState& state = timeline_.state();
  const CanvasColours& colours = timeline_.colours();
  QPainter painter(this);
  painter.fillRect(rect(), to_colour(colours.background));
  bars_.clear();
  if (!state.run) return;
  const bool by_address = query_.order == LifeOrder::address;
  query_.limit = by_address ? 5000 : static_cast<std::size_t>(std::max(canvas().height() / 4, 1));
  bars_ = life_bars(*state.run, {state.range, canvas().width()}, state.axis, query_);
  QFont font = painter.font();
  font.setPointSizeF(font.pointSizeF() * 0.85);
  painter.setFont(font);
  top_bytes_ = 1;
  for (const LifeBar& bar : bars_) top_bytes_ = std::max(top_bytes_, bar.offset_bytes + bar.bytes);
  for (std::size_t row = 0; row < bars_.size(); ++row) paint_bar(painter, bars_[row], box_of(row));
  if (by_address && !bars_.empty()) {
    for (const Tick& tick : byte_ticks({top_bytes_, canvas().height()}, 40)) {
      paint_name(painter, QRect(0, canvas().top() + tick.at_px - 9, k_left_margin_px - 8, 18),
                 text_of(tick.text), colours);
    }
  }
  if (bars_.empty()) {
    painter.setPen(to_colour(colours.faint_text));
    painter.drawText(canvas(), Qt::AlignCenter,
                     too_many_lives(*state.run, state.range, state.axis)
                         ? QStringLiteral("Too many lives to be told apart: zoom in")
                     : by_address ? QStringLiteral("No buffer has an address here: only planned "
                                                   "and packed traces place them")
                                  : QStringLiteral("Nothing is alive here"));
  }
  const LifeBar* under = cursor_ ? bar_at(*cursor_) : nullptr;
  if (under == nullptr) return;
  const Trace& trace = state.run->trace();
  QString text = QStringLiteral("%1  %2").arg(text_of(trace[under->buffer].name),
                                              text_of(format_bytes(under->bytes)));
  if (by_address) {
    text += QStringLiteral(" at %1").arg(text_of(format_bytes(under->offset_bytes)));
  }
  paint_card(painter, *cursor_, rect(), text, colours);
}

void LifetimeWidget::mouseMoveEvent(QMouseEvent* event) {
  cursor_ = event->position().toPoint();
  update();
}

void LifetimeWidget::mousePressEvent(QMouseEvent* event) {
  if (const LifeBar* bar = bar_at(event->position().toPoint())) {
    emit buffer_clicked(bar->buffer, bar->alloc_change);
  }
}

void LifetimeWidget::leaveEvent(QEvent*) {
  cursor_.reset();
  update();
}

void LifetimeWidget::wheelEvent(QWheelEvent* event) {
  QApplication::sendEvent(&timeline_, event);
}

}  // namespace tidemark
