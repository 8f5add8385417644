#include "sim/budget.h"

#include "../catch.h"
#include "sim/device.h"
#include "sim/timeline.h"
#include "tests/sim/shard_sources.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("a budget is a size, a share of the peak or a device") {
  const Trace source = build_program(odd_mlp(2));
  const std::int64_t peak = replay(source).peak.bytes;
  CHECK(budget_of("6KiB", source) == 6144);
  CHECK(budget_of("100%", source) == peak);
  CHECK(budget_of("50%", source) == peak / 2 / 256 * 256);
  CHECK(budget_of("h100-80g", source) == find_device("h100-80g").memory_bytes);
}

TEST_CASE("what is no budget is refused") {
  const Trace source = build_program(odd_mlp(2));
  for (const char* text : {"", "%", "x%", "-5%", "0%", "1001%", "nan%", "60 percent"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(budget_of(text, source), InputError);
  }
}
