#include "gui/command_palette.h"

#include <QApplication>
#include <QKeyEvent>
#include <QLineEdit>
#include <QListWidget>
#include <QVBoxLayout>
#include <algorithm>

namespace tidemark {
namespace {

constexpr std::size_t k_most_shown = 200;

}  // namespace

std::vector<std::size_t> find_entries(const std::vector<PaletteEntry>& entries,
                                      const QString& words, std::size_t limit) {
  const QStringList parts = words.split(QLatin1Char(' '), Qt::SkipEmptyParts);
  std::vector<std::size_t> begin_so;
  std::vector<std::size_t> contain;
  for (std::size_t row = 0; row < entries.size() && begin_so.size() < limit; ++row) {
    const QString& text = entries[row].text;
    const bool found = std::all_of(parts.begin(), parts.end(), [&text](const QString& part) {
      return text.contains(part, Qt::CaseInsensitive);
    });
    if (!found) continue;
    (text.startsWith(words.trimmed(), Qt::CaseInsensitive) ? begin_so : contain).push_back(row);
  }
  begin_so.insert(begin_so.end(), contain.begin(), contain.end());
  begin_so.resize(std::min(begin_so.size(), limit));
  return begin_so;
}

CommandPalette::CommandPalette(std::vector<PaletteEntry> entries, const QString& hint,
                               QWidget* parent)
    : QDialog(parent), entries_(std::move(entries)) {
  setObjectName(QStringLiteral("palette"));
  setWindowTitle(QStringLiteral("Commands and names"));
  setAttribute(Qt::WA_DeleteOnClose);
  resize(640, 420);
  words_ = new QLineEdit(this);
  words_->setObjectName(QStringLiteral("palette_words"));
  words_->setAccessibleName(QStringLiteral("Words to find"));
  words_->setPlaceholderText(hint);
  words_->installEventFilter(this);
  list_ = new QListWidget(this);
  list_->setObjectName(QStringLiteral("palette_list"));
  list_->setAccessibleName(QStringLiteral("What was found"));
  auto* layout = new QVBoxLayout(this);
  layout->addWidget(words_);
  layout->addWidget(list_, 1);
  connect(words_, &QLineEdit::textChanged, this, &CommandPalette::refresh);
  connect(words_, &QLineEdit::returnPressed, this, &CommandPalette::take);
  connect(list_, &QListWidget::itemActivated, this, &CommandPalette::take);
  refresh();
}

void CommandPalette::refresh() {
  list_->clear();
  for (const std::size_t row : find_entries(entries_, words_->text(), k_most_shown)) {
    const PaletteEntry& entry = entries_[row];
    auto* item = new QListWidgetItem(
        entry.keys.isEmpty() ? entry.text : QStringLiteral("%1\t%2").arg(entry.text, entry.keys));
    item->setData(Qt::UserRole, static_cast<qulonglong>(row));
    list_->addItem(item);
  }
  list_->setCurrentRow(0);
}

/// Closes first: what is done may open another dialog.
void CommandPalette::take() {
  const QListWidgetItem* item = list_->currentItem();
  if (item == nullptr) return;
  const auto act = entries_[item->data(Qt::UserRole).toULongLong()].act;
  close();
  act();
}

/// Up and down move in the list while one types.
bool CommandPalette::eventFilter(QObject* watched, QEvent* event) {
  if (watched == words_ && event->type() == QEvent::KeyPress) {
    const int key = static_cast<QKeyEvent*>(event)->key();
    if (key == Qt::Key_Up || key == Qt::Key_Down || key == Qt::Key_PageUp ||
        key == Qt::Key_PageDown) {
      QApplication::sendEvent(list_, event);
      return true;
    }
  }
  return QDialog::eventFilter(watched, event);
}

}  // namespace tidemark
