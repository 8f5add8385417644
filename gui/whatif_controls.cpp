#include "gui/whatif_controls.h"

#include <QComboBox>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QSignalBlocker>
#include <QSlider>
#include <QSpinBox>
#include <algorithm>

#include "gui/options.h"
#include "sim/device.h"
#include "sim/units.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr int k_slider_steps = 1000;

QString text_of(const std::string& text) {
  return QString::fromStdString(text);
}

QString name_of(const char* name) {
  return QString::fromLatin1(name);
}

}  // namespace

WhatIfControls::WhatIfControls(QWidget* parent) : QWidget(parent) {
  setObjectName(QStringLiteral("what_if_controls"));
  grid_ = new QGridLayout(this);
  grid_->setContentsMargins(8, 6, 8, 2);
  grid_->setHorizontalSpacing(6);
  grid_->setVerticalSpacing(3);
  grid_->setColumnStretch(2, 1);
  build_device();
  build_budget();
  add_decider("Recompute", &WhatIf::recompute);
  add_decider("Offload", &WhatIf::offload);
  add_names("Allocator", &WhatIf::allocator);
  add_number("Batch", &WhatIf::batch);
  add_number("Micro-batches", &WhatIf::micro_batches);
  add_names("Precision", &WhatIf::precision);
  add_names("Optimizer", &WhatIf::optimizer);
  add_names("Attention", &WhatIf::attention);
  add_names("Shard", &WhatIf::shard);
  rows_.back().decider->setItemText(static_cast<int>(Decider::recorded),
                                    QStringLiteral("one rank"));
  build_ranks();
}

/// Beside the stage that they are for.
void WhatIfControls::build_ranks() {
  ranks_ = new QSpinBox(this);
  ranks_->setObjectName(QStringLiteral("value_ranks"));
  ranks_->setAccessibleName(QStringLiteral("Ranks that share the step"));
  ranks_->setRange(2, 64);
  ranks_->setSuffix(QStringLiteral(" ranks"));
  ranks_->setKeyboardTracking(false);
  QWidget* stage = rows_.back().value;
  grid_->removeWidget(stage);
  auto* both = new QHBoxLayout;
  both->addWidget(stage, 1);
  both->addWidget(ranks_);
  grid_->addLayout(both, grid_->rowCount() - 1, 2);
  connect(ranks_, &QSpinBox::valueChanged, this,
          [this](int value) { change("Ranks", [&](WhatIf& w) { w.ranks = value; }); });
}

template <class Set>
void WhatIfControls::change(const char* name, Set set) {
  if (showing_) return;
  WhatIf next = shown_;
  set(next);
  if (next == shown_) return;
  show(next);
  emit changed(next, name_of(name));
}

/// `decider_of(what_if)` is the decider of a WhatIf, to read and to write.
template <class Member>
QComboBox* WhatIfControls::add_row(const char* name, Member decider_of) {
  const int line = grid_->rowCount();
  auto* label = new QLabel(name_of(name), this);
  auto* decider = new QComboBox(this);
  for (const Decider d : {Decider::recorded, Decider::chosen, Decider::planner}) {
    decider->addItem(name_of(to_text(d)));
  }
  decider->setObjectName(QStringLiteral("decider_%1").arg(name_of(name).toLower()));
  decider->setAccessibleName(QStringLiteral("Who decides: %1").arg(name_of(name)));
  label->setBuddy(decider);
  grid_->addWidget(label, line, 0);
  grid_->addWidget(decider, line, 1);
  connect(decider, &QComboBox::currentIndexChanged, this, [this, name, decider_of](int index) {
    change(name, [&](WhatIf& w) { decider_of(w) = static_cast<Decider>(index); });
  });
  rows_.push_back({.decider = decider, .show = [this, decider, decider_of] {
                     decider->setCurrentIndex(static_cast<int>(decider_of(shown_)));
                   }});
  return decider;
}

void WhatIfControls::add_value(const char* name, QWidget* value, std::function<void()> show) {
  value->setObjectName(QStringLiteral("value_%1").arg(name_of(name).toLower()));
  value->setAccessibleName(name_of(name));
  grid_->addWidget(value, grid_->rowCount() - 1, 2);
  Row& row = rows_.back();
  row.value = value;
  row.show = [first = std::move(row.show), second = std::move(show)] {
    first();
    second();
  };
}

QComboBox* WhatIfControls::add_decider(const char* name, Decider WhatIf::*decider) {
  QComboBox* box = add_row(name, [decider](WhatIf& w) -> Decider& { return w.*decider; });
  box->setItemText(static_cast<int>(Decider::recorded), QStringLiteral("nowhere"));
  box->setItemText(static_cast<int>(Decider::chosen), QStringLiteral("layers chosen below"));
  grid_->addWidget(box, grid_->rowCount() - 1, 1, 1, 2);
  return box;
}

template <class Value>
void WhatIfControls::add_number(const char* name, Control<Value> WhatIf::*control) {
  add_row(name, [control](WhatIf& w) -> Decider& { return (w.*control).by; });
  rows_.back().needs_configuration = true;
  auto* number = new QSpinBox(this);
  number->setRange(1, 1 << 20);
  number->setKeyboardTracking(false);  // no question per digit
  connect(number, &QSpinBox::valueChanged, this, [this, name, control](int value) {
    change(name, [&](WhatIf& w) { (w.*control).value = value; });
  });
  add_value(name, number, [this, number, control] {
    number->setValue(static_cast<int>(std::max<Value>((shown_.*control).value, 1)));
    number->setEnabled((shown_.*control).by == Decider::chosen);
  });
}

