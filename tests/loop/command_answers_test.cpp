// What the verbs say must be so: exit codes and sentences that once misled.

#include <nlohmann/json.hpp>

#include "tests/loop/command.h"
#include "traces/file.h"

using Json = nlohmann::json;
using namespace tidemark_call;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A table that the mlp can be trained on.
void write_digits(const std::string& path) {
  std::string text;
  for (int row = 0; row < 600; ++row) {
    for (int pixel = 0; pixel < 64; ++pixel) text += std::to_string((row * pixel) % 17) + ",";
    text += std::to_string(row % 10) + "\n";
  }
  write(path, text);
}

}  // namespace

TEST_CASE("diff: other results are exit 1, other models are not compared") {
  const Folder folder;
  record(folder);
  REQUIRE(call(folder, "profile gpt2-tiny --steps 3 --seed 2 --quiet -o other.tmk").code == 0);
  const Result other = call(folder, "diff run.tmk other.tmk");
  CHECK(other.code == 1);
  CHECK(has(other.out, "results: DIFFERENT"));
  CHECK(has(other.out, "of their size apart"));
  const Result figures = call(folder, "diff run.tmk other.tmk --json");
  CHECK(figures.code == 1);
  const double apart = Json::parse(figures.out)["loss_difference"];
  CHECK(apart > 0);
  CHECK(apart < 0.1);  // other weights, the same data
  write_digits(folder / "digits.csv");
  const Result mlp = call(folder, "profile mlp --data digits.csv --steps 2 --quiet -o mlp.tmk");
  INFO(mlp.error);
  REQUIRE(mlp.code == 0);
  const Result plan = call(folder, "plan mlp.tmk --budget 95% --nodes 20 -o planned.tmk");
  CHECK(has(plan.out, "--schedule planned.tmk --data digits.csv --device-memory"));
  const Result models = call(folder, "diff mlp.tmk run.tmk");
  CHECK(models.code == 0);
  CHECK(has(models.out, "other models?"));
  // The layers are headed by their files, and more is "+" everywhere.
  CHECK(has(models.out, "  +"));
  const std::size_t layers = models.out.find("  layer ");
  REQUIRE(layers != std::string::npos);
  CHECK(has(models.out.substr(layers, models.out.find('\n', layers) - layers), "mlp.tmk"));
}

TEST_CASE("diff: the ops of a plan are no CPU time") {
  const Folder folder;
  record(folder);
  REQUIRE(call(folder, "plan run.tmk --budget 70% --nodes 20 -o planned.tmk").code == 0);
  const std::string text = call(folder, "diff planned.tmk run.tmk").out;
  const std::size_t row = text.find("compute thread");
  REQUIRE(row != std::string::npos);
  CHECK(has(text.substr(row, text.find('\n', row) - row), "not known"));
}

TEST_CASE("allocator: what was refused is no growth, and the growths of a plan have times") {
  const Folder folder;
  record(folder);
  const Json model = Json::parse(call(folder,
                                      "allocator run.tmk --model pytorch --device-memory 10MiB "
                                      "--json")
                                     .out)["models"][0];
  CHECK(model["failed"].get<std::int64_t>() > 0);
  std::int64_t grown_bytes = 0;
  for (const Json& g : model["growths"]) grown_bytes += g["segment_bytes"].get<std::int64_t>();
  CHECK(grown_bytes >= model["peak_reserved_bytes"].get<std::int64_t>());
  CHECK(model["segments"].get<std::int64_t>() < 100);
  REQUIRE(call(folder, "plan run.tmk --budget 70% --nodes 20 -o planned.tmk").code == 0);
  const std::string planned = call(folder, "allocator planned.tmk").out;
  CHECK(has(planned, "Why it grew"));
  CHECK_FALSE(has(planned, " 0 ns"));
  const Json samples = Json::parse(
      call(folder, "allocator planned.tmk --model pytorch --json").out)["models"][0]["over_time"];
  CHECK(samples.back()["time_ns"].get<std::int64_t>() > 0);
  CHECK_FALSE(has(call(folder, "allocator run.tmk --model bfc").out, "()"));
}

TEST_CASE("a next step is never a budget that is proven impossible") {
  const Folder folder;
  const Result r =
      call(folder, "profile gpt2-tiny --steps 1 --device-memory 1MiB --json --quiet -o small.tmk");
  REQUIRE(r.code == 3);
  const std::size_t at = r.error.find("--budget ");
  REQUIRE(at != std::string::npos);
  const std::string budget = r.error.substr(at + 9, r.error.find(' ', at + 9) - at - 9);
  const Result plan = call(folder, "plan small.tmk --budget " + budget + " --nodes 20");
  CHECK_FALSE(has(plan.out, "Proof"));
  const Json memory = Json::parse(r.out)["out_of_memory"];
  CHECK(has(r.error, "live  "));
  CHECK(memory["live_bytes"].get<std::int64_t>() + memory["slack_bytes"].get<std::int64_t>() <=
        memory["capacity_bytes"].get<std::int64_t>());
}
