#include "gui/grouping.h"

#include <algorithm>
#include <map>
#include <set>

#include "gui/run.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;
using test::run_of;

namespace {

std::string name_of(const Grouping& grouping, BufferId buffer) {
  return grouping.names.at(grouping.of_buffer.at(buffer.index()));
}

}  // namespace

TEST_CASE("whatever the stack is divided by, every state has the same total") {
  const auto run = run_of(test::random_trace({.seed = 7, .change_count = 3000}));
  for (std::size_t by = 0; by < k_group_by_count; ++by) {
    const GroupedStack& stack = run->stack_by(static_cast<StackBy>(by));
    CAPTURE(to_string(static_cast<StackBy>(by)));
    REQUIRE(stack.grouping.names.size() <= k_band_count);
    REQUIRE(stack.grouping.of_buffer.size() == run->trace().buffers.size());
    BandBytes state{};  // by brute force
    for (std::int64_t i = 0; i < run->pyramid().change_count(); ++i) {
      const MemoryChange change = run->timeline().changes[static_cast<std::size_t>(i)];
      state[stack.grouping.of_buffer[change.buffer.index()]] += change.delta_bytes;
      REQUIRE(stack.pyramid.state_after(i) == state);
      REQUIRE(total_bytes(state) == run->pyramid().total_after(i));
    }
  }
}

TEST_CASE("few groups keep the order of the trace and all have their names") {
  const auto run = run_of(test::training_trace({.layer_count = 4, .step_count = 1}));
  const Grouping& modules = run->stack_by(StackBy::module).grouping;
  CHECK(modules.names == std::vector<std::string>{"data", "block0", "block1"});
  const Grouping& layers = run->stack_by(StackBy::layer).grouping;
  CHECK(layers.names == std::vector<std::string>{"data", "block0.attention", "block0.mlp",
                                                 "block1.attention", "block1.mlp"});
  const Grouping& phases = run->stack_by(StackBy::phase).grouping;
  CHECK(phases.names == std::vector<std::string>{"init", "forward", "backward"});
  CHECK(run->stack_by(StackBy::dtype).grouping.names == std::vector<std::string>{"f32"});
}

TEST_CASE("of many groups those with the most bytes times time stay, and the rest is one") {
  const auto run = run_of(test::training_trace({.layer_count = 12, .step_count = 2}));
  const Grouping& tensors = run->stack_by(StackBy::tensor).grouping;
  REQUIRE(tensors.names.size() == k_band_count);
  CHECK(tensors.names.back().find(" others") != std::string::npos);
  std::map<BufferId, double> weight;  // by brute force, unit by unit of the changes
  const auto& changes = run->timeline().changes;
  std::map<BufferId, std::int64_t> since;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const MemoryChange change = changes[i];
    if (change.delta_bytes > 0) since[change.buffer] = change.time_ns;
    const auto bytes = static_cast<double>(counted_bytes(run->trace()[change.buffer]));
    if (change.delta_bytes < 0) {
      weight[change.buffer] +=
          bytes * static_cast<double>(change.time_ns - since.at(change.buffer) + 1);
      since.erase(change.buffer);
    }
  }
  for (const auto& [buffer, begin_ns] : since) {
    weight[buffer] += static_cast<double>(counted_bytes(run->trace()[buffer])) *
                      static_cast<double>(changes.back().time_ns - begin_ns + 1);
  }
  double least_shown = 1e300;
  double most_hidden = 0;
  for (const auto& [buffer, bytes_ns] : weight) {
    const bool shown = name_of(tensors, buffer) == run->trace()[buffer].name;
    if (shown) {
      least_shown = std::min(least_shown, bytes_ns);
    } else {
      most_hidden = std::max(most_hidden, bytes_ns);
    }
  }
  CHECK(least_shown >= most_hidden);
}

TEST_CASE("a module is the first part of the path by which layers differ") {
  test::Sketch sketch;
  for (const char* name : {"model.decoder.layers.0.mlp", "model.decoder.layers.1.mlp"}) {
    const BufferId buffer = sketch.buffer("b", sketch.layer(name), Category::weight, 256);
    sketch.alloc(buffer);
    sketch.wait(3);
  }
  const auto run = run_of(sketch.trace);
  CHECK(run->stack_by(StackBy::module).grouping.names ==
        std::vector<std::string>{"model.decoder.layers.0", "model.decoder.layers.1"});
}

TEST_CASE("groupings are known by their names") {
  std::set<std::string_view> names;
  for (std::size_t by = 0; by < k_group_by_count; ++by) {
    names.insert(to_string(static_cast<StackBy>(by)));
    CHECK(group_by_of(to_string(static_cast<StackBy>(by))) == static_cast<StackBy>(by));
  }
  CHECK(names.size() == k_group_by_count);
  CHECK_FALSE(group_by_of("colour").has_value());
}