template <class E>
void WhatIfControls::add_names(const char* name, Control<E> WhatIf::*control) {
  add_row(name, [control](WhatIf& w) -> Decider& { return (w.*control).by; });
  rows_.back().needs_configuration = !std::is_same_v<E, AllocatorKind>;
  auto* names = new QComboBox(this);
  for (const std::string_view value : EnumNames<E>::k_names) {
    names->addItem(QString::fromLatin1(value.data(), static_cast<int>(value.size())));
  }
  connect(names, &QComboBox::currentIndexChanged, this, [this, name, control](int index) {
    change(name, [&](WhatIf& w) { (w.*control).value = static_cast<E>(index); });
  });
  add_value(name, names, [this, names, control] {
    names->setCurrentIndex(static_cast<int>((shown_.*control).value));
    names->setEnabled((shown_.*control).by == Decider::chosen);
  });
}

void WhatIfControls::build_device() {
  auto* label = new QLabel(QStringLiteral("Device"), this);
  device_ = new QComboBox(this);
  device_->setObjectName(QStringLiteral("value_device"));
  device_->setAccessibleName(QStringLiteral("Device"));
  device_->addItem(QStringLiteral("as recorded"), QString());
  for (const Device& device : devices()) {
    device_->addItem(QStringLiteral("%1, %2").arg(text_of(device.name),
                                                  text_of(format_bytes(device.memory_bytes))),
                     text_of(device.name));
  }
  device_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  label->setBuddy(device_);
  grid_->addWidget(label, 0, 0);
  grid_->addWidget(device_, 0, 1, 1, 2);
  connect(device_, &QComboBox::currentIndexChanged, this, [this](int index) {
    change("Device", [&](WhatIf& w) {
      w.device = device_->itemData(index).toString().toStdString();
      // A real device brings its memory; one may ask for less afterwards.
      if (!w.device.empty()) w.budget_bytes = find_device(w.device).memory_bytes;
    });
  });
}

void WhatIfControls::build_budget() {
  auto* label = new QLabel(QStringLiteral("Budget"), this);
  budget_ = new QLineEdit(this);
  budget_->setObjectName(QStringLiteral("what_if_budget"));
  budget_->setAccessibleName(QStringLiteral("Budget of the what-if"));
  budget_->setPlaceholderText(QStringLiteral("e.g. 60%"));
  budget_->setMaximumWidth(110);
  slider_ = new QSlider(Qt::Horizontal, this);
  slider_->setObjectName(QStringLiteral("budget_slider"));
  slider_->setAccessibleName(QStringLiteral("Budget of the what-if, from the least to everything"));
  slider_->setRange(0, k_slider_steps);
  slider_->setPageStep(k_slider_steps / 20);
  label->setBuddy(budget_);
  grid_->addWidget(label, 1, 0);
  grid_->addWidget(budget_, 1, 1);
  grid_->addWidget(slider_, 1, 2);
  connect(slider_, &QSlider::sliderPressed, this, &WhatIfControls::drag_began);
  connect(budget_, &QLineEdit::returnPressed, this, &WhatIfControls::read_budget);
  connect(slider_, &QSlider::valueChanged, this, [this](int value) {
    change("Budget", [&](WhatIf& w) { w.budget_bytes = budget_at(value); });
  });
}

std::int64_t WhatIfControls::budget_at(int slider) const {
  const auto low = static_cast<double>(facts_.least_bytes) * 0.95;
  const auto high = static_cast<double>(facts_.most_bytes) * 1.05;
  const double bytes = low + (high - low) * slider / k_slider_steps;
  return static_cast<std::int64_t>(bytes) / k_granule_bytes * k_granule_bytes;
}

void WhatIfControls::read_budget() {
  const QString text = budget_->text().trimmed();
  try {
    const std::int64_t bytes =
        text.isEmpty() ? -1 : parse_budget(text.toStdString(), facts_.most_bytes);
    change("Budget", [&](WhatIf& w) { w.budget_bytes = bytes; });
    show_budget();
  } catch (const InputError& error) {
    emit refused(QString::fromUtf8(error.what()));
    budget_->selectAll();
  }
}

void WhatIfControls::show_budget() {
  const QSignalBlocker quiet(slider_);
  const std::int64_t bytes = shown_.budget_bytes;
  budget_->setText(bytes < 0 ? QString() : text_of(format_bytes(bytes)));
  if (slider_->isSliderDown()) return;  // the hand decides
  const std::int64_t low = budget_at(0);
  const std::int64_t high = budget_at(k_slider_steps);
  const double share = high <= low ? 1
                                   : static_cast<double>((bytes < 0 ? high : bytes) - low) /
                                         static_cast<double>(high - low);
  slider_->setValue(static_cast<int>(std::clamp(share, 0.0, 1.0) * k_slider_steps + 0.5));
}

bool WhatIfControls::is_dragging() const {
  return slider_->isSliderDown();
}

void WhatIfControls::set_facts(const WhatIfFacts& facts) {
  facts_ = facts;
  device_->setEnabled(facts.can_change);
  const bool has_attention = facts.recorded.model.is_decoder();
  for (Row& row : rows_) {
    const bool attention = row.decider->objectName().endsWith(QStringLiteral("attention"));
    row.decider->setEnabled((facts.can_change || !row.needs_configuration) &&
                            (has_attention || !attention));
  }
  show(shown_);
}

void WhatIfControls::show(const WhatIf& what_if) {
  shown_ = what_if;
  showing_ = true;
  device_->setCurrentIndex(std::max(device_->findData(text_of(what_if.device)), 0));
  for (const Row& row : rows_) row.show();
  ranks_->setValue(shown_.ranks);
  ranks_->setEnabled(shown_.shard.by != Decider::recorded);
  show_budget();
  showing_ = false;
}

}  // namespace tidemark
