// Finds every command, bookmark, peak and buffer by its words, and does or shows it.
#pragma once

#include <QDialog>
#include <functional>
#include <vector>

class QLineEdit;
class QListWidget;

namespace tidemark {

struct PaletteEntry {
  QString text;  // what is searched and shown
  QString keys;  // shown beside it; may be empty
  std::function<void()> act;
};

/// Rows of `entries` in which each word of `words` is found, whatever its case; those whose text
/// begins with the words come first, else their order stays. At most `limit`.
[[nodiscard]] std::vector<std::size_t> find_entries(const std::vector<PaletteEntry>& entries,
                                                    const QString& words, std::size_t limit);

class CommandPalette : public QDialog {
  Q_OBJECT

 public:
  /// `hint`: what may be typed.
  CommandPalette(std::vector<PaletteEntry> entries, const QString& hint, QWidget* parent);

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  void refresh();
  void take();

  std::vector<PaletteEntry> entries_;
  QLineEdit* words_ = nullptr;
  QListWidget* list_ = nullptr;
};

}  // namespace tidemark
