// Saved bytes as PyTorch counts them, to the byte.
#include "sim/torch_accounting.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "../catch.h"
#include "sim/builder.h"
#include "tests/paths.h"

using namespace tidemark;

namespace {

std::int64_t saved_bytes(const RunConfig& config) {
  return total_bytes(torch_eager_saved(build_program(config)));
}

RunConfig run_of(const std::string& name) {
  RunConfig config = default_run(name);
  if (name == "gpt2-124M") config.sequence = config.model.gpt2.positions = 64;
  return config;
}

std::int64_t composite_attentions(const RunConfig& config) {
  return config.sequence > 0 ? config.model.gpt2.layers : 0;
}

}  // namespace

TEST_CASE("torch-eager: GPT totals are those measured with PyTorch 1.13") {
  CHECK(saved_bytes(run_of("gpt-small")) == 29'968'932);
  CHECK(saved_bytes(run_of("gpt-baby")) == 193'456'180);
  CHECK(saved_bytes(run_of("gpt2-124M")) == 213'573'220);
}

TEST_CASE("torch-eager: each model's total is that of the recorded PyTorch, but for its scalar") {
  std::ifstream file(std::string(TIDEMARK_SOURCE_DIR) + "/tests/reference/pytorch.json");
  const auto recorded = nlohmann::json::parse(file)["saved_bytes"];
  REQUIRE(recorded.size() == 8);
  for (const auto& [name, bytes] : recorded.items()) {
    CAPTURE(name);
    const RunConfig config = run_of(name);
    // PyTorch 1.13 also keeps the scale of the scores, 8 bytes per attention.
    CHECK(saved_bytes(config) == bytes.get<std::int64_t>() + 8 * composite_attentions(config));
  }
}

TEST_CASE("torch-eager: a GPT block keeps 16 BTC, the probabilities, statistics and a mask") {
  const RunConfig config = run_of("gpt-small");
  const Trace program = build_program(config);
  std::int64_t block = 0;
  for (const TorchSaved& s : torch_eager_saved(program)) {
    if (program[s.op].name.starts_with("block1.")) block += s.size_bytes;
  }
  const std::int64_t b = config.batch, t = 64, c = 128, heads = 4;
  CHECK(block == 16 * b * t * c * 4 + b * heads * t * t * 4 + 4 * b * t * 4 + t * t + 8);
}
