#include "profiler/cupti/scope_names.h"

#include "../../catch.h"

using namespace tidemark;

TEST_CASE("ranges: a path is one layer, whichever step it is in") {
  ScopeNames names;
  ScopeStack stack;
  CHECK(stack.pop() == Scope{});  // a pop too many
  for (std::int32_t step = 0; step < 3; ++step) {
    stack.push(names, "step " + std::to_string(step));
    stack.push(names, "forward");
    const Scope inner = stack.push(names, "block0, seq = " + std::to_string(step));
    CHECK(inner == Scope{.step = step, .phase = Phase::forward, .layer = LayerId(1), .op = {}});
    stack.pop(), stack.pop(), stack.pop();
  }
  CHECK(stack.depth() == 0);
  const std::vector<Layer> expected{
      {.name = "forward", .kind = "range", .parent = {}},
      {.name = "forward/block0", .kind = "range", .parent = LayerId(0)}};
  CHECK(names.rows_from(0) == expected);
  CHECK(names.rows_from(1) == std::vector<Layer>{expected[1]});
  CHECK(names.rows_from(2).empty());
}

TEST_CASE("ranges: names that never repeat do not fill the memory") {
  ScopeNames names;
  const LayerId outer = names.intern({}, "outer");
  for (std::size_t i = 0; i < ScopeNames::k_most_layers + 10; ++i) {
    names.intern(outer, std::to_string(i));
  }
  CHECK(names.rows_from(0).size() == ScopeNames::k_most_layers);
  CHECK(names.intern(outer, "one more") == outer);
  CHECK(names.intern({}, "outer") == outer);
}
