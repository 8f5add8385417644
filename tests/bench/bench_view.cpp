// How long the window takes for a large trace: bench_view [--json] [--keep FILE] [EVENTS]. CPU
// time, so that a busy machine does not matter much; each part in a process of its own. Exit code 1
// when a picture is wrong or a target is missed.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QApplication>
#include <QPixmap>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <type_traits>
#include <vector>

#include "gui/alive_model.h"
#include "gui/lane_widget.h"
#include "gui/minimap_widget.h"
#include "gui/timeline_widget.h"
#include "gui/view_index.h"
#include "tests/gui/synthetic.h"
#include "tests/paths.h"
#include "traces/file.h"

namespace {

using namespace tidemark;

double cpu_s() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

template <class Work>
double seconds_of(Work work) {
  const double begin_s = cpu_s();
  work();
  return cpu_s() - begin_s;
}

double percentile_95(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() * 95 / 100];
}

/// What `work` returns in a process of its own.
template <class Work>
auto in_child(Work work) {
  using Result = std::invoke_result_t<Work>;
  static_assert(std::is_trivially_copyable_v<Result>);
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  const pid_t child = ::fork();
  if (child == 0) {
    const Result result = work();
    const bool told = ::write(ends[1], &result, sizeof result) == sizeof result;
    ::_exit(told ? 0 : 1);
  }
  ::close(ends[1]);
  Result result{};
  const bool heard = ::read(ends[0], &result, sizeof result) == sizeof result;
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!heard || status != 0) {
    fmt::print(stderr, "bench_view: a part did not end well\n");
    std::exit(1);
  }
  return result;
}

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t all_pages = 0;
  std::int64_t resident_pages = 0;
  statm >> all_pages >> resident_pages;
  return resident_pages * ::sysconf(_SC_PAGESIZE);
}

std::int64_t highest_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

/// A transformer of 96 layers, as many steps as it takes.
std::int64_t generate(const std::string& path, std::int64_t event_count) {
  test::TrainingSpec spec{.layer_count = 96, .step_count = 1};
  const auto of_one = static_cast<std::int64_t>(test::training_trace(spec).events.size());
  spec.step_count = 2;
  const auto of_two = static_cast<std::int64_t>(test::training_trace(spec).events.size());
  spec.step_count =
      static_cast<int>(std::max<std::int64_t>((event_count - of_one) / (of_two - of_one) + 2, 1));
  const Trace trace = test::training_trace(spec);
  write_trace(trace, path);
  return static_cast<std::int64_t>(trace.events.size());
}

struct Opened {
  double open_s = 0;  // file to first picture
  double store_s = 0;
  double frame_p95_ms = 0;
  double alive_p95_ms = 0;
  double table_p95_ms = 0;    // to the texts of the rows that are seen
  double lanes_p95_ms = 0;    // what a frame needs beside the timeline
  double regroup_p95_ms = 0;  // to the picture by another grouping
  double part_ms = 0;         // to the picture of one category alone
  double every_step_ms = 0;   // to that of all steps over the steady one
  std::int64_t changes = 0;
  std::int64_t lifetimes = 0;
  std::int64_t opened_bytes = 0;  // resident after the first picture
  std::int64_t most_bytes = 0;    // at any time until then
  std::int64_t used_bytes = 0;    // after all that is measured
  bool indexed = false;
  bool valid = true;
};

/// From everything to a millionth around the peak, with three moves at each size; a picture each.
void measure_frames(TimelineWidget& timeline, Opened& result) {
  LaneWidget lanes(timeline);
  MinimapWidget minimap(timeline);
  emit timeline.mode_changed();  // the lanes are those of the run
  lanes.resize(1920, std::max(lanes.sizeHint().height(), 1));
  minimap.resize(1920, MinimapWidget::k_height_px);
  std::vector<double> lanes_ms;
  const ViewRange all = limits_of(timeline.state());
  const Peak& peak = timeline.state().run->timeline().run_peak;
  std::vector<double> frame_ms;
  const auto show = [&](std::int64_t begin, std::int64_t span) {
    frame_ms.push_back(1e3 * seconds_of([&] {
                         timeline.set_range({begin, begin + span});
                         timeline.grab();
                       }));
    lanes_ms.push_back(1e3 * seconds_of([&] {
                         lanes.grab();
                         minimap.grab();
                       }));
  };
  for (double share = 1; share > 1e-6; share *= 0.8) {
    const auto span = static_cast<std::int64_t>(static_cast<double>(all.span()) * share);
    for (const std::int64_t part : {3, -7, 11}) show(peak.time_ns - span / 2 + span / part, span);
    show(peak.time_ns - span / 2, span);
    const auto highest = std::max_element(
        timeline.columns().begin(), timeline.columns().end(),
        [](const auto& a, const auto& b) { return a.extremes.max_bytes < b.extremes.max_bytes; });
    result.valid = result.valid && highest->extremes.max_bytes == peak.bytes &&
                   total_bytes(highest->at_max) == peak.bytes;
  }
  result.frame_p95_ms = percentile_95(frame_ms);
  result.lanes_p95_ms = percentile_95(lanes_ms);
}

