#include "tests/planner/instance.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/planner/validator.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

/// The shared data folder, beside the source tree or named by the environment; may be absent.
std::string shared_data() {
  const char* named = std::getenv("TIDEMARK_SHARED_DATA");
  return named != nullptr ? named : TIDEMARK_SOURCE_DIR "/../shared/data";
}

Instance from_text(const std::string& text) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("tidemark_instance_test." + std::to_string(getpid()) + ".json");
  std::ofstream(path) << text;
  const Instance instance = read_checkmate(path.string());
  std::filesystem::remove(path);
  return instance;
}

}  // namespace

TEST_CASE("instance: both forms are read") {
  const Instance object = from_text(R"({"avail_kb": 9, "edges": [[0, 1]],
    "nodes": [{"cost": 3, "mem_kb": 4}, {"cost": 5, "mem_kb": 6}],
    "known": {"solution_cost": 11, "solution_recompute": [[1, 0], [1, 1]]}})");
  CHECK(object.graph.costs == std::vector<std::int64_t>{3, 5});
  CHECK(object.graph.sizes == std::vector<std::int64_t>{4, 6});
  CHECK(object.budget == 9);
  CHECK(object.best_by_solver == 11);
  CHECK(object.solver_schedule == std::vector<std::pair<Position, Position>>{{1, 0}});
  const Instance list = from_text(R"([{"id": 0, "cost": 1, "mem": 2, "deps": []},
                                      {"id": 1, "cost": 3, "mem": 4, "deps": [0]}])");
  CHECK(list.graph.edges == object.graph.edges);
  CHECK(list.budget == -1);
}

TEST_CASE("instance: bad files are refused") {
  for (const char* text : {"", "{", "{}", "[1]", R"({"avail_kb": 1, "edges": [[0]], "nodes": []})",
                           R"([{"id": 0, "cost": 1, "mem": 2, "deps": [0]}])",
                           R"([{"id": 0, "cost": -1, "mem": 2, "deps": []}])"}) {
    INFO(text);
    CHECK_THROWS_AS(from_text(text), InputError);
  }
}

TEST_CASE("instance: the solver's schedules cost what its logs say") {
  const std::string folder = shared_data() + "/planner/checkmate_p100";
  if (!std::filesystem::exists(folder)) {
    WARN("skipped: no " << folder);
    return;
  }
  for (const Instance& instance : read_checkmate_folder(folder)) {
    Schedule schedule = keep_all_schedule(dataflow_of(instance.graph));
    for (const auto& [stage, op] : instance.solver_schedule) {
      schedule.again[static_cast<std::size_t>(stage)].push_back(op);
    }
    for (auto& stage : schedule.again) std::sort(stage.begin(), stage.end());
    const Judgement judgement = judge(instance.graph, schedule.again);
    INFO(instance.name);
    CHECK(judgement.errors.empty());
    CHECK(judgement.cost == instance.best_by_solver);
    CHECK(judgement.peak <= instance.budget);
    const ScheduleFigures figures = evaluate(dataflow_of(instance.graph), schedule);
    CHECK(figures.cost_ns == judgement.cost);
    CHECK(figures.peak_bytes == judgement.peak);
  }
}
