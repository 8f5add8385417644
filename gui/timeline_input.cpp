// What the timeline does with wheel, mouse and keys.
#include <QKeyEvent>
#include <QMouseEvent>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>

#include "gui/labels.h"
#include "gui/timeline_widget.h"
#include "sim/units.h"

namespace tidemark {
namespace {

constexpr int k_least_drag_px = 4;
constexpr double k_key_zoom = 0.7;

}  // namespace

int TimelineWidget::column_under(QPoint position) const {
  return std::clamp(position.x() - canvas().left(), 0, canvas().width() - 1);
}

void TimelineWidget::zoom(double factor, int at_px) {
  if (state_.run) set_range(scale().zoomed(factor, at_px));
}

void TimelineWidget::wheelEvent(QWheelEvent* event) {
  if (!state_.run) return;
  const QPoint degrees8 = event->angleDelta();
  if (std::abs(degrees8.x()) > std::abs(degrees8.y())) {
    set_range(scale().panned(degrees8.x()));
  } else {
    zoom(std::pow(0.8, degrees8.y() / 120.0), column_under(event->position().toPoint()));
  }
  event->accept();
}

void TimelineWidget::mousePressEvent(QMouseEvent* event) {
  if (!state_.run || event->button() == Qt::RightButton) return;
  drag_ = (event->modifiers() & Qt::ShiftModifier) != 0 ? Drag::select : Drag::undecided;
  drag_from_ = event->position().toPoint();
  drag_range_ = state_.range;
}

void TimelineWidget::mouseMoveEvent(QMouseEvent* event) {
  cursor_ = event->position().toPoint();
  const int moved_px = cursor_->x() - drag_from_.x();
  if (drag_ == Drag::undecided && std::abs(moved_px) >= k_least_drag_px) drag_ = Drag::pan;
  if (drag_ == Drag::pan) {
    set_range(ColumnScale{drag_range_, canvas().width()}.panned(moved_px));
  } else if (drag_ == Drag::select) {
    const int a = column_under(drag_from_);
    const int b = column_under(*cursor_);
    const std::int64_t begin = scale().column_begin(std::min(a, b));
    select(ViewRange{begin, std::max(scale().column_begin(std::max(a, b) + 1), begin + 1)});
  }
  update();
  emit focus_changed();
}

void TimelineWidget::mouseReleaseEvent(QMouseEvent* event) {
  const Drag ended = std::exchange(drag_, Drag::none);
  update();
  if (ended != Drag::undecided || !canvas().contains(event->position().toPoint())) return;
  refresh();
  const int x = column_under(event->position().toPoint());
  state_.pinned =
      instant_of_column(state_, columns_[static_cast<std::size_t>(x)], scale().column_begin(x));
  emit pin_changed();
  emit focus_changed();
}

void TimelineWidget::leaveEvent(QEvent*) {
  cursor_.reset();
  update();
  emit focus_changed();
}

void TimelineWidget::keyPressEvent(QKeyEvent* event) {
  const auto command = command_of(*event);
  if (command && perform(*command)) {
    event->accept();
    return;
  }
  QWidget::keyPressEvent(event);  // to the window
}

std::int64_t TimelineWidget::current_change() const {
  if (state_.pinned) return state_.pinned->change;
  const std::int64_t middle = state_.range.begin + state_.range.span() / 2;
  return state_.run->pyramid().change_at(middle, state_.axis);
}

void TimelineWidget::jump_to_peak(bool forward) {
  const auto& peaks = state_.run->local_peaks();
  // Without a pin the first jump goes to the first or last peak of the view, not past it.
  const ViewRange view = state_.range;
  const Pyramid& pyramid = state_.run->pyramid();
  std::int64_t from = state_.pinned ? state_.pinned->change
                      : forward     ? pyramid.first_change_from(view.begin, state_.axis) - 1
                                    : pyramid.first_change_from(view.end, state_.axis);
  if (forward) {
    const auto next = std::upper_bound(peaks.begin(), peaks.end(), from);
    if (next != peaks.end()) pin_change(*next);
  } else {
    const auto next = std::lower_bound(peaks.begin(), peaks.end(), from);
    if (next != peaks.begin()) pin_change(*std::prev(next));
  }
}

void TimelineWidget::jump_to_step(bool forward) {
  const std::size_t count = state_.run->timeline().step_begin_ns.size();
  if (state_.one_step || count == 0) return;
  // The step that covers most of the view is the present one.
  const std::int64_t middle = state_.range.begin + state_.range.span() / 2;
  std::int64_t present = -1;
  for (std::size_t row = 0; row < count; ++row) {
    if (state_.run->step(row, state_.axis).begin <= middle)
      present = static_cast<std::int64_t>(row);
  }
  const bool fits =
      present >= 0 &&
      state_.range == state_.run->step(static_cast<std::size_t>(present), state_.axis);
  std::int64_t next = forward ? present + 1 : present - 1;
  if (!fits && present >= 0) next = present;  // from a wide view into the step itself first
  next = std::clamp<std::int64_t>(next, 0, static_cast<std::int64_t>(count) - 1);
  set_range(state_.run->step(static_cast<std::size_t>(next), state_.axis));
}

/// At the pin, else in the middle of the view.
void TimelineWidget::toggle_bookmark() {
  const std::int64_t shown = current_change();
  if (shown < 0) return;
  const std::int64_t change = state_.run->in_whole(shown);
  std::vector<Bookmark> bookmarks = state_.bookmarks;
  const auto at = std::ranges::lower_bound(bookmarks, change, {}, &Bookmark::change);
  if (at != bookmarks.end() && at->change == change) {
    bookmarks.erase(at);
  } else {
    const Instant instant = instant_of_change(*state_.run, shown);
    bookmarks.insert(
        at, {change, format_bytes(instant.total_bytes) + " at " + format_time_ns(instant.time_ns)});
  }
  set_bookmarks(std::move(bookmarks));
}

void TimelineWidget::jump_to_bookmark(bool forward) {
  const std::int64_t from = state_.run->in_whole(current_change());
  const auto& marks = state_.bookmarks;
  const auto after = std::ranges::upper_bound(marks, from, {}, &Bookmark::change);
  const auto first_from = std::ranges::lower_bound(marks, from, {}, &Bookmark::change);
  if (forward && after != marks.end()) pin_whole_change(after->change);
  if (!forward && first_from != marks.begin()) pin_whole_change(std::prev(first_from)->change);
}

void TimelineWidget::step_change(int by) {
  const std::int64_t last = state_.run->pyramid().change_count() - 1;
  if (last >= 0) pin_change(std::clamp<std::int64_t>(current_change() + by, 0, last));
}

bool TimelineWidget::perform(Command command) {
  if (!state_.run) return false;
  const int at_px =
      cursor_ && canvas().contains(*cursor_) ? column_under(*cursor_) : canvas().width() / 2;
  switch (command) {
    case Command::zoom_in:
      zoom(k_key_zoom, at_px);
      return true;
    case Command::zoom_out:
      zoom(1 / k_key_zoom, at_px);
      return true;
    case Command::pan_left:
      set_range(scale().panned(canvas().width() / 8));
      return true;
    case Command::pan_right:
      set_range(scale().panned(-canvas().width() / 8));
      return true;
    case Command::whole:
      set_range(limits_of(state_));
      return true;
    case Command::fit_selection:
      if (state_.selection) set_range(*state_.selection);
      return true;
    case Command::next_peak:
    case Command::previous_peak:
      jump_to_peak(command == Command::next_peak);
      return true;
    case Command::next_step:
    case Command::previous_step:
      jump_to_step(command == Command::next_step);
      return true;
    case Command::bookmark:
      toggle_bookmark();
      return true;
    case Command::next_bookmark:
    case Command::previous_bookmark:
      jump_to_bookmark(command == Command::next_bookmark);
      return true;
    case Command::next_change:
    case Command::previous_change:
      step_change(command == Command::next_change ? 1 : -1);
      return true;
    case Command::next_grouping:
      set_group_by(
          static_cast<StackBy>((static_cast<std::size_t>(state_.group_by) + 1) % k_group_by_count));
      return true;
    case Command::toggle_axis:
      set_axis(state_.axis == Axis::time ? Axis::change : Axis::time);
      return true;
    case Command::toggle_step:
      set_one_step(!state_.one_step);
      return true;
    case Command::toggle_every_step:
      set_every_step(!state_.every_step);
      return true;
    case Command::clear:
      pin_change(-1);
      select(std::nullopt);
      return true;
    case Command::filter:
    case Command::toggle_theme:
    case Command::budget:
    case Command::details:
    case Command::lifetimes:
    case Command::show_table:
    case Command::show_areas:
    case Command::show_difference:
    case Command::show_why:
    case Command::show_range:
    case Command::help:
      return false;
  }
  return false;
}

}  // namespace tidemark
