// The controls of the what-if panel: each as recorded, chosen, or left to the planner.
#pragma once

#include <QWidget>
#include <functional>
#include <vector>

#include "gui/whatif_worker.h"

class QComboBox;
class QGridLayout;
class QLineEdit;
class QSlider;
class QSpinBox;

namespace tidemark {

class WhatIfControls : public QWidget {
  Q_OBJECT

 public:
  explicit WhatIfControls(QWidget* parent = nullptr);

  /// What the open run offers: the range of the budget, and which controls can be used.
  void set_facts(const WhatIfFacts& facts);
  /// Shows `what_if`; nothing is emitted.
  void show(const WhatIf& what_if);
  [[nodiscard]] const WhatIf& what_if() const { return shown_; }
  /// A hand holds the slider: its moves are one change.
  [[nodiscard]] bool is_dragging() const;

 signals:
  /// Somebody changed one control; `name` is for undo. Moves of one slider have the same name.
  void changed(const tidemark::WhatIf& what_if, const QString& name);
  void drag_began();
  void refused(const QString& why);  // a budget that cannot be read

 private:
  /// One line: name, who decides, and the value when it is chosen.
  struct Row {
    QComboBox* decider = nullptr;
    QWidget* value = nullptr;  // null: there is none
    std::function<void()> show;
    bool needs_configuration = false;
  };

  template <class Set>
  void change(const char* name, Set set);
  QComboBox* add_decider(const char* name, Decider WhatIf::*decider);
  template <class Value>
  void add_number(const char* name, Control<Value> WhatIf::*control);
  template <class E>
  void add_names(const char* name, Control<E> WhatIf::*control);
  template <class Member>
  QComboBox* add_row(const char* name, Member decider_of);
  void add_value(const char* name, QWidget* value, std::function<void()> show);
  void build_device();
  void build_budget();
  void build_ranks();
  void show_budget();
  void read_budget();
  [[nodiscard]] std::int64_t budget_at(int slider) const;

  QGridLayout* grid_ = nullptr;
  QSlider* slider_ = nullptr;
  QLineEdit* budget_ = nullptr;
  QComboBox* device_ = nullptr;
  QSpinBox* ranks_ = nullptr;
  std::vector<Row> rows_;
  WhatIf shown_;
  WhatIfFacts facts_;
  bool showing_ = false;  // widgets are being set: their signals do not count
};

}  // namespace tidemark
