// What recording costs: time and bytes per event, and the share of a training step.
// Exit code 1 when the result is not valid.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "profiler/backend.h"
#include "profiler/executor.h"
#include "sim/builder.h"
#include "traces/file.h"

namespace tidemark {
namespace {

/// Best of several by CPU time: alloc, op_begin, op_end and free in turn, time stamps included.
double ns_per_event() {
  constexpr int k_rounds = 250'000;
  double best = 1e9;
  for (int attempt = 0; attempt < 7; ++attempt) {
    const Clock clock(false);
    Recorder recorder(clock, 4 * k_rounds);
    const auto run = [&] {
      for (int i = 0; i < k_rounds; ++i) {
        recorder.alloc(BufferId{std::size_t{1}}, 0, 256);
        recorder.op_begin(OpId{std::size_t{1}});
        recorder.op_end(OpId{std::size_t{1}});
        recorder.free(BufferId{std::size_t{1}});
      }
    };
    const std::int64_t begin_ns = thread_cpu_ns();
    run();
    // The first pass over fresh pages belongs to the price.
    best = std::min(best, static_cast<double>(thread_cpu_ns() - begin_ns) / (4.0 * k_rounds));
  }
  return best;
}

struct Figures {
  std::string name;
  double seconds = 0;  // CPU time of the best step
  std::size_t events = 0;
  double bytes_per_event = 0;
  double overhead_ratio = 0;  // recording / step
};

Figures figures_of(const std::string& model, double event_ns) {
  const RunConfig config = default_run(model);
  const Dataset data = find_dataset(config, "");
  RunOptions options;
  options.steps = 20;
  options.data = &data;
  options.digests = false;
  Trace trace = run(build_program(config), options);
  std::int64_t best_ns = trace.steps.back().cpu_ns;
  for (const StepRecord& step : trace.steps) best_ns = std::min(best_ns, step.cpu_ns);
  const std::size_t with_events = to_binary(trace).size();
  const std::size_t events = trace.events.size();
  trace.events.clear();
  const std::size_t without_events = to_binary(trace).size();
  const double per_step = static_cast<double>(events) / static_cast<double>(options.steps);
  return {.name = model,
          .seconds = static_cast<double>(best_ns) * 1e-9,
          .events = events,
          .bytes_per_event =
              static_cast<double>(with_events - without_events) / static_cast<double>(events),
          .overhead_ratio = per_step * event_ns / static_cast<double>(best_ns)};
}

int bench(bool as_json) {
  const double event_ns = ns_per_event();
  std::vector<Figures> all;
  for (const char* model : {"gpt2-tiny", "gpt-small"}) all.push_back(figures_of(model, event_ns));
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Figures& f : all) {
    rows.push_back({{"name", f.name},
                    {"seconds", f.seconds},
                    {"events", f.events},
                    {"ns_per_event", event_ns},
                    {"bytes_per_event", f.bytes_per_event},
                    {"overhead_ratio", f.overhead_ratio}});
    if (!as_json) {
      fmt::print(
          "{:<12} step {:8.3f} ms  {:6} events  {:5.1f} ns/event  {:5.2f} B/event  "
          "overhead {:.3f} %\n",
          f.name, f.seconds * 1e3, f.events, event_ns, f.bytes_per_event, 100 * f.overhead_ratio);
    }
  }
  const nlohmann::ordered_json json{{"ns_per_event", event_ns},
                                    {"bytes_per_event", all.front().bytes_per_event},
                                    {"overhead_ratio", all.front().overhead_ratio},
                                    {"rows", rows}};
  if (as_json) fmt::print("{}\n", json.dump(2));
  const bool valid = event_ns > 0 && all.front().bytes_per_event > 0;
  return valid ? 0 : 1;
}

}  // namespace
}  // namespace tidemark

int main(int argc, char** argv) {
  return tidemark::bench(argc > 1 && std::strcmp(argv[1], "--json") == 0);
}
