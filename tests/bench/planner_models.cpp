// Plans for built-in models over budgets and methods: how much slower the step gets, how far that
// is from the proven bound, and how long the search takes.
#include <cstdio>
#include <string_view>

#include "sim/builder.h"
#include "sim/check.h"
#include "sim/config.h"
#include "sim/device.h"
#include "sim/placement.h"
#include "sim/search.h"
#include "sim/timeline.h"
#include "tests/bench/bench_rows.h"

namespace tidemark::bench {
namespace {

struct Row {
  std::string name;
  bool feasible = false;
  bool valid = true;
  std::int64_t cost = 0;   // ns of one step
  std::int64_t bound = 0;  // no plan of these kinds is faster; bytes when nothing fits
  std::int64_t ideal = 0;  // ns of one step that keeps everything
  double seconds = 0;
};

Row measure(const Trace& source, const std::string& name, const SearchRequest& request) {
  const Stopwatch watch;
  const SearchResult result = search(source, request);
  Row row{.name = name, .feasible = result.feasible, .seconds = watch.seconds()};
  row.ideal = replay(source).step_ns;
  row.bound = result.infeasible.bound_bytes;
  if (!result.feasible) return row;
  row.cost = result.planned.plan.step_ns;
  row.bound = result.planned.plan.bound_step_ns;
  row.valid = check(result.planned).empty() && row.cost >= row.bound &&
              placement_height(result.planned) <= request.budget_bytes;
  return row;
}

std::vector<Row> measure_all() {
  std::vector<Row> rows;
  for (const char* model : {"gpt2-tiny", "gpt-small"}) {
    Trace source = build_program(default_run(model));
    const Device& device = find_device("h100-80g");
    fill_modelled_times(device, source);
    const std::int64_t peak_bytes = replay(source).peak.bytes;
    for (const int percent : {80, 60, 40}) {
      for (const char* method : {"chen-sqrt", "greedy", "offload", "auto"}) {
        SearchRequest request;
        request.method = method;
        request.budget_bytes = peak_bytes * percent / 100;
        request.allow_offload =
            std::string_view(method) != "greedy" && std::string_view(method) != "chen-sqrt";
        request.link_bytes_per_s = device.host_link_bytes_per_s;
        request.link_latency_ns = device.launch_ns;
        const std::string name = std::string(model) + " " + std::to_string(percent) + "% " + method;
        rows.push_back(measure(source, name, request));
      }
    }
  }
  return rows;
}

void print_table(const std::vector<Row>& rows) {
  std::printf("%-28s %10s %10s %9s\n", "model budget method", "slower", "bound", "seconds");
  for (const Row& row : rows) {
    if (row.feasible) {
      std::printf("%-28s %8.2f %% %8.2f %% %9.3f%s\n", row.name.c_str(),
                  percent_over(row.cost, row.ideal), percent_over(row.bound, row.ideal),
                  row.seconds, row.valid ? "" : "  NOT VALID");
    } else {
      std::printf("%-28s %21s %9.3f\n", row.name.c_str(), "no plan fits", row.seconds);
    }
  }
}

Json json_of(const Row& row) {
  Json entry{{"name", row.name},
             {"seconds", row.seconds},
             {"feasible", row.feasible},
             {"valid", row.valid},
             {"ideal", row.ideal}};
  if (row.feasible) entry["cost"] = row.cost;
  entry[row.feasible ? "bound" : "bound_bytes"] = row.bound;
  return entry;
}

}  // namespace

Outcome models(bool json) {
  const std::vector<Row> rows = measure_all();
  if (!json) print_table(rows);
  Outcome outcome;
  for (const Row& row : rows) {
    outcome.rows.push_back(json_of(row));
    outcome.valid = outcome.valid && row.valid;
  }
  return outcome;
}

}  // namespace tidemark::bench
