#include "gui/welcome_page.h"

#include <QCommandLinkButton>
#include <QCoreApplication>
#include <QDir>
#include <QEvent>
#include <QFileInfo>
#include <QLabel>
#include <QVBoxLayout>

namespace tidemark {
namespace {

constexpr std::size_t k_most_recent = 5;

QCommandLinkButton* add_link(QVBoxLayout& layout, const QString& title, const QString& about) {
  auto* link = new QCommandLinkButton(title, about);
  link->setAccessibleDescription(about);
  link->setMaximumWidth(560);
  layout.addWidget(link);
  return link;
}

}  // namespace

QString WelcomePage::samples_folder() {
  QDir folder(QCoreApplication::applicationDirPath());
  for (int up = 0; up < 6; ++up) {
    for (const char* place : {"share/tidemark/samples", "traces/samples"}) {
      const QString path = folder.filePath(QString::fromLatin1(place));
      if (QFileInfo::exists(path)) return QDir::cleanPath(path);
    }
    if (!folder.cdUp()) break;
  }
  return {};
}

WelcomePage::WelcomePage(const std::vector<Session>& sessions, QWidget* parent) : QWidget(parent) {
  setObjectName(QStringLiteral("welcome"));
  setAccessibleName(QStringLiteral("Ways to begin"));
  setAutoFillBackground(true);
  parent->installEventFilter(this);
  auto* column = new QVBoxLayout;
  auto* title = new QLabel(QStringLiteral("<h2>Where does the memory of a training run go?</h2>"));
  column->addWidget(title);
  auto* open = add_link(*column, QStringLiteral("Open a trace…"),
                        QStringLiteral("Or drop files here: the first is shown, the others lie "
                                       "over it. Ctrl+O"));
  open->setObjectName(QStringLiteral("welcome_open"));
  connect(open, &QCommandLinkButton::clicked, this, &WelcomePage::open_asked);
  const QDir samples(samples_folder());
  if (!samples_folder().isEmpty() && samples.exists(QStringLiteral("gpt2-tiny.tmk"))) {
    const QStringList files = {samples.filePath(QStringLiteral("gpt2-tiny.tmk")),
                               samples.filePath(QStringLiteral("gpt2-tiny.planned.tmk")),
                               samples.filePath(QStringLiteral("gpt2-tiny.measured.tmk"))};
    auto* sample = add_link(*column, QStringLiteral("Look at a sample"),
                            QStringLiteral("A small GPT-2: as recorded, as planned under a "
                                           "budget, and the plan as it ran"));
    sample->setObjectName(QStringLiteral("welcome_sample"));
    connect(sample, &QCommandLinkButton::clicked, this,
            [this, files] { emit files_chosen(files); });
  }
  for (std::size_t i = 0; i < std::min(sessions.size(), k_most_recent); ++i) {
    const Session& session = sessions[i];
    const QFileInfo file(QString::fromStdString(session.files.front()));
    if (!file.exists()) continue;
    auto* link = add_link(*column, QStringLiteral("Go on with %1").arg(file.fileName()),
                          QDir::toNativeSeparators(file.absolutePath()));
    connect(link, &QCommandLinkButton::clicked, this,
            [this, session] { emit session_chosen(session); });
  }
  auto* hint = new QLabel(
      QStringLiteral("<p>Record one: <code>tidemark profile gpt2-tiny -o run.tmk</code><br>"
                     "F1 shows all keys, Ctrl+K finds every command.</p>"));
  hint->setTextInteractionFlags(Qt::TextSelectableByMouse);
  column->addWidget(hint);
  auto* layout = new QVBoxLayout(this);
  layout->addStretch(1);
  auto* row = new QHBoxLayout;
  row->addStretch(1);
  row->addLayout(column);
  row->addStretch(1);
  layout->addLayout(row);
  layout->addStretch(2);
}

bool WelcomePage::eventFilter(QObject* watched, QEvent* event) {
  if (watched == parent() && event->type() == QEvent::Resize) {
    setGeometry(parentWidget()->rect());
  }
  return QWidget::eventFilter(watched, event);
}

}  // namespace tidemark
