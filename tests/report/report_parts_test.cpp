// Parts of a report: a search against every strategy that it looks at, walked one by one.
#include "sim/report_parts.h"

#include <cmath>

#include "../catch.h"
#include "report_samples.h"
#include "sim/site.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("report parts: a search keeps what no strategy beats, as looking at all of them finds") {
  const ReportSpec spec = spec_of(small_text());
  for (const ReportPart& part : report_parts(spec)) {
    const auto* space = std::get_if<SearchSpace>(&spec.strategies[part.strategy].what);
    if (space == nullptr) continue;
    const NamedTransformer& model = spec.models[part.model];
    const ReportDevice& device = spec.devices[part.device];
    SearchSpace one = space_for(spec, *space, model, device.ranks);
    one.recipes = {space->recipes[part.recipe]};
    one.recomputes = {space->recomputes[part.recompute]};
    std::vector<std::pair<double, double>> all;  // seconds and bytes of what may fit
    const StepTimes times(model.model, device.site);
    const std::int64_t visited = for_each_strategy(model.model, one, [&](const Strategy& s) {
      const MemoryDemand demand = demand_of(walk(model.model, s).memory.total(), s);
      if (verdict_of(demand, device.site) == Verdict::too_large) return;
      all.emplace_back(times.seconds(s).value_or(0), demand.expected_bytes());
    });
    const PartResult result = run_part(spec, part);
    CHECK(result.visited == visited);
    std::vector<std::pair<double, double>> front;
    for (const std::pair<double, double>& point : all) {
      const bool beaten = std::any_of(all.begin(), all.end(), [&](const auto& other) {
        return other.first <= point.first && other.second <= point.second && other != point;
      });
      if (!beaten) front.push_back(point);
    }
    std::sort(front.begin(), front.end());
    front.erase(std::unique(front.begin(), front.end()), front.end());
    std::vector<std::pair<double, double>> found;
    for (const ReportRow& row : result.rows) {
      const Strategy s = strategy_of(spec, part, row);
      const MemoryDemand demand = demand_of(row.peak.memory.total(), s);
      if (verdict_of(demand, device.site) == Verdict::too_large) continue;
      found.emplace_back(row.step_s.value_or(0), demand.expected_bytes());
    }
    CHECK(found == front);
    if (front.empty() && visited > 0) CHECK(result.rows.size() == 1);
    for (const ReportRow& row : result.rows) {
      CHECK(walk(model.model, strategy_of(spec, part, row)) == row.peak);
    }
  }
}

TEST_CASE("report parts: a line gives the same value back") {
  const ReportSpec spec = spec_of(small_text());
  const std::vector<ReportPart> parts = report_parts(spec);
  CHECK(parts.size() == 2 * 3 * (4 + 4));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const PartResult result = run_part(spec, parts[i]);
    const std::string line = to_line(i, result);
    CHECK(line.find('\n') == std::string::npos);
    CHECK(part_from_line(line, parts.size()) == std::pair(i, result));
  }
  for (const char* wrong : {"", "{}", "[1]", R"({"part": 99, "visited": 1})",
                            R"({"part": 1, "visited": 1, "refused": 0, "rows": [{}]})"}) {
    CHECK_THROWS_AS(part_from_line(wrong, parts.size()), InputError);
  }
}

TEST_CASE("report parts: what cannot be says why") {
  const ReportSpec spec = spec_of(small_text());
  // "tensor" on one device
  const PartResult result = run_part(spec, {.model = 0, .device = 0, .strategy = 2});
  CHECK(result.rows.empty());
  CHECK(result.reason.find("layout: expected sizes whose product is 1 ranks") == 0);
}
