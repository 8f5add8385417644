#include "profiler/report.h"

#include <nlohmann/json.hpp>

#include "sim/units.h"
#include "tests/catch.h"
#include "tests/profiler/programs.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

Trace recorded() {
  static const Trace trace = [] {
    const Dataset data = small_text();
    return run(build_program(small_gpt2()), {.data = &data});
  }();
  return trace;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("exact sizes are read back as they were") {
  for (const std::int64_t bytes : {std::int64_t{1}, std::int64_t{256}, std::int64_t{1} << 20,
                                   (std::int64_t{6} << 30), (std::int64_t{3} << 20) + 1}) {
    CHECK(parse_size(exact_size(bytes)) == bytes);
  }
  CHECK(exact_size(std::int64_t{512} << 20) == "512MiB");
}

TEST_CASE("summary: the categories sum to the peak, the arena is above it") {
  const RunSummary s = summarise(recorded());
  std::int64_t sum = 0;
  for (const std::int64_t bytes : s.by_category) sum += bytes;
  CHECK(sum == s.peak_bytes);
  CHECK(s.high_water_bytes >= s.peak_bytes);
  CHECK(s.steps == 5);
  CHECK(s.step_ns > 0);
  CHECK(s.first_loss == recorded().steps.front().loss);
}

TEST_CASE("summary text says what was reached and what to try next") {
  const std::string text = summary_text(recorded(), "run.tmk");
  CHECK(contains(text, "activation"));
  CHECK(contains(text, "arena high water"));
  CHECK(contains(text, "next: tidemark plan run.tmk --budget "));
  CHECK(contains(text, "-o run.plan.tmk"));
  Trace measured = recorded();
  measured.meta.kind = TraceKind::measured;
  measured.meta.source = "run.plan.tmk";
  CHECK(contains(summary_text(measured, "m.tmk"), "next: tidemark diff run.plan.tmk m.tmk"));
}

TEST_CASE("summary JSON has the same figures") {
  const RunSummary s = summarise(recorded());
  const nlohmann::json json = nlohmann::json::parse(summary_json(recorded(), "run.tmk"));
  CHECK(json["peak_bytes"] == s.peak_bytes);
  CHECK(json["losses"].size() == 5);
  CHECK(json["arenas"][0]["high_water_bytes"] == s.high_water_bytes);
}

TEST_CASE("generated tokens are said as text where they are bytes, all of them in JSON") {
  const std::vector<std::int32_t> tokens{'a', '"', '\n', 7, '\\', 200};
  CHECK(contains(generated_text({{tokens, tokens}, true}), "6 tokens for each of 2 sequences"));
  CHECK(contains(generated_text({{tokens}, true}), R"("a\"\n\x07\\\xc8")"));
  CHECK(contains(generated_text({{{50000, 3}}, false}), "  50000 3\n"));
  CHECK(generated_text({}).empty());
  CHECK(contains(generated_text({std::vector(11, tokens), false}), "[3 others"));
  const Generated generated{{tokens, {98}}, true};
  const auto json = nlohmann::json::parse(summary_json(recorded(), "run.tmk", generated));
  CHECK(json["tokens"] == nlohmann::json{tokens, {98}});
  CHECK(json["texts"][1] == "b");
  CHECK_FALSE(nlohmann::json::parse(summary_json(recorded(), "run.tmk")).contains("tokens"));
}

TEST_CASE("a shortage: what the allocator sets aside for nobody is slack, not live") {
  Trace trace;
  MemoryShortage s{.request_bytes = 512, .capacity_bytes = 4096, .live_bytes = 4096};
  s.live_by_category[static_cast<std::size_t>(Category::weight)] = 1024;
  s.live_by_category[static_cast<std::size_t>(Category::allocator_slack)] = 3072;
  const std::string text = shortage_text(trace, s, "x.tmk");
  CHECK(contains(text, "live          " + format_bytes(1024)));
  CHECK(contains(text, "slack         " + format_bytes(3072)));
}

TEST_CASE("a shortage is explained with request, holder, hole and the command that helps") {
  const Dataset data = small_text();
  const RunResult result =
      execute(build_program(small_gpt2()), {.device_memory_bytes = 40 * 1024, .data = &data});
  REQUIRE(result.shortage.has_value());
  const std::string text = shortage_text(result.trace, *result.shortage, "run.tmk");
  const Buffer& buffer = result.trace[result.shortage->buffer];
  CHECK(contains(text, "'" + buffer.name + "', layer " + result.trace[buffer.layer].name));
  CHECK(contains(text, "largest hole"));
  CHECK(contains(text, "optimizer_state"));
  CHECK(contains(text, "next: tidemark plan run.tmk --budget 40KiB -o run.plan.tmk"));
  const std::int64_t slack =
      result.shortage->live_by_category[static_cast<std::size_t>(Category::allocator_slack)];
  CHECK(contains(text, "live          " + format_bytes(result.shortage->live_bytes - slack)));
  CHECK(contains(text, "slack ") == (slack > 0));
  const auto json = nlohmann::json::parse(shortage_json(result.trace, *result.shortage, "run.tmk"));
  CHECK(json["out_of_memory"]["buffer"] == buffer.name);
  CHECK(json["out_of_memory"]["capacity_bytes"] == 40 * 1024);
}
