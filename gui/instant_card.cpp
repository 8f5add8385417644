#include "gui/instant_card.h"

#include <QPainter>

#include "gui/labels.h"
#include "gui/legend.h"
#include "sim/units.h"

namespace tidemark {
namespace {

constexpr int k_pad_px = 14;
constexpr int k_roomy_px = 440;  // from here on everything is shown
constexpr std::size_t k_largest_shown = 5;

QString text_of(const std::string& text) {
  return QString::fromStdString(text);
}

/// Writes lines from the top of the card down.
class CardWriter {
 public:
  CardWriter(QPainter& painter, QRect box, const CanvasColours& colours)
      : painter_(painter), box_(box), colours_(colours) {}

  void title(const QString& text) {
    QFont font = painter_.font();
    font.setBold(true);
    with_font(font, [&] { line(text, {}, colours_.text); });
  }

  void big(const QString& text) {
    QFont font = painter_.font();
    font.setPointSizeF(font.pointSizeF() * 1.7);
    font.setBold(true);
    with_font(font, [&] { line(text, {}, colours_.text); });
  }

  void pair(const QString& name, const QString& value) { line(name, value, colours_.faint_text); }

  void band(const QString& name, Rgb colour, std::int64_t bytes, std::int64_t total_bytes) {
    const int height_px = painter_.fontMetrics().height();
    const QRect swatch(box_.left(), y_ + 2, height_px - 4, height_px - 4);
    painter_.fillRect(swatch, to_colour(colour));
    painter_.setPen(to_colour(darkened(colour)));
    painter_.drawRect(swatch);
    const double share =
        total_bytes == 0 ? 0
                         : 100.0 * static_cast<double>(bytes) / static_cast<double>(total_bytes);
    const QString share_text = QStringLiteral("%1 %").arg(QString::number(share, 'f', 1));
    const int share_px = painter_.fontMetrics().horizontalAdvance(QStringLiteral("100.0 %")) + 6;
    painter_.setPen(to_colour(colours_.text));
    painter_.drawText(QRect(box_.right() - share_px, y_, share_px, height_px + 2),
                      Qt::AlignRight | Qt::AlignVCenter, share_text);
    const QString value = QString::fromStdString(format_bytes(bytes));
    reserved_px_ = share_px;
    indent_px_ = height_px + 4;
    line(name, value, bytes == 0 ? colours_.faint_text : colours_.text);
    indent_px_ = 0;
    reserved_px_ = 0;
  }

  void gap() { y_ += painter_.fontMetrics().height() / 2; }
  [[nodiscard]] int bottom() const { return y_; }

 private:
  template <class Write>
  void with_font(const QFont& font, Write write) {
    const QFont before = painter_.font();
    painter_.setFont(font);
    write();
    painter_.setFont(before);
  }

  /// `value` at the right is whole, `name` is cut in the middle when there is no room.
  void line(const QString& name, const QString& value, Rgb name_colour) {
    const QFontMetrics metrics = painter_.fontMetrics();
    const QRect row(box_.left() + indent_px_, y_, box_.width() - indent_px_ - reserved_px_,
                    metrics.height() + 2);
    const int value_px = value.isEmpty() ? 0 : metrics.horizontalAdvance(value) + 8;
    painter_.setPen(to_colour(name_colour));
    painter_.drawText(row, Qt::AlignLeft | Qt::AlignVCenter,
                      metrics.elidedText(name, Qt::ElideMiddle, row.width() - value_px));
    painter_.setPen(to_colour(colours_.text));
    painter_.drawText(row, Qt::AlignRight | Qt::AlignVCenter,
                      metrics.elidedText(value, Qt::ElideMiddle, row.width()));
    y_ += metrics.height() + 3;
  }

