#include "gui/timeline_widget.h"

#include <QPainter>
#include <QTimer>
#include <algorithm>
#include <utility>

#include "gui/filter.h"

namespace tidemark {

TimelineWidget::TimelineWidget(QWidget* parent) : QWidget(parent), colours_(&light_colours()) {
  setObjectName(QStringLiteral("timeline"));
  setAccessibleName(QStringLiteral("Memory over time"));
  setAccessibleDescription(
      QStringLiteral("Bytes by category, stacked, over time. Press F1 for the keys."));
  setFocusPolicy(Qt::StrongFocus);
  setMouseTracking(true);
  setAttribute(Qt::WA_OpaquePaintEvent);
  setMinimumSize(240, 100);
  setCursor(Qt::CrossCursor);
  constexpr int k_settled_ms = 400;  // a view that stands so long is worth going back to
  settled_ = new QTimer(this);
  settled_->setSingleShot(true);
  settled_->setInterval(k_settled_ms);
  connect(settled_, &QTimer::timeout, this, &TimelineWidget::remember_view);
}

void TimelineWidget::remember_view() {
  settled_->stop();
  if (state_.run) history_.visit({state_.axis, state_.one_step, state_.range});
}

void TimelineWidget::go_back(bool forward) {
  if (settled_->isActive()) remember_view();
  const auto place = history_.step(forward);
  if (!place) return;
  change_mode(place->axis, place->one_step);
  set_range(place->range);
  settled_->stop();
}

void TimelineWidget::renew_run(RunPtr run) {
  const bool all_shown = !state_.run || state_.range == limits_of(state_);
  const std::vector<Overlay> others = std::exchange(state_.others, {});
  state_.run = part_of(run, state_.filter);
  for (const Overlay& other : others) lay_over(state_, whole_of(other.run));
  const std::int64_t count = state_.run->pyramid().change_count();
  if (state_.pinned && state_.pinned->change >= count) state_.pinned.reset();
  state_.range = all_shown ? limits_of(state_) : clamped(state_.range, limits_of(state_));
  set_budget(state_.budget_bytes);
  emit mode_changed();
}

void TimelineWidget::set_bookmarks(std::vector<Bookmark> bookmarks) {
  state_.bookmarks = std::move(bookmarks);
  update();
  emit bookmarks_changed();
}

void TimelineWidget::set_run(RunPtr run) {
  const std::int64_t budget_bytes = state_.budget_bytes;
  const StackBy by = state_.group_by;
  state_ = ViewState{};
  state_.group_by = by;
  state_.run = std::move(run);
  state_.range = limits_of(state_);
  history_.clear();
  remember_view();
  set_budget(budget_bytes);
  emit mode_changed();
  emit pin_changed();
  emit selection_changed();
}

void TimelineWidget::add_other(RunPtr other) {
  if (!state_.run) return;
  const bool all_shown = state_.range == limits_of(state_);
  lay_over(state_, std::move(other));
  if (all_shown) state_.range = limits_of(state_);
  outdate();
}

void TimelineWidget::replace_other(const RunPtr& old, RunPtr other) {
  if (!state_.run) return;
  const bool all_shown = state_.range == limits_of(state_);
  replace_overlay(state_, old, std::move(other));
  state_.range = all_shown ? limits_of(state_) : clamped(state_.range, limits_of(state_));
  outdate();
}

void TimelineWidget::set_budget(std::int64_t budget_bytes) {
  state_.budget_bytes = budget_bytes;
  over_ = state_.run ? over_budget(*whole_of(state_.run), budget_bytes) : OverBudget{};
  outdate();
}

void TimelineWidget::set_group_by(StackBy by) {
  if (by == state_.group_by) return;
  state_.group_by = by;
  outdate();
  emit mode_changed();
}

void TimelineWidget::set_filter(Filter filter) {
  if (filter == state_.filter) return;
  tidemark::set_filter(state_, std::move(filter));
  outdate();
  emit mode_changed();
  emit pin_changed();
  emit selection_changed();
}

void TimelineWidget::set_axis(Axis axis) {
  change_mode(axis, state_.one_step);
}
void TimelineWidget::set_one_step(bool one_step) {
  change_mode(state_.axis, one_step);
}

void TimelineWidget::set_every_step(bool every_step) {
  if (every_step) set_one_step(true);
  if (every_step == state_.every_step) return;
  state_.every_step = every_step;
  state_.range = clamped(state_.range, limits_of(state_));
  outdate();
  emit mode_changed();
}

void TimelineWidget::change_mode(Axis axis, bool one_step) {
  if (axis == state_.axis && one_step == state_.one_step) return;
  // Another axis shows the same changes; another kind of view shows all that it has.
  const bool all_shown = state_.range == limits_of(state_) || one_step != state_.one_step;
  ViewRange range = state_.range;
  if (state_.run) range = range_on(*state_.run, range, state_.axis, axis);
  state_.axis = axis;
  state_.one_step = one_step;
  state_.every_step = state_.every_step && one_step;
  state_.selection.reset();
  state_.range = all_shown ? limits_of(state_) : clamped(range, limits_of(state_));
  settled_->start();
  outdate();
  emit mode_changed();
  emit selection_changed();
}

void TimelineWidget::set_colours(const CanvasColours& colours) {
  colours_ = &colours;
  outdate();
}

void TimelineWidget::set_range(ViewRange range) {
  const ViewRange cut = clamped(range, limits_of(state_));
  if (cut == state_.range) return;
  state_.range = cut;
  settled_->start();
  outdate();
}

void TimelineWidget::select(std::optional<ViewRange> selection) {
  state_.selection = selection;
  update();
  emit selection_changed();
}

void TimelineWidget::pin_change(std::int64_t change) {
  state_.pinned.reset();
  if (state_.run && change >= 0) {
    state_.pinned = instant_of_change(*state_.run, change);
    const std::int64_t at = state_.run->pyramid().position_of(change, state_.axis);
    set_range(revealing(state_.range, at, limits_of(state_)));
  }
  update();
  emit pin_changed();
  emit focus_changed();
}

QRect TimelineWidget::canvas() const {
  const int top = legend_.height_px + k_top_margin_px;
  return {k_left_margin_px, top, std::max(width() - k_left_margin_px - k_right_margin_px, 1),
          std::max(height() - top - k_bottom_margin_px, 1)};
}

ByteScale TimelineWidget::byte_scale() const {
  return {.top_bytes = top_bytes_of(state_), .height_px = canvas().height()};
}

const std::vector<PixelColumn>& TimelineWidget::columns() {
  refresh();
  return columns_;
}

void TimelineWidget::outdate() {
  outdated_ = true;
  legend_ = lay_out(legend_of(state_, over_), fontMetrics(),
                    width() - k_left_margin_px - k_right_margin_px);
  update();
  emit range_changed();
  emit focus_changed();
}

void TimelineWidget::refresh() {
  if (!outdated_) return;
  outdated_ = false;
  columns_ = columns_of(state_, scale());
  StackScene scene{.columns = columns_,
                   .scale = byte_scale(),
                   .colours = *colours_,
                   .budget_bytes = budget_line_of(state_),
                   .overlays = overlays_of(state_, scale())};
  lines_.clear();
  for (const OverlayColumns& overlay : scene.overlays) {
    std::vector<int>& rows = lines_.emplace_back();
    for (const std::int64_t bytes : overlay.max_bytes) {
      rows.push_back(bytes < 0 ? -1 : scene.scale.row_of(bytes));
    }
  }
  if (scene.budget_bytes >= 0) {
    lines_.emplace_back(columns_.size(), scene.scale.row_of(scene.budget_bytes));
  }
  pixels_ = paint_stack(scene);
}

std::optional<TimelineWidget::Focus> TimelineWidget::focus() {
  if (!state_.run) return std::nullopt;
  if (cursor_ && canvas().contains(*cursor_)) {
    refresh();
    const int x = column_under(*cursor_);
    const PixelColumn& column = columns_[static_cast<std::size_t>(x)];
    return Focus{.title = "Under the cursor",
                 .instant = instant_of_column(state_, column, scale().column_begin(x)),
                 .band = band_at(column, byte_scale(), cursor_->y() - canvas().top())};
  }
  return Focus{
      .title = state_.pinned ? "Pinned" : "At the peak", .instant = *instant(), .band = {}};
}

std::optional<Instant> TimelineWidget::instant() const {
  if (!state_.run) return std::nullopt;
  if (state_.pinned) return state_.pinned;
  return instant_of_change(*state_.run, state_.run->timeline().peak.change);
}

void TimelineWidget::paintEvent(QPaintEvent*) {
  refresh();
  QPainter painter(this);
  for (const QRect& beside : QRegion(rect()).subtracted(canvas())) {
    painter.fillRect(beside, to_colour(colours_->background));
  }
  const QImage stack(reinterpret_cast<const uchar*>(pixels_.pixels.data()), pixels_.width_px,
                     pixels_.height_px, pixels_.width_px * static_cast<int>(sizeof(Rgb)),
                     QImage::Format_RGB32);
  paint_timeline(painter, {.state = state_,
                           .colours = *colours_,
                           .canvas = canvas(),
                           .columns = columns_,
                           .stack = stack,
                           .bytes = byte_scale(),
                           .lines = lines_,
                           .cursor = drag_ == Drag::pan ? std::nullopt : cursor_,
                           .frame = hasFocus() ? palette().color(QPalette::Highlight)
                                               : to_colour(colours_->faint_text)});
  paint_legend(painter, legend_, {k_left_margin_px, 0}, *colours_);
  if (!state_.run) {
    painter.setPen(to_colour(colours_->faint_text));
    painter.drawText(canvas(), Qt::AlignCenter,
                     QStringLiteral("Open a trace: Ctrl+O, or tidemark view run.tmk"));
  }
}

void TimelineWidget::resizeEvent(QResizeEvent*) {
  outdate();
}

}  // namespace tidemark
