// Pipelines as a user makes them: profile, plan --shard pipeline, profile --schedule, diff; and
// what can be done with the trace of one rank.
#include <nlohmann/json.hpp>

#include "tests/loop/command.h"

using namespace tidemark_call;
using nlohmann::json;

TEST_CASE("a pipeline is planned, run, compared, and each of its ranks is a trace") {
  const Folder folder;
  Result r = call(folder, "profile llama-tiny --accumulate 4 --steps 3 --quiet -o run.tmk");
  INFO(r.error);
  REQUIRE(r.code == 0);
  r = call(folder,
           "plan run.tmk --shard pipeline --ranks 2 --pipeline zero_bubble -o p.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json planned = json::parse(r.out);
  CHECK(planned["layout"] == "pp=2 zero_bubble");
  const std::string height = std::to_string(planned["height_bytes"].get<std::int64_t>());
  r = call(folder,
           "profile --schedule p.tmk --steps 3 --device-memory " + height + " -o m.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json measured = json::parse(r.out);
  for (const json& rank : measured["ranks"]) CHECK(rank["peak_error_bytes"] == 0);
  CHECK(call(folder, "diff p.tmk m.tmk").code == 0);
  const Result shown = call(folder, "show p.rank1.tmk --by layer");
  CHECK(shown.code == 0);
  CHECK(shown.out.find("block3") != std::string::npos);
  CHECK(shown.out.find("block0") == std::string::npos);
  r = call(folder, "plan p.rank0.tmk --budget 80% -o tight.tmk --quiet");
  INFO(r.error);
  CHECK(r.code == 0);
}

TEST_CASE("pipelines that cannot be are refused by the name of the field") {
  const Folder folder;
  REQUIRE(call(folder, "profile llama-tiny --accumulate 3 --batch 3 --steps 1 --quiet -o run.tmk")
              .code == 0);
  const std::string plan = "plan run.tmk --shard pipeline ";
  require_refused(folder, plan + "--ranks 9", "at most 4 stages");
  require_refused(folder, plan + "--ranks 2 --stage-layers 1,1",
                  "--stage-layers: expected 2 numbers");
  require_refused(folder, plan + "--ranks 2 --stage-layers a", "--stage-layers");
  require_refused(folder, plan + "--ranks 2 --pipeline dual", "zero_bubble");
  require_refused(folder, plan + "--ranks 2 --chunks 2", "a divisor of the 3 micro-batches");
  require_refused(folder, "plan run.tmk --shard zero1 --ranks 3 --pipeline gpipe",
                  "--shard pipeline");
}

TEST_CASE("a pipeline is planned for a budget of each rank, and runs in it") {
  const Folder folder;
  REQUIRE(call(folder, "profile llama-tiny --accumulate 4 --batch 8 --steps 3 --quiet -o run.tmk")
              .code == 0);
  Result r = call(folder, "plan run.tmk --shard pipeline -o whole.tmk --json");
  REQUIRE(r.code == 0);
  const auto budget = json::parse(r.out)["height_bytes"].get<std::int64_t>() * 85 / 100;
  const std::string bytes = std::to_string(budget);
  r = call(folder, "plan run.tmk --shard pipeline --nodes 20 -o p.tmk --json --budget " + bytes);
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json planned = json::parse(r.out);
  CHECK(planned["height_bytes"] <= budget);
  r = call(folder,
           "profile --schedule p.tmk --steps 3 --device-memory " + bytes + " -o m.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json ranks = json::parse(r.out)["ranks"];
  for (const json& rank : ranks) CHECK(rank["peak_error_bytes"] == 0);
}