void measure_instants(const RunPtr& run, Opened& result) {
  std::vector<double> query_ms;
  std::vector<double> table_ms;
  AliveModel table;
  const std::int64_t count = run->pyramid().change_count();
  for (std::int64_t change = 0; change < count; change += count / 997 + 1) {
    std::int64_t bytes = 0;
    query_ms.push_back(1e3 * seconds_of([&] {
                         for (const std::size_t row : run->alive().alive_after(change)) {
                           bytes += run->alive().lifetime(row).bytes;
                         }
                       }));
    result.valid = result.valid && bytes == run->pyramid().total_after(change);
  }
  for (std::int64_t change = 0; change < count; change += count / 97 + 1) {
    table_ms.push_back(1e3 * seconds_of([&] {
                         table.show(run, change, 0);
                         constexpr int k_seen_rows = 40;
                         for (int row = 0; row < std::min(table.rowCount(), k_seen_rows); ++row) {
                           for (int column = 0; column < AliveModel::column_count; ++column) {
                             static_cast<void>(
                                 table.data(table.index(row, column), Qt::DisplayRole));
                           }
                         }
                       }));
  }
  result.alive_p95_ms = percentile_95(query_ms);
  result.table_p95_ms = percentile_95(table_ms);
}

void measure_groupings(TimelineWidget& timeline, Opened& result) {
  std::vector<double> ms;
  for (std::size_t by = 0; by < k_group_by_count; ++by) {
    ms.push_back(1e3 * seconds_of([&] {
                   timeline.set_group_by(static_cast<StackBy>(by));
                   timeline.grab();
                 }));
  }
  result.regroup_p95_ms = percentile_95(ms);
}

void measure_parts(TimelineWidget& timeline, Opened& result) {
  timeline.set_group_by(StackBy::category);
  timeline.set_range(limits_of(timeline.state()));
  result.every_step_ms = 1e3 * seconds_of([&] {
                           timeline.set_every_step(true);
                           timeline.grab();
                         });
  timeline.set_one_step(false);
  result.part_ms = 1e3 * seconds_of([&] {
                     timeline.set_filter({{StackBy::category, "activation"}});
                     timeline.grab();
                   });
  const Run& part = *timeline.state().run;
  for (const BufferId buffer : part.timeline().run_peak.owners) {
    result.valid = result.valid && part.trace()[buffer].category == Category::activation;
  }
  timeline.set_filter({});
}

Opened open_and_measure(const std::string& path, bool store) {
  int argc = 1;
  char name[] = "bench_view";
  char* argv[] = {name, nullptr};
  QApplication application(argc, argv);
  Opened result;
  TimelineWidget timeline;
  timeline.resize(1920, 1080);
  RunPtr run;
  result.open_s = seconds_of([&] {
    run = load_run(path);
    timeline.set_run(run);
    timeline.grab();
  });
  result.opened_bytes = resident_bytes();
  result.most_bytes = highest_resident_bytes();
  result.changes = run->pyramid().change_count();
  result.lifetimes = run->alive().count();
  result.indexed = run->fingerprint_to_store() == 0;
  if (store && !result.indexed) {
    const std::uint64_t fingerprint = run->fingerprint_to_store();
    const std::string at = view_index_path(view_index_folder(), fingerprint);
    result.store_s = seconds_of([&] { result.valid = store_view_index(*run, fingerprint, at); });
  }
  measure_frames(timeline, result);
  measure_instants(run, result);
  measure_groupings(timeline, result);
  measure_parts(timeline, result);
  result.used_bytes = resident_bytes();
  return result;
}

