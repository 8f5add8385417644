#include "gui/recordings.h"

#include <unistd.h>

#include <filesystem>

#include "gui/legend.h"
#include "gui/run.h"
#include "sim/export_chrome.h"
#include "sim/export_pytorch.h"
#include "sim/export_sqlite.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;

namespace {

/// A folder that is gone at the end of the test.
struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() /
                               ("tidemark_recordings." + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string with(const std::string& name, const std::string& content) const {
    const std::string file = (path / name).string();
    write_file(file, content);
    return file;
  }
};

std::string sqlite_of(const Trace& trace) {
  try {
    return to_sqlite(trace);
  } catch (const InputError&) {  // a build without it
    return {};
  }
}

/// A training run on two devices of one recording, the second with more.
Trace two_devices() {
  Trace trace = test::training_trace({.step_count = 1});
  const std::size_t count = trace.buffers.size();
  for (std::size_t row = 0; row < count; ++row) {
    Buffer& buffer = trace.buffers[row];
    buffer.space.rank = row % 3 == 0 ? 0 : 1;
  }
  return trace;
}

}  // namespace

TEST_CASE("every form that import reads is told by its content, whatever its name") {
  const Folder folder;
  const Trace trace = test::training_trace({});
  const std::int64_t peak_bytes = test::run_of(trace)->timeline().run_peak.bytes;
  std::vector<std::pair<std::string, std::string>> forms = {{"binary", to_binary(trace)},
                                                            {"text", to_text(trace)},
                                                            {"chrome", to_chrome(trace)},
                                                            {"snapshot", to_snapshot(trace)}};
  if (std::string sqlite = sqlite_of(trace); !sqlite.empty()) forms.emplace_back("db", sqlite);
  for (const auto& [name, content] : forms) {
    CAPTURE(name);
    const std::vector<RunPtr> runs = load_runs(folder.with(name, content));
    REQUIRE(runs.size() == 1);
    CHECK(runs[0]->timeline().run_peak.bytes == peak_bytes);
  }
}

TEST_CASE("a bare array of events is a recording, and a trace that names its key is a trace") {
  const Folder folder;
  Trace trace = test::training_trace({.step_count = 1});
  const std::string chrome = to_chrome(trace);
  const std::size_t begin = chrome.find('[');
  const std::string array = chrome.substr(begin, chrome.rfind(']') - begin + 1);
  CHECK(read_recordings(folder.with("array", array)).size() == 1);
  trace.buffers[0].name = "a \"traceEvents\": b";
  CHECK(read_recordings(folder.with("text", to_text(trace)))[0].buffers[0].name ==
        trace.buffers[0].name);
}

TEST_CASE("the devices of one recording are runs of their own, the fullest first") {
  const Folder folder;
  const std::vector<RunPtr> runs = load_runs(folder.with("two.json", to_chrome(two_devices())));
  REQUIRE(runs.size() == 2);
  CHECK(runs[0]->trace().meta.rank == 1);
  CHECK(runs[0]->timeline().run_peak.bytes > runs[1]->timeline().run_peak.bytes);
  ViewState state = test::state_of(runs[0]);
  lay_over(state, runs[1]);
  CHECK(label_of(state, *runs[0]) == "two.json rank 1");
  CHECK(label_of(state, *runs[1]) == "two.json rank 0");
}

TEST_CASE("what is no recording, or a damaged one, is refused with its name") {
  const Folder folder;
  const std::string chrome = to_chrome(test::training_trace({.step_count = 1}));
  const std::string snapshot = to_snapshot(test::training_trace({.step_count = 1}));
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"empty", ""},
      {"blank", " \n"},
      {"noise", "this is no trace"},
      {"other.json", R"({"name": 1})"},
      {"cut.json", chrome.substr(0, 40)},
      {"no_events.json", R"({"traceEvents": []})"},
      {"cut.pickle", snapshot.substr(0, snapshot.size() / 2)},
      {"one_byte.pickle", "\x80"},
      {"no.sqlite", std::string("SQLite format 3\0 and nothing more", 33)}};
  for (const auto& [name, content] : bad) {
    CAPTURE(name);
    const std::string file = folder.with(name, content);
    try {
      static_cast<void>(load_runs(file));
      FAIL("it was opened");
    } catch (const InputError& error) {
      CHECK(std::string(error.what()).find(name) != std::string::npos);
    }
  }
}
