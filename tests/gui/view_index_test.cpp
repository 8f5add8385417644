#include "gui/view_index.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "gui/instant.h"
#include "gui/run.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"
#include "traces/file.h"

using namespace tidemark;

namespace {

namespace fs = std::filesystem;

/// A folder of its own for the test, and the index folder within it.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("view_index." + std::to_string(::getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

void check_same(const Run& found, const Run& expected) {
  const RunTimeline& a = found.timeline();
  const RunTimeline& b = expected.timeline();
  REQUIRE(a.changes.size() == b.changes.size());
  for (std::size_t i = 0; i < a.changes.size(); i += 7) REQUIRE(a.changes[i] == b.changes[i]);
  CHECK(a.spans == b.spans);
  CHECK(a.step_begin_ns == b.step_begin_ns);
  CHECK(a.peak == b.peak);
  CHECK(a.run_peak == b.run_peak);
  CHECK(a.eval_peak == b.eval_peak);
  CHECK(a.event_count == b.event_count);
  CHECK(a.end_ns == b.end_ns);
  CHECK(a.step_ns == b.step_ns);
  CHECK(found.trace() == expected.trace());
  for (const Axis axis : {Axis::time, Axis::change}) {
    const ColumnScale scale{expected.whole(axis), 333};
    CHECK(found.pyramid().columns(scale, axis) == expected.pyramid().columns(scale, axis));
  }
  for (std::int64_t change = 0; change < found.pyramid().change_count(); change += 99'991) {
    CHECK(alive_rows(found, change) == alive_rows(expected, change));
  }
}

}  // namespace

TEST_CASE("a run that is opened by its index is the run that was read") {
  const Folder folder;
  ::setenv("XDG_CACHE_HOME", folder.file("cache").c_str(), 1);
  const std::string path = folder.file("run.tmk");
  write_trace(test::random_trace({.seed = 3, .change_count = ViewIndex::k_least_changes + 1}),
              path);
  const RunPtr first = load_run(path);
  const std::uint64_t fingerprint = first->fingerprint_to_store();
  REQUIRE(fingerprint != 0);
  const std::string index = view_index_path(view_index_folder(), fingerprint);
  REQUIRE(index.find(folder.file("cache")) == 0);
  REQUIRE(store_view_index(*first, fingerprint, index));
  const RunPtr again = load_run(path);
  CHECK(again->fingerprint_to_store() == 0);  // it came from the index
  check_same(*again, *first);

  // An index that does not fit is no index: of another trace, cut off, or with one wrong byte.
  CHECK(ViewIndex::open(index, fingerprint + 1) == nullptr);
  const std::string whole = read_file(index);
  for (const std::size_t at : {whole.size() / 3, whole.size() - 1, std::size_t{9}}) {
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    write_file(index, bad);
    CHECK(ViewIndex::open(index, fingerprint) == nullptr);
  }
  write_file(index, whole.substr(0, whole.size() / 2));
  CHECK(ViewIndex::open(index, fingerprint) == nullptr);
  check_same(*load_run(path), *first);

  // The trimming removes what was used longest ago.
  const std::string old = folder.file("cache/tidemark/0.view");
  write_file(old, "old");
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(9));
  trim_view_indices(view_index_folder(), static_cast<std::int64_t>(whole.size() / 2));
  CHECK_FALSE(fs::exists(old));
  CHECK(fs::exists(index));
  ::unsetenv("XDG_CACHE_HOME");
}

TEST_CASE("an index that cannot be written is no fault") {
  const auto run = test::run_of(test::training_trace({}));
  CHECK_FALSE(store_view_index(*run, 5, "/dev/null/folder/x.view"));
}
