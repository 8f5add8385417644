#include "tests/bench/bench_checkmate.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "sim/engine.h"
#include "sim/timer.h"
#include "tests/planner/instance.h"
#include "tests/planner/validator.h"

using namespace tidemark;

namespace {

struct Options {
  std::string folder;
  double seconds = 10;
  bool cpu = false;          // seconds are of the processor, over both cores
  std::int64_t nodes = 0;    // moves in place of seconds: the same on every machine; 0 = seconds
  std::int64_t budget = -1;  // for instances that state none
  bool json = false;
};

struct Row {
  Instance instance;
  bool feasible = false;
  bool valid = false;
  std::int64_t cost = -1;
  std::int64_t bound = -1;
  std::int64_t ideal = 0;
  double seconds = 0;
  double cpu_seconds = 0;  // of the process, over all threads
};

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const bool has_value = i + 1 < arguments.size();
    if (arguments[i] == "--json") {
      options.json = true;
    } else if ((arguments[i] == "--seconds" || arguments[i] == "--cpu-seconds") && has_value) {
      options.cpu = arguments[i] == "--cpu-seconds";
      options.seconds = std::stod(arguments[++i]);
    } else if (arguments[i] == "--nodes" && has_value) {
      options.nodes = std::stoll(arguments[++i]);
    } else if (arguments[i] == "--budget" && has_value) {
      options.budget = std::stoll(arguments[++i]);
    } else {
      options.folder = arguments[i];
    }
  }
  return options;
}

Row measure(Instance instance, const Options& options) {
  Row row{.instance = std::move(instance)};
  if (row.instance.budget < 0) row.instance.budget = options.budget;
  const Timer wall;
  const Timer cpu(0, true);
  const Dataflow flow = dataflow_of(row.instance.graph);
  EngineRequest request;
  request.limit_bytes = row.instance.budget;
  request.nodes = options.nodes > 0 ? options.nodes : std::int64_t{1} << 60;
  if (options.nodes == 0) request.time_limit_s = options.seconds;
  request.cpu_time = options.cpu;
  const EngineResult result = run_engine(flow, request);
  row.seconds = wall.spent_s();
  row.cpu_seconds = cpu.spent_s();
  row.ideal = flow.compute_ns();
  row.bound = result.bound_cost_ns;
  row.feasible = result.fits;
  if (!result.fits) {
    row.valid = result.proven_infeasible;
    return row;
  }
  const Judgement judgement = judge(row.instance.graph, result.schedule.again);
  row.cost = judgement.cost;
  row.valid = judgement.errors.empty() && judgement.peak <= row.instance.budget &&
              judgement.cost == result.cost_ns && row.bound <= row.cost;
  return row;
}

double percent_over(std::int64_t value, std::int64_t reference) {
  return 100.0 * (static_cast<double>(value) / static_cast<double>(reference) - 1);
}

void print_row(const Row& row) {
  if (!row.feasible) {
    std::printf("%-24s %s %8.2f s\n", row.instance.name.c_str(),
                row.valid ? "proven: no schedule fits" : "NO SCHEDULE FOUND", row.seconds);
    return;
  }
  const auto against = [&](std::int64_t other) {
    return other < 0 ? std::string("       -")
                     : std::to_string(percent_over(row.cost, other)).substr(0, 7) + " %";
  };
  std::printf("%-24s %13lld %13lld %7.3f %% %s %s %8.2f %8.2f%s%s\n", row.instance.name.c_str(),
              static_cast<long long>(row.cost), static_cast<long long>(row.bound),
              percent_over(row.cost, row.bound), against(row.instance.best_by_solver).c_str(),
              against(row.instance.best_known).c_str(), row.seconds, row.cpu_seconds,
              row.cost == row.bound ? "  optimal" : "", row.valid ? "" : "  NOT VALID");
}

nlohmann::json json_of(const Row& row) {
  nlohmann::json entry{
      {"name", row.instance.name}, {"seconds", row.seconds},       {"cpu_seconds", row.cpu_seconds},
      {"feasible", row.feasible},  {"valid", row.valid},           {"ideal", row.ideal},
      {"bound", row.bound},        {"budget", row.instance.budget}};
  if (row.feasible) entry["cost"] = row.cost;
  if (row.instance.best_by_solver >= 0) entry["gurobi_24h_best"] = row.instance.best_by_solver;
  if (row.instance.best_known >= 0) entry["best_known"] = row.instance.best_known;
  return entry;
}

}  // namespace

int bench_checkmate(const std::vector<std::string>& arguments) {
  const Options options = parse(arguments);
  nlohmann::json out{{"rows", nlohmann::json::array()}};
  bool valid = true;
  if (!options.json) {
    std::printf("%-24s %13s %13s %9s %9s %9s %8s %8s\n", "instance", "cost", "bound", "gap",
                "solver", "best", "seconds", "cpu s");
  }
  for (Instance& instance : read_checkmate_folder(options.folder)) {
    const Row row = measure(std::move(instance), options);
    valid = valid && row.valid;
    options.json ? out["rows"].push_back(json_of(row)) : print_row(row);
    std::fflush(stdout);
  }
  if (options.json) std::puts(out.dump(2).c_str());
  return valid ? 0 : 1;
}
