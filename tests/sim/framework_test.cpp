#include "sim/framework.h"

#include <set>

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;

TEST_CASE("frameworks have names of their own and sources, others are refused") {
  std::set<std::string> names;
  for (const Framework& f : frameworks()) {
    CHECK(names.insert(f.name).second);
    CHECK(!f.source.empty());
    CHECK(f == find_framework(f.name));
    CHECK(f.kernels.memory > 0);
    CHECK(f.kernels.memory <= 1);
    CHECK(f.host.hiding >= 1);
  }
  CHECK_THROWS_WITH(find_framework("none"), Catch::Contains("megatron"));
}
