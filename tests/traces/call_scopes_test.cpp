// The scope at an instant is that of the innermost range that is open then: a search through all
// ranges agrees. Layers and sites follow from the path.
#include "traces/call_scopes.h"

#include "../catch.h"
#include "random_trace.h"

using namespace tidemark;

namespace {

/// Ranges inside of ranges: each splits what its parent leaves.
void nest(test::Draw& draw, std::int64_t thread, std::int64_t begin_ns, std::int64_t end_ns,
          int depth, std::vector<CallRange>& out) {
  while (begin_ns < end_ns && depth < 6 && draw.chance(80)) {
    const std::int64_t from = draw.between(begin_ns, end_ns);
    const std::int64_t to = draw.between(from, end_ns);
    out.push_back({thread, from, to, RangeKind::op, "r" + std::to_string(out.size())});
    nest(draw, thread, from, to, depth + 1, out);
    begin_ns = to;
  }
}

}  // namespace

TEST_CASE("call scopes: a search through all ranges finds the same innermost one") {
  const auto seed = GENERATE(range<std::uint64_t>(0, 50));
  test::Draw draw(seed);
  std::vector<CallRange> ranges;
  for (const std::int64_t thread : {3, 1, 2}) nest(draw, thread, 0, 1000, 0, ranges);
  std::vector<CallInstant> instants;
  for (int i = 0; i < 200; ++i) instants.push_back({draw.between(0, 4), draw.between(0, 1001)});
  CallScopes scopes;
  const std::vector<std::uint32_t> rows = scopes.at(ranges, instants);
  for (std::size_t i = 0; i < instants.size(); ++i) {
    std::string innermost;  // a range stands behind the one around it
    for (const CallRange& r : ranges) {
      const bool is_open = r.thread == instants[i].thread && r.begin_ns <= instants[i].time_ns &&
                           instants[i].time_ns < r.end_ns;
      if (is_open) innermost = r.name;
    }
    CHECK(scopes[rows[i]].name == innermost);
  }
}

TEST_CASE("call scopes: modules and annotations are layers, and say what an allocation is for") {
  const std::vector<CallRange> ranges = {
      {1, 0, 100, RangeKind::annotation, "train"},
      {1, 10, 40, RangeKind::module, "Linear_0"},
      {1, 20, 30, RangeKind::op, "aten::linear"},
      {1, 50, 60, RangeKind::annotation, "Optimizer.step#AdamW.step"},
      {2, 0, 90, RangeKind::op, "autograd::engine::evaluate_function: MmBackward0"},
      {2, 10, 80, RangeKind::module, "Linear_0"}};  // a checkpoint runs forward again
  CallScopes scopes;
  const auto rows = scopes.at(ranges, {{1, 25}, {1, 55}, {2, 5}, {2, 20}, {7, 5}});
  const CallScope linear = scopes[rows[0]];
  CHECK(linear.site == CallSite::forward);
  CHECK(linear.phase == Phase::forward);
  CHECK(linear.name == "aten::linear");
  CHECK(scopes.layers()[linear.layer.index()].name == "train/Linear_0");
  CHECK(scopes[rows[1]].site == CallSite::optimizer);
  CHECK(scopes[rows[2]].site == CallSite::backward);
  CHECK(scopes[rows[3]].site == CallSite::recompute);
  CHECK(scopes[rows[4]] == CallScope{});
}

TEST_CASE("call scopes: names that never repeat and depth without end do not fill the memory") {
  std::vector<CallRange> ranges;
  for (std::int64_t i = 0; i < 100'000; ++i) {
    ranges.push_back({1, i, 1'000'000 - i, RangeKind::annotation, "n" + std::to_string(i)});
  }
  CallScopes scopes;
  const auto rows = scopes.at(ranges, {{1, 500'000}});
  CHECK(scopes.layers().size() == CallScopes::k_most_depth);
  CHECK(scopes[rows[0]].layer.index() + 1 == CallScopes::k_most_depth);
}
