// What a report is asked: models, devices and strategies in YAML.
#include "sim/report_spec.h"
#include "../catch.h"
#include "report_samples.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;
using Lines = std::vector<std::string>;

TEST_CASE("report spec: names, files, ranks one by one, and what descriptions leave open") {
  const ReportSpec spec = spec_of(small_text());
  REQUIRE(spec.models.size() == 2);
  CHECK(spec.models[1].model.name == "gpt2-own");
  REQUIRE(spec.devices.size() == 3);
  CHECK(spec.devices[1].ranks == 8);
  CHECK(spec.devices[1].site.device.price_per_hour == 2);
  CHECK(spec.devices[1].site.cluster->name == "dgx-a100-80g");
  CHECK(spec.devices[2].site.cluster->name == "own-node");
  REQUIRE(spec.strategies.size() == 5);
  CHECK(std::get<SearchSpace>(spec.strategies[3].what).recipes.size() == 2);
  CHECK(spec.assumptions.size() >= 5);
}

TEST_CASE("report spec: ranks that a layout leaves are replicas") {
  const ReportSpec spec = spec_of(small_text());
  Lines lines;
  const auto strategy = [&](std::size_t index, std::int64_t ranks) {
    lines.clear();
    return strategy_for(spec, std::get<FixedStrategy>(spec.strategies[index].what), spec.models[0],
                        ranks, lines);
  };
  CHECK(strategy(1, 16).layout == Layout{.data = 16});
  CHECK(lines.empty());
  const Strategy tensor = strategy(2, 16);
  CHECK(lines.empty());
  CHECK(tensor.layout == Layout{.tensor = 8, .data = 2, .sequence_parallel = true});
  CHECK(tensor.batch == Batch{.sequence = 1024, .micro_batch = 2, .micro_batches = 16});
  (void)strategy(2, 12);
  CHECK(lines == Lines{"layout: expected sizes whose product is 12 ranks, found tp=8,sp"});
  (void)strategy(0, 24);
  CHECK(lines == Lines{"micro_batch: expected dp x micro_batch = 24 to divide global_batch = 64"});
  // Of DeepSpeed: its own batch, 2 x 4 sequences on each of 8 ranks.
  CHECK(strategy(4, 8).layout.data == 8);
  CHECK(lines.empty());
  (void)strategy(4, 16);
  CHECK(lines.size() == 1);
}

TEST_CASE("report spec: files take the global batch of the report, so that steps can be compared") {
  ReportSpec spec = spec_of(small_text());
  const auto& file = std::get<FixedStrategy>(spec.strategies[4].what);
  Lines lines;
  CHECK(strategy_for(spec, file, spec.models[0], 8, lines).batch.micro_batches == 4);
  spec.global_batch = 256;
  CHECK(strategy_for(spec, file, spec.models[0], 8, lines).batch.micro_batches == 16);
  CHECK(lines.empty());
  spec.global_batch = 24;
  (void)strategy_for(spec, file, spec.models[0], 8, lines);
  CHECK(lines == Lines{"micro_batch: expected dp x micro_batch = 16 to divide global_batch = 24"});
}

TEST_CASE("report spec: all that is wrong, each with line and field") {
  CHECK_THROWS_WITH(
      spec_of("global_batch: 0\nmodels: [gpt9, 7, {file: none.json}]\ncolour: red\n"
              "devices:\n  - {device: h9000, ranks: [0]}\n"
              "  - {device: h100-80g, node: dgx-a100-80g, ranks: 8}\n"
              "strategies:\n  - {name: a, layout: 'xp=2', recipe: zero9, recompute: half}\n"
              "  - {name: a, loss: quick}\n  - {file: none.toml}\n"),
      Catch::Contains("small.yaml: line 1: global_batch: expected a number from 1") &&
          Catch::Contains("line 2: models[0]: expected a name") &&
          Catch::Contains("models[1]: expected a name") && Catch::Contains("models[2].file:") &&
          Catch::Contains("line 3: colour: expected no") &&
          Catch::Contains("line 5: devices[0].device:") &&
          Catch::Contains("devices[0].ranks: expected numbers from 1") &&
          Catch::Contains("line 6: devices[1].node: expected a node of h100-80g") &&
          Catch::Contains("strategies[0].layout: --layout xp=2") &&
          Catch::Contains("strategies[0].recipe:") &&
          Catch::Contains("strategies[0].recompute: --recompute half") &&
          Catch::Contains("strategies[1].loss: expected one of fused") &&
          Catch::Contains("strategies[1].name: expected each name once") &&
          Catch::Contains("strategies[2].file:"));
  CHECK_THROWS_WITH(spec_of("title: x\n"), Catch::Contains("global_batch: expected an integer") &&
                                               Catch::Contains("models: expected a list") &&
                                               Catch::Contains("devices: expected a list") &&
                                               Catch::Contains("strategies: expected a list"));
}

TEST_CASE("report spec: another spec has another digest") {
  const std::string digest = spec_of(small_text()).digest;
  CHECK(digest == spec_of(small_text()).digest);
  CHECK(digest != spec_of(edited(small_text(), "zero3", "zero2")).digest);
}