  QPainter& painter_;
  QRect box_;
  const CanvasColours& colours_;
  int y_ = k_pad_px;
  int indent_px_ = 0;    // at the left
  int reserved_px_ = 0;  // at the right
};

/// Without room only the time and the op.
void write_head(CardWriter& card, const ViewState& state, const TimelineWidget::Focus& focus,
                bool roomy) {
  const Trace& trace = state.run->trace();
  const Instant& instant = focus.instant;
  card.title(QString::fromLatin1(focus.title));
  card.big(text_of(format_bytes(instant.total_bytes)));
  const std::int64_t zero_ns =
      state.one_step ? state.run->steady_step(Axis::time).begin : std::int64_t{0};
  card.pair(QStringLiteral("time"), text_of(format_time_ns(instant.time_ns - zero_ns)));
  const bool has_ops = !trace.ops.empty();
  if (!roomy) {
    if (!has_ops) return;
    return card.pair(QStringLiteral("op"), text_of(op_name(trace, instant.op)));
  }
  card.pair(QStringLiteral("event"), QString::number(instant.change));
  if (!has_ops) return;  // nothing is known of steps and phases either
  card.pair(QStringLiteral("step"),
            instant.step < 0 ? QStringLiteral("-") : QString::number(instant.step));
  card.pair(QStringLiteral("phase"), text_of(phase_name(trace, instant.op)));
  card.pair(QStringLiteral("op"), text_of(op_name(trace, instant.op)));
}

/// The other runs at the same point of the program.
void write_others(CardWriter& card, const ViewState& state, const Instant& instant) {
  for (const Overlay& other : state.others) {
    const auto bytes = bytes_at_same_point(state, other, instant);
    if (!bytes) continue;
    const std::int64_t saved = *bytes - instant.total_bytes;
    card.pair(text_of(label_of(state, *other.run)),
              QStringLiteral("%1  (%2%3)")
                  .arg(text_of(format_bytes(*bytes)), saved > 0 ? QStringLiteral("+") : QString(),
                       text_of(format_bytes(saved))));
  }
}

/// Without room only the bands that hold something.
void write_bands(CardWriter& card, const ViewState& state, const Instant& instant, bool roomy) {
  const GroupedStack& stack = stack_of(state);
  const BandBytes bands = stack.pyramid.state_after(instant.change);
  for (std::size_t k = stack.grouping.names.size(); k-- > 0;) {
    if (bands[k] == 0 && !roomy) continue;
    card.band(text_of(spoken(stack.grouping.names[k])), band_colour(static_cast<Band>(k)), bands[k],
              instant.total_bytes);
  }
}

void write_largest(CardWriter& card, const ViewState& state, const TimelineWidget::Focus& focus) {
  const Run& run = *state.run;
  const Grouping& grouping = stack_of(state).grouping;
  const auto place = static_cast<std::size_t>(focus.band.value_or(Band{}));
  const QString of =
      focus.band ? text_of(spoken(grouping.names[place])) : QStringLiteral("tensors");
  card.title(QStringLiteral("Largest %1").arg(of));
  std::size_t shown = 0;
  for (const std::size_t row : run.alive().alive_after(focus.instant.change)) {
    const Lifetime lifetime = run.alive().lifetime(row);
    const Buffer& buffer = run.trace()[lifetime.buffer];
    if (focus.band && grouping.of_buffer[lifetime.buffer.index()] != place) continue;
    card.pair(text_of(buffer.name), text_of(format_bytes(lifetime.bytes)));
    if (++shown == k_largest_shown) break;
  }
  if (shown == 0) card.pair(QStringLiteral("none"), {});
}

}  // namespace

InstantCard::InstantCard(TimelineWidget& timeline, QWidget* parent)
    : QWidget(parent), timeline_(timeline) {
  setObjectName(QStringLiteral("instant_card"));
  setAccessibleName(QStringLiteral("Bytes by category at the instant"));
  setFixedWidth(k_width_px);
  connect(&timeline, &TimelineWidget::focus_changed, this, &InstantCard::follow_focus);
}

void InstantCard::follow_focus() {
  if (const auto focus = timeline_.focus()) {
    setAccessibleDescription(QStringLiteral("%1 at %2")
                                 .arg(text_of(format_bytes(focus->instant.total_bytes)),
                                      text_of(format_time_ns(focus->instant.time_ns))));
  }
  update();
}

void InstantCard::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const CanvasColours& colours = timeline_.colours();
  painter.fillRect(rect(), to_colour(colours.card));
  painter.setPen(to_colour(colours.grid));
  painter.drawLine(rect().topLeft(), rect().bottomLeft());
  const auto focus = timeline_.focus();
  if (!focus) return;
  CardWriter card(painter, rect().adjusted(k_pad_px, 0, -k_pad_px, 0), colours);
  const bool roomy = height() >= k_roomy_px;
  write_head(card, timeline_.state(), *focus, roomy);
  write_others(card, timeline_.state(), focus->instant);
  card.gap();
  write_bands(card, timeline_.state(), focus->instant, roomy);
  card.gap();
  write_largest(card, timeline_.state(), *focus);
}

}  // namespace tidemark
