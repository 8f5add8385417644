#include "profiler/rank_report.h"

#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/profiler/programs.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

RanksResult run_zero1(std::int64_t device_memory_bytes) {
  std::vector<Trace> programs =
      read_ranks(std::string(TIDEMARK_SOURCE_DIR) + "/tests/golden/zero1/zero1.tmk.json");
  for (Trace& program : programs) program.plan.peak_bytes = 2048;
  const Dataset data = small_table();
  return execute_ranks(programs,
                       {.steps = 2, .device_memory_bytes = device_memory_bytes, .data = &data});
}

}  // namespace

TEST_CASE("the report of ranks has a row for each, with the error of its plan") {
  const RanksResult result = run_zero1(1 << 20);
  const std::string text = ranks_text(result, "out.tmk");
  CHECK_THAT(text, Catch::Contains("+0 B") && Catch::Contains("2.00 KiB"));
  CHECK_THAT(text, Catch::Contains("written to out.tmk"));
  const auto json = nlohmann::json::parse(ranks_json(result, "out.tmk"));
  REQUIRE(json["ranks"].size() == 2);
  CHECK(json["ranks"][1]["rank"] == 1);
  CHECK(json["ranks"][1]["output"] == "out.rank1.tmk");
  CHECK(json["ranks"][1]["peak_error_bytes"] == 0);
}

TEST_CASE("the rank that ended the run is named, with its file") {
  const RanksResult result = run_zero1(1024);
  REQUIRE(result.ended_by >= 0);
  const std::string text = ranks_ending_text(result, "out.tmk");
  CHECK_THAT(text, Catch::Contains("ended the run of 2 ranks: out of device memory"));
  CHECK_THAT(text, Catch::Contains("out.rank" + std::to_string(result.ended_by) + ".tmk"));
}
