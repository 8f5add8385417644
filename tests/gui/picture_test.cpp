// Pictures that must not change unseen, and the real program on a real X server.
#include <QImage>
#include <QProcess>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QThread>
#include <QtEndian>
#include <array>
#include <chrono>
#include <cstdlib>

#include "tests/catch.h"
#include "tests/gui/synthetic.h"
#include "tests/paths.h"
#include "traces/file.h"

using namespace tidemark;

namespace {

/// The canvas of the timeline as the window paints it, without text: fonts differ by machine.
QImage canvas_of(const ViewState& state, const CanvasColours& colours, QSize size) {
  const ColumnScale scale{state.range, size.width()};
  const std::vector<PixelColumn> columns = columns_of(state, scale);
  StackScene scene{.columns = columns,
                   .scale = {.top_bytes = top_bytes_of(state), .height_px = size.height()},
                   .colours = colours,
                   .budget_bytes = state.budget_bytes,
                   .overlays = {}};
  for (std::size_t i = 0; i < state.others.size(); ++i) {
    scene.overlays.push_back(overlay_of(state, i, scale));
  }
  const PixelImage pixels = paint_stack(scene);
  return QImage(reinterpret_cast<const uchar*>(pixels.pixels.data()), pixels.width_px,
                pixels.height_px, pixels.width_px * static_cast<int>(sizeof(Rgb)),
                QImage::Format_RGB32)
      .copy();
}

ViewState planned_over_recorded() {
  ViewState state = test::state_of(test::run_of(test::training_trace({.layer_count = 6})));
  lay_over(state, test::run_of(test::training_trace({.layer_count = 6, .recompute = true})));
  state.range = limits_of(state);
  state.budget_bytes = state.run->timeline().peak.bytes * 8 / 10;
  return state;
}

/// Compares with tests/golden/window/`name`, or writes it where TIDEMARK_WRITE_GOLDEN is set. Whole
/// numbers make every pixel but those of an outline that is fitted to other steps: one in a
/// thousand may differ.
void require_golden(const QImage& image, const std::string& name) {
  const QString path = QStringLiteral(TIDEMARK_SOURCE_DIR "/tests/golden/window/%1")
                           .arg(QString::fromStdString(name));
  if (std::getenv("TIDEMARK_WRITE_GOLDEN") != nullptr) REQUIRE(image.save(path, "PNG"));
  const QImage golden = QImage(path).convertToFormat(QImage::Format_RGB32);
  CAPTURE(name);
  REQUIRE(golden.size() == image.size());
  int differing = 0;
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) differing += image.pixel(x, y) != golden.pixel(x, y);
  }
  CHECK(differing <= image.width() * image.height() / 1000);
}

/// Ends the process with the test.
struct ChildProcess : QProcess {
  ~ChildProcess() override {
    if (state() == NotRunning) return;
    terminate();
    if (!waitForFinished(5'000)) kill();
    waitForFinished(5'000);
  }
};

/// The picture in the file that `Xvfb -fbdir` keeps: an X window dump, a header of 32-bit numbers
/// with the highest byte first (XWDFile.h), colours of 12 bytes each, then the pixels.
QImage read_frame_buffer(const QString& path) {
  QFile file(path);
  if (!file.open(QIODevice::ReadOnly)) return {};
  const QByteArray bytes = file.readAll();
  constexpr int k_header_numbers = 25;
  if (bytes.size() < k_header_numbers * 4) return {};
  const auto number = [&bytes](int at) {
    return static_cast<qsizetype>(qFromBigEndian<quint32>(bytes.constData() + 4 * at));
  };
  const qsizetype width = number(4);
  const qsizetype height = number(5);
  const qsizetype bits_per_pixel = number(11);
  const qsizetype line_bytes = number(12);
  const qsizetype begin = number(0) + 12 * number(19);
  if (bits_per_pixel != 32 || bytes.size() < begin + height * line_bytes) return {};
  return QImage(reinterpret_cast<const uchar*>(bytes.constData()) + begin, static_cast<int>(width),
                static_cast<int>(height), line_bytes, QImage::Format_RGB32)
      .copy();
}

int count_of(const QImage& image, Rgb colour) {
  int count = 0;
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) {
      count += (image.pixel(x, y) & 0xFFFFFFU) == (colour & 0xFFFFFFU);
    }
  }
  return count;
}

/// Until at least `least` pixels on the screen have the colour; false when that never happens.
bool appears(const QString& frame_buffer, Rgb colour, int least) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < end) {
    if (count_of(read_frame_buffer(frame_buffer), colour) >= least) return true;
    QThread::msleep(200);
  }
  return false;
}

}  // namespace

