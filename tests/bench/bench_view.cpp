// How long the window takes for a large trace: bench_view [--json] [CHANGES]. CPU time of this
// process, so that a busy machine does not matter much. Exit code 1 when the picture is wrong.
#include <fmt/format.h>

#include <QApplication>
#include <QPixmap>
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string_view>
#include <vector>

#include "gui/timeline_widget.h"
#include "tests/gui/synthetic.h"
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
  std::sort(values.begin(), values.end());
  return values[values.size() * 95 / 100];
}

struct Result {
  double read_s = 0;  // bytes to trace
  double open_s = 0;  // bytes to the first picture
  double frame_p95_ms = 0;
  double alive_p95_ms = 0;
  bool valid = true;
};

/// A sweep from everything to a millionth, around the peak; one picture each.
void measure_frames(TimelineWidget& timeline, Result& result) {
  const ViewRange all = limits_of(timeline.state());
  const Peak& peak = timeline.state().run->timeline().run_peak;
  std::vector<double> frame_ms;
  for (double share = 1; share > 1e-6; share *= 0.8) {
    const auto span = static_cast<std::int64_t>(static_cast<double>(all.span()) * share);
    frame_ms.push_back(
        1e3 * seconds_of([&] {
          timeline.set_range({peak.time_ns - span / 2, peak.time_ns - span / 2 + span});
          timeline.grab();
        }));
    const auto highest = std::max_element(
        timeline.columns().begin(), timeline.columns().end(),
        [](const auto& a, const auto& b) { return a.extremes.max_bytes < b.extremes.max_bytes; });
    result.valid = result.valid && highest->extremes.max_bytes == peak.bytes;
  }
  result.frame_p95_ms = percentile_95(frame_ms);
}

void measure_alive(const Run& run, Result& result) {
  std::vector<double> query_ms;
  const std::int64_t count = run.pyramid().change_count();
  for (std::int64_t change = 0; change < count; change += count / 997 + 1) {
    std::int64_t bytes = 0;
    query_ms.push_back(1e3 * seconds_of([&] {
                         for (const std::size_t row : run.alive().alive_after(change)) {
                           bytes += run.alive().lifetimes()[row].bytes;
                         }
                       }));
    result.valid = result.valid && bytes == run.pyramid().total_after(change);
  }
  result.alive_p95_ms = percentile_95(query_ms);
}

Result measure(std::int64_t change_count) {
  Result result;
  const std::string bytes =
      to_binary(test::random_trace({.seed = 1, .change_count = change_count}));
  TimelineWidget timeline;
  timeline.resize(1920, 1080);
  RunPtr run;
  result.open_s = seconds_of([&] {
    Trace trace;
    result.read_s = seconds_of([&] { trace = from_bytes(bytes, "bench"); });
    run = test::run_of(std::move(trace));
    timeline.set_run(run);
    timeline.grab();
  });
  measure_frames(timeline, result);
  measure_alive(*run, result);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  qputenv("QT_QPA_PLATFORM", "offscreen");
  QApplication application(argc, argv);
  bool json = false;
  std::int64_t change_count = 1'000'000;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json") {
      json = true;
    } else {
      change_count = std::max(std::atoll(argv[i]), 1LL);
    }
  }
  const Result r = measure(change_count);
  if (json) {
    fmt::print(
        "{{\"changes\": {}, \"read_s\": {:.4f}, \"open_s\": {:.4f}, \"frame_p95_ms\": {:.3f}, "
        "\"alive_p95_ms\": {:.4f}, \"valid\": {}}}\n",
        change_count, r.read_s, r.open_s, r.frame_p95_ms, r.alive_p95_ms, r.valid);
  } else {
    fmt::print("{} changes, 1920x1080, CPU time\n", change_count);
    fmt::print("read           {:8.1f} ms\nopen           {:8.1f} ms\n", 1e3 * r.read_s,
               1e3 * r.open_s);
    fmt::print("frame, p95     {:8.2f} ms\nalive at, p95  {:8.3f} ms\npicture right  {}\n",
               r.frame_p95_ms, r.alive_p95_ms, r.valid ? "yes" : "NO");
  }
  return r.valid ? 0 : 1;
}
