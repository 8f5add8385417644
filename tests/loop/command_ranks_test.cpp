// Runs on several ranks as a user makes them: profile, plan --shard, profile --schedule, diff.
#include <nlohmann/json.hpp>

#include "tests/loop/command.h"

using namespace tidemark_call;
using nlohmann::json;

namespace {

/// A recorded run of gpt2-tiny in two micro-batches.
void record_micro_batches(const Folder& folder) {
  const Result r = call(folder, "profile gpt2-tiny --accumulate 2 --steps 3 --quiet -o run.tmk");
  INFO(r.error);
  REQUIRE(r.code == 0);
}

}  // namespace

TEST_CASE("a sharded plan is written, run, shown and compared through its index") {
  const Folder folder;
  record_micro_batches(folder);
  Result r = call(folder, "plan run.tmk --shard zero1 --ranks 2 -o p.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json planned = json::parse(r.out);
  CHECK(planned["ranks"] == 2);
  CHECK(fs::exists(folder.path / "p.rank0.tmk"));
  CHECK(fs::exists(folder.path / "p.rank1.tmk"));

  const std::string height = std::to_string(planned["height_bytes"].get<std::int64_t>());
  r = call(folder,
           "profile --schedule p.tmk --steps 3 --device-memory " + height + " -o m.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json measured = json::parse(r.out);
  REQUIRE(measured["ranks"].size() == 2);
  CHECK(measured["ranks"][0]["peak_error_bytes"] == 0);
  CHECK(measured["ranks"][1]["peak_error_bytes"] == 0);

  r = call(folder, "diff p.tmk m.tmk --json");
  CHECK(r.code == 0);
  const json compared = json::parse(r.out);
  for (const json& rank : compared["ranks"]) CHECK(rank["peak_error_bytes"] == 0);

  r = call(folder, "plan run.tmk --shard none --ranks 2 -o alone.tmk --quiet");
  REQUIRE(r.code == 0);
  r = call(folder, "profile --schedule alone.tmk --steps 3 -o alone.m.tmk --quiet");
  REQUIRE(r.code == 0);
  r = call(folder, "diff alone.m.tmk m.tmk --json");
  CHECK(r.code == 0);
  const json ranks = json::parse(r.out)["ranks"];
  for (const json& rank : ranks) CHECK(rank["bitwise_equal"] == true);
  CHECK(call(folder, "show m.tmk").out.find("zero1 on 2 ranks") != std::string::npos);
}

TEST_CASE("a decoder is split by heads and hidden units, and its plan is run") {
  const Folder folder;
  Result r = call(folder, "profile llama-tiny --steps 3 --quiet -o run.tmk");
  INFO(r.error);
  REQUIRE(r.code == 0);
  r = call(folder, "plan run.tmk --shard tensor --ranks 2 -o p.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  CHECK(json::parse(r.out)["layout"] == "tp=2");
  r = call(folder, "profile --schedule p.tmk --steps 3 -o m.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json compared = json::parse(r.out);
  for (const json& rank : compared["ranks"]) CHECK(rank["peak_error_bytes"] == 0);
  require_refused(folder, "plan run.tmk --shard tensor --ranks 4", "a divisor of the 2 heads");
}

TEST_CASE("a budget with --shard auto chooses a stage, or says that there is none") {
  const Folder folder;
  record_micro_batches(folder);
  Result r = call(folder, "plan run.tmk --shard auto --budget 70% --nodes 20 -o p.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json found = json::parse(r.out);
  CHECK(found["layouts"].size() == 11);
  CHECK(found["height_bytes"] <= found["budget_bytes"]);
  r = call(folder, "plan run.tmk --shard auto --budget 64KiB --nodes 5 -o p.tmk");
  CHECK(r.code == 1);
  CHECK(r.out.find("no plan") != std::string::npos);
}

TEST_CASE("a budget with --shard auto passes over what the model does not allow, and says why") {
  const Folder folder;
  record_micro_batches(folder);
  REQUIRE(call(folder, "profile llama-tiny --steps 2 --quiet -o whole.tmk").code == 0);
  Result r = call(folder, "plan whole.tmk --shard auto --budget 80% --nodes 5 -o p.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json found = json::parse(r.out);
  CHECK(found["layout"] == "tp=2");
  CHECK(found["layouts"][0]["refused"].get<std::string>().find("a divisor of the 1 micro-batch") !=
        std::string::npos);
  r = call(folder, "profile --schedule p.tmk --steps 2 -o m.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json ranks = json::parse(r.out)["ranks"];
  for (const json& rank : ranks) CHECK(rank["peak_error_bytes"] == 0);
  require_refused(folder, "plan whole.tmk --shard auto --ranks 5 --budget 80% -o p.tmk", "--ranks");
}

TEST_CASE("tokens are spread over ranks, run, and refused where they do not divide") {
  const Folder folder;
  REQUIRE(call(folder, "profile llama-tiny --steps 2 --quiet -o run.tmk").code == 0);
  Result r = call(folder, "plan run.tmk --layout cp=2,tp=2,sp --shard zero1 -o p.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  CHECK(json::parse(r.out)["ranks"] == 4);
  r = call(folder, "profile --schedule p.tmk --steps 2 -o m.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json measured = json::parse(r.out);
  for (const json& rank : measured["ranks"]) CHECK(rank["peak_error_bytes"] == 0);
  require_refused(folder, "plan run.tmk --layout cp=3", "a divisor of the 64 tokens");
  require_refused(folder, "plan run.tmk --layout sp", "tp of 2 or more");
}

TEST_CASE("too little memory on the ranks is one message, exit code 3 and readable traces") {
  const Folder folder;
  record_micro_batches(folder);
  REQUIRE(call(folder, "plan run.tmk --shard zero2 -o p.tmk --quiet").code == 0);
  const Result r = call(folder, "profile --schedule p.tmk --device-memory 1MiB -o m.tmk");
  CHECK(r.code == 3);
  CHECK(r.error.find("ended the run of 2 ranks: out of device memory") != std::string::npos);
  CHECK(call(folder, "show m.rank0.tmk").code == 0);
  CHECK(call(folder, "show m.rank1.tmk").code == 0);
  CHECK_FALSE(fs::exists(folder.path / "m.rank0.tmk.part"));
}

TEST_CASE("what cannot be shared among ranks is refused with one line") {
  const Folder folder;
  record_micro_batches(folder);
  require_refused(folder, "plan run.tmk --shard zero1 --ranks 3", "a divisor of the 2 micro-batch");
  require_refused(folder, "plan run.tmk --shard zero9", "--shard");
  require_refused(folder, "plan run.tmk --shard auto", "auto beside --budget");
  REQUIRE(call(folder, "plan run.tmk --shard zero1 -o p.tmk --quiet").code == 0);
  require_refused(folder, "profile --schedule p.rank0.tmk -o m.tmk", "the index of all 2 ranks");
  require_refused(folder, "plan p.rank0.tmk --shard zero1", "the trace of one rank");
  fs::remove(folder.path / "p.rank1.tmk");
  require_refused(folder, "profile --schedule p.tmk -o m.tmk", "p.rank1.tmk");
}

TEST_CASE("a layout in the words of estimate is planned, run and compared") {
  const Folder folder;
  Result r =
      call(folder, "profile llama-tiny --accumulate 4 --batch 4 --steps 3 --quiet -o run.tmk");
  INFO(r.error);
  REQUIRE(r.code == 0);
  r = call(folder, "plan run.tmk --layout tp=2,pp=2,dp=2 --shard zero1 -o p.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json planned = json::parse(r.out);
  CHECK(planned["layout"] == "tp=2,pp=2,dp=2 zero1 one_f_one_b");
  CHECK(planned["ranks"] == 8);
  const std::string height = std::to_string(planned["height_bytes"].get<std::int64_t>());
  r = call(folder,
           "profile --schedule p.tmk --steps 3 --device-memory " + height + " -o m.tmk --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  const json ranks = json::parse(r.out)["ranks"];
  CHECK(ranks.size() == 8);
  for (const json& rank : ranks) CHECK(rank["peak_error_bytes"] == 0);
  CHECK(call(folder, "diff p.tmk m.tmk").code == 0);

  require_refused(folder, "plan run.tmk --layout tp=2,xx=2", "--layout xx=2: expected tp, pp");
  require_refused(folder, "plan run.tmk --layout dp=2 --shard tensor", "--shard beside --layout");
  require_refused(folder, "plan run.tmk --layout dp=3", "dp of --layout");
  require_refused(folder, "plan run.tmk --layout dp=4,shard=3 --shard zero1", "a divisor of the 4");
  require_refused(folder, "plan run.tmk --layout dp=2 --pipeline gpipe", "a --layout with pp");
  require_refused(folder, "plan run.tmk --pipeline gpipe", "found neither");
}