/// CPU time of the real program from its start to its first picture, and its end.
double cold_start_s(const std::string& picture) {
  std::vector<double> seconds;
  for (int i = 0; i < 5; ++i) {
    rusage before{};
    getrusage(RUSAGE_CHILDREN, &before);
    const pid_t child = ::fork();
    if (child == 0) {
      if (std::freopen("/dev/null", "w", stdout) == nullptr) ::_exit(1);
      ::execl(TIDEMARK_BIN_DIR "/tidemark-view", "tidemark-view",
              TIDEMARK_SOURCE_DIR "/traces/samples/gpt2-tiny.tmk", "--screenshot", picture.c_str(),
              static_cast<char*>(nullptr));
      ::_exit(1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status != 0) return -1;
    rusage after{};
    getrusage(RUSAGE_CHILDREN, &after);
    const auto s = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    seconds.push_back(s(after.ru_utime) - s(before.ru_utime) + s(after.ru_stime) -
                      s(before.ru_stime));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

struct Row {
  const char* name;
  double value;
  double target;
  const char* unit;
  [[nodiscard]] bool met() const { return value >= 0 && value <= target; }
};

int report(const std::vector<Row>& rows, const Opened& first, std::int64_t events, bool valid,
           bool json) {
  bool good = valid;
  for (const Row& row : rows) good = good && row.met();
  if (json) {
    std::string fields;
    for (const Row& row : rows) {
      fields += fmt::format("\"{}\": {:.4f}, \"{}_target\": {:.4f}, ", row.name, row.value,
                            row.name, row.target);
    }
    fmt::print(
        "{{\"events\": {}, \"changes\": {}, \"tensors\": {}, {}\"valid\": {}, \"met\": {}}}\n",
        events, first.changes, first.lifetimes, fields, valid, good);
  } else {
    fmt::print("{} events, {} of them allocations and frees, {} lives of tensors; CPU time\n",
               events, first.changes, first.lifetimes);
    for (const Row& row : rows) {
      fmt::print("{:22} {:10.3f} {:8} target {:10.3f}  {}\n", row.name, row.value, row.unit,
                 row.target, row.met() ? "met" : "MISSED");
    }
    fmt::print("pictures right         {}\n", valid ? "yes" : "NO");
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  qputenv("QT_QPA_PLATFORM", "offscreen");
  bool json = false;
  std::string path;
  std::int64_t event_count = 10'000'000;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--json") {
      json = true;
    } else if (argument == "--keep" && i + 1 < argc) {
      path = argv[++i];
    } else {
      event_count = std::max(std::atoll(argv[i]), 1LL);
    }
  }
  const std::string folder =
      (std::filesystem::temp_directory_path() / fmt::format("bench_view.{}", ::getpid())).string();
  std::filesystem::create_directories(folder);
  setenv("XDG_CACHE_HOME", folder.c_str(), 1);
  if (path.empty()) path = folder + "/large.tmk";
  const auto events = in_child([&] { return generate(path, event_count); });
  const Opened first = in_child([&] { return open_and_measure(path, true); });
  const Opened again = in_child([&] { return open_and_measure(path, false); });
  const double start_s = cold_start_s(folder + "/start.png");
  std::filesystem::remove_all(folder);
  const double scale = static_cast<double>(events) / 1e7;
  const auto per_event = [events](std::int64_t bytes) {
    constexpr double k_fixed_bytes = 100e6;
    return (static_cast<double>(bytes) - k_fixed_bytes) / static_cast<double>(events);
  };
  const bool small = first.changes < ViewIndex::k_least_changes;
  return report({{"open_s", first.open_s, std::max(scale, 0.1), "s"},
                 {"open_indexed_s", again.open_s, std::max(0.3 * scale, 0.1), "s"},
                 {"frame_p95_ms", std::max(first.frame_p95_ms, again.frame_p95_ms), 12, "ms"},
                 {"lanes_p95_ms", std::max(first.lanes_p95_ms, again.lanes_p95_ms), 5, "ms"},
                 {"alive_p95_ms", std::max(first.alive_p95_ms, again.alive_p95_ms), 1, "ms"},
                 {"table_p95_ms", first.table_p95_ms, 30, "ms"},
                 {"regroup_p95_ms", first.regroup_p95_ms, 1000 * scale + 100, "ms"},
                 {"part_ms", first.part_ms, 1000 * scale + 100, "ms"},
                 {"every_step_ms", first.every_step_ms, 1000 * scale + 100, "ms"},
                 {"rss_bytes_per_event", std::max(per_event(first.most_bytes), 0.0), 40, "B"},
                 {"rss_used_per_event", std::max(per_event(first.used_bytes), 0.0), 40, "B"},
                 {"cold_start_ms", 1e3 * start_s, 200, "ms"},
                 {"store_s", first.store_s, 2 * scale + 0.1, "s"}},
                first, events, first.valid && again.valid && (small || again.indexed), json);
}
