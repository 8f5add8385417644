// The timeline: stacked bytes by category over time, painted from pixel columns.
#pragma once

#include <QImage>
#include <QPoint>
#include <QWidget>
#include <optional>
#include <vector>

#include "gui/commands.h"
#include "gui/legend_paint.h"
#include "gui/timeline_paint.h"
#include "gui/view_history.h"
#include "gui/view_state.h"

class QTimer;

namespace tidemark {

class TimelineWidget : public QWidget {
  Q_OBJECT

 public:
  explicit TimelineWidget(QWidget* parent = nullptr);

  /// Shows `run` from begin to end; what lay over the previous one is removed. Null empties it.
  void set_run(RunPtr run);
  /// Shows a newer state of the same recording: what was in view stays there.
  void renew_run(RunPtr run);
  /// Adds an outline over the run; without effect when nothing is open.
  void add_other(RunPtr other);
  /// Puts `other` in the place of `old` over the run. Null for `old`: adds; for `other`: removes.
  void replace_other(const RunPtr& old, RunPtr other);
  void set_budget(std::int64_t budget_bytes);  // -1: none
  void set_group_by(StackBy by);
  void set_filter(Filter filter);
  void set_bookmarks(std::vector<Bookmark> bookmarks);
  /// Goes to the view before, or after, the present one in the history.
  void go_back(bool forward);
  void set_axis(Axis axis);
  void set_one_step(bool one_step);
  /// The steady step with all steps over it; off: only the steady step.
  void set_every_step(bool every_step);
  void set_colours(const CanvasColours& colours);
  /// Cut to what there is.
  void set_range(ViewRange range);
  void select(std::optional<ViewRange> selection);
  /// Pins the instant right after `change` and brings it into view; -1 removes the pin.
  void pin_change(std::int64_t change);
  /// The same for a change of the whole run, while a part of it may be shown.
  void pin_whole_change(std::int64_t change) { pin_change(state_.run->of_whole(change)); }
  /// True when the command was one for the timeline.
  bool perform(Command command);

  [[nodiscard]] const ViewState& state() const { return state_; }
  [[nodiscard]] const CanvasColours& colours() const { return *colours_; }
  /// Below the legend.
  [[nodiscard]] QRect canvas() const;
  [[nodiscard]] const Legend& legend() const { return legend_; }
  [[nodiscard]] ByteScale byte_scale() const;
  [[nodiscard]] const std::vector<PixelColumn>& columns();

  /// What the card beside the timeline describes: the instant under the cursor, else the pinned
  /// one, else the peak. `band` is set while the cursor is over one.
  struct Focus {
    const char* title = "";
    Instant instant;
    std::optional<Band> band;
  };
  [[nodiscard]] std::optional<Focus> focus();
  /// The pinned instant, else the peak; nothing without a run.
  [[nodiscard]] std::optional<Instant> instant() const;

 signals:
  void range_changed();
  void focus_changed();
  void pin_changed();
  void selection_changed();
  void bookmarks_changed();
  void mode_changed();  // grouping, axis, one step

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  enum class Drag { none, undecided, pan, select };

  [[nodiscard]] ColumnScale scale() const { return {state_.range, canvas().width()}; }
  [[nodiscard]] int column_under(QPoint position) const;
  void zoom(double factor, int at_px);
  void jump_to_peak(bool forward);
  void jump_to_step(bool forward);
  void step_change(int by);
  [[nodiscard]] std::int64_t current_change() const;
  void change_mode(Axis axis, bool one_step);
  void refresh();  // columns and pixels, when something they depend on has changed
  void outdate();

  void toggle_bookmark();
  void jump_to_bookmark(bool forward);
  void remember_view();

  ViewState state_;
  ViewHistory history_;
  QTimer* settled_ = nullptr;  // runs while the view is being moved
  const CanvasColours* colours_ = nullptr;
  OverBudget over_;
  bool outdated_ = true;
  std::vector<PixelColumn> columns_;
  PixelImage pixels_;
  Legend legend_;
  std::vector<std::vector<int>> lines_;  // rows of budget and outlines, per column; -1 = none
  std::optional<QPoint> cursor_;
  Drag drag_ = Drag::none;
  QPoint drag_from_;
  ViewRange drag_range_;
};

}  // namespace tidemark