TEST_CASE("the stack is painted as it was") {
  ViewState state = planned_over_recorded();
  require_golden(canvas_of(state, light_colours(), {240, 120}), "category.light.png");
  state.group_by = StackBy::layer;
  state.one_step = true;
  state.range = limits_of(state);
  require_golden(canvas_of(state, dark_colours(), {240, 120}), "layer.dark.png");
  state.group_by = StackBy::tensor;
  state.axis = Axis::change;
  state.range = limits_of(state);
  require_golden(canvas_of(state, contrast_colours(), {240, 120}), "tensor.contrast.png");
}

TEST_CASE("the program on an X server shows the run, hears keys and ends well") {
  for (const char* tool : {"Xvfb", "xdotool"}) {
    if (QStandardPaths::findExecutable(QString::fromLatin1(tool)).isEmpty()) {
      WARN("SKIP: no " << tool << " here (packages xvfb, xdotool)");
      return;
    }
  }
  QTemporaryDir folder;
  write_trace(test::training_trace({}), folder.filePath("run.tmk").toStdString());
  ChildProcess server;
  server.start(QStringLiteral("Xvfb"), {"-displayfd", "1", "-screen", "0", "1280x800x24",
                                        "-nolisten", "tcp", "-fbdir", folder.path()});
  REQUIRE(server.waitForReadyRead(60'000));
  QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
  environment.insert(
      QStringLiteral("DISPLAY"),
      QStringLiteral(":%1").arg(server.readAllStandardOutput().trimmed().constData()));
  environment.insert(QStringLiteral("QT_QPA_PLATFORM"), QStringLiteral("xcb"));
  environment.remove(QStringLiteral("WAYLAND_DISPLAY"));
  for (const char* name : {"HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"}) {
    environment.insert(QString::fromLatin1(name), folder.path());
  }
  ChildProcess program;
  program.setProcessEnvironment(environment);
  program.start(QStringLiteral(TIDEMARK_BIN_DIR "/tidemark-view"),
                {folder.filePath("run.tmk"), "--theme", "light", "--size", "1200x760"});
  const QString screen = folder.filePath("Xvfb_screen0");
  REQUIRE(appears(screen, band_colour(Band::weight), 5'000));
  CHECK(count_of(read_frame_buffer(screen), band_colour(Band::activation)) > 5'000);
  const auto tell = [&](const QStringList& words) {
    QProcess tool;
    tool.setProcessEnvironment(environment);
    tool.start(QStringLiteral("xdotool"), words);
    return tool.waitForFinished(60'000) && tool.exitCode() == 0;
  };
  // Without a window manager nobody else gives the window the keys.
  REQUIRE(tell({"search", "--onlyvisible", "--name", "run.tmk", "windowfocus"}));
  REQUIRE(tell({"mousemove", "400", "300", "click", "1"}));
  REQUIRE(tell({"key", "l"}));  // the next theme
  CHECK(appears(screen, dark_colours().background, 20'000));
  REQUIRE(tell({"key", "ctrl+q"}));
  REQUIRE(program.waitForFinished(60'000));
  CHECK(program.exitStatus() == QProcess::NormalExit);
  CHECK(program.exitCode() == 0);
  CHECK(program.readAllStandardError().toStdString().empty());
}
