// The real program: pictures without a display, and one clear line for bad input.
#include <QFile>
#include <QImage>
#include <QProcess>
#include <QTemporaryDir>
#include <set>

#include "gui/bands.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"
#include "tests/paths.h"
#include "traces/file.h"

using namespace tidemark;

namespace {

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

/// Runs tidemark-view in `folder` as on a machine without a display.
Outcome view(const QTemporaryDir& folder, const QStringList& arguments) {
  QProcess process;
  QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
  for (const char* name : {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "XDG_RUNTIME_DIR"}) {
    environment.remove(QString::fromLatin1(name));
  }
  process.setProcessEnvironment(environment);
  process.setWorkingDirectory(folder.path());
  process.start(QStringLiteral(TIDEMARK_BIN_DIR "/tidemark-view"), arguments);
  REQUIRE(process.waitForFinished(60'000));
  REQUIRE(process.exitStatus() == QProcess::NormalExit);
  return {process.exitCode(), process.readAllStandardOutput().toStdString(),
          process.readAllStandardError().toStdString()};
}

void write_runs(const QTemporaryDir& folder) {
  write_trace(test::training_trace({}), folder.filePath("run.tmk").toStdString());
  write_trace(test::training_trace({.recompute = true}),
              folder.filePath("planned.tmk").toStdString());
}

std::size_t line_count(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("a screenshot needs no display, has the size asked for and shows the bands") {
  QTemporaryDir folder;
  write_runs(folder);
  const Outcome outcome =
      view(folder, {"run.tmk", "planned.tmk", "--budget", "250MiB", "--screenshot", "out.png",
                    "--size", "1200x700", "--at", "peak"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK(outcome.err.empty());
  CHECK(outcome.out == "written to out.png\n");
  const QImage image(folder.filePath("out.png"));
  REQUIRE(image.size() == QSize(1200, 700));
  std::set<QRgb> colours;
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < 850; ++x) colours.insert(image.pixel(x, y));
  }
  for (const Band band : {Band::weight, Band::optimizer_state, Band::activation, Band::gradient}) {
    CHECK(colours.count(band_colour(band)) == 1);
  }
  CHECK(colours.count(light_colours().over) == 1);
}

TEST_CASE("an index opens all of its ranks, the first as the stack") {
  QTemporaryDir folder;
  const QString golden = QStringLiteral(TIDEMARK_SOURCE_DIR "/tests/golden/zero1/");
  for (const char* name : {"zero1.tmk.json", "zero1.rank0.tmk.json", "zero1.rank1.tmk.json"}) {
    REQUIRE(QFile::copy(golden + QString::fromLatin1(name),
                        folder.filePath(QString::fromLatin1(name))));
  }
  REQUIRE(view(folder, {"zero1.tmk.json", "--screenshot", "index.png"}).exit_code == 0);
  REQUIRE(
      view(folder, {"zero1.rank0.tmk.json", "zero1.rank1.tmk.json", "--screenshot", "ranks.png"})
          .exit_code == 0);
  CHECK(QImage(folder.filePath("index.png")) == QImage(folder.filePath("ranks.png")));
  REQUIRE(QFile::remove(folder.filePath("zero1.rank1.tmk.json")));
  const Outcome outcome = view(folder, {"zero1.tmk.json", "--screenshot", "x.png"});
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.err.find("zero1.rank1.tmk.json") != std::string::npos);
}

TEST_CASE("the same picture comes out twice") {
  QTemporaryDir folder;
  write_runs(folder);
  REQUIRE(view(folder, {"run.tmk", "--screenshot", "a.png", "--theme", "dark"}).exit_code == 0);
  REQUIRE(view(folder, {"run.tmk", "--screenshot", "b.png", "--theme", "dark"}).exit_code == 0);
  CHECK(QImage(folder.filePath("a.png")) == QImage(folder.filePath("b.png")));
}

TEST_CASE("bad input is one line on stderr and exit code 2") {
  QTemporaryDir folder;
  write_runs(folder);
  write_file(folder.filePath("noise.tmk").toStdString(), "this is no trace");
  const std::string whole = read_file(folder.filePath("run.tmk").toStdString());
  write_file(folder.filePath("stump.tmk").toStdString(), whole.substr(0, 20));
  const std::vector<QStringList> bad = {
      {"missing.tmk", "--screenshot", "x.png"},
      {"noise.tmk", "--screenshot", "x.png"},
      {"stump.tmk", "--screenshot", "x.png"},
      {"run.tmk", "--screenshot", "no/such/folder/x.png"},
      {"run.tmk", "--screenshot", "x.png", "--size", "9x9"},
      {"run.tmk", "--screenshot", "x.png", "--budget", "much"},
      {"run.tmk", "--screenshot", "x.png", "--budget", "60%%"},
      {"run.tmk", "--screenshot", "x.png", "--budget", "0%"},
      {"run.tmk", "--screenshot", "x.png", "--at", "tea time"},
      {"run.tmk", "--screenshot", "x.png", "--at", "99999s"},
      {"run.tmk", "--screenshot", "x.png", "--size", "599x900"},
      {"run.tmk", "--screenshot", "x.bmp"},
      {"run.tmk", "--screenshot", "x.png", "--theme", "pink"},
      {"run.tmk", "--sceenshot", "x.png"},
      {"--screenshot", "x.png"},
      {"run.tmk", "--script", "missing.txt"},
      {"run.tmk"},  // a window without a display
  };
  for (const QStringList& arguments : bad) {
    const Outcome outcome = view(folder, arguments);
    CAPTURE(arguments.join(' ').toStdString(), outcome.err);
    CHECK(outcome.exit_code == 2);
    CHECK(line_count(outcome.err) == 1);
    CHECK(outcome.out.empty());
  }
  CHECK(QImage(folder.filePath("x.png")).isNull());
}

TEST_CASE("the smallest size that is accepted is the size of the picture") {
  QTemporaryDir folder;
  write_runs(folder);
  for (const char* size : {"600x400", "800x500"}) {
    CAPTURE(size);
    REQUIRE(view(folder, {"run.tmk", "planned.tmk", "--budget", "60%", "--screenshot", "s.png",
                          "--size", size})
                .exit_code == 0);
    const QImage image(folder.filePath("s.png"));
    CHECK(QString("%1x%2").arg(image.width()).arg(image.height()) == size);
  }
}

TEST_CASE("help and version are answered on stdout") {
  QTemporaryDir folder;
  const Outcome help = view(folder, {"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.out.find("--screenshot") != std::string::npos);
  CHECK(help.out.find("Example:") != std::string::npos);
  const Outcome version = view(folder, {"--version"});
  CHECK(version.exit_code == 0);
  CHECK(version.out.find("tidemark ") == 0);
}
