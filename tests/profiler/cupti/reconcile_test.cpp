#include "profiler/cupti/reconcile.h"

#include "../../catch.h"

using namespace tidemark;

namespace {

constexpr std::int64_t k_mib = std::int64_t{1} << 20;

void add(Trace& trace, Category category, std::int64_t bytes) {
  Buffer buffer;
  buffer.category = category;
  buffer.size_bytes = bytes;
  trace.buffers.push_back(buffer);
  trace.events.push_back({.kind = EventKind::alloc,
                          .time_ns = static_cast<std::int64_t>(trace.events.size()),
                          .index = static_cast<std::int32_t>(trace.buffers.size()) - 1});
}

}  // namespace

TEST_CASE("reconciliation: the parts add up to what the device says") {
  Trace trace;
  trace.streams = {{.name = "host"}};
  add(trace, Category::weight, 100 * k_mib);
  add(trace, Category::workspace, 32 * k_mib);
  add(trace, Category::allocator_slack, 8 * k_mib);
  add(trace, Category::profiler, 10 * k_mib);
  add(trace, Category::framework, 450 * k_mib);
  trace.arenas = {{.space = {}, .capacity_bytes = 1000 * k_mib, .high_water_bytes = 600 * k_mib}};
  const std::vector<Reconciliation> rows = reconcile(trace);
  REQUIRE(rows.size() == 1);
  const Reconciliation& r = rows[0];
  CHECK(r.allocator_bytes == -1);
  CHECK(r.outside_bytes() == -1);
  CHECK(r.device_bytes == 132 * k_mib);
  CHECK(r.residual_bytes() == 450 * k_mib);
  CHECK(r.device_bytes + r.pool_slack_bytes + r.profiler_bytes + r.residual_bytes() ==
        r.used_bytes);
  const std::string text = reconciliation_text(rows);
  CHECK_THAT(text, Catch::Contains("allocations") && Catch::Contains("132.0 MiB"));
  CHECK_THAT(text, Catch::Contains("residual") && Catch::Contains("450.0 MiB"));
  CHECK_THAT(text, Catch::Contains("75.0 %"));
}

TEST_CASE("reconciliation: with an allocator of the program, what libraries took beside it") {
  Trace trace;
  trace.streams = {{.name = "host"}};
  add(trace, Category::weight, 100 * k_mib);
  trace.events.push_back(
      {.kind = EventKind::segment_alloc, .time_ns = 5, .size_bytes = 60 * k_mib});
  trace.events.push_back({.kind = EventKind::segment_free, .time_ns = 6, .size_bytes = 60 * k_mib});
  trace.arenas = {{.space = {}, .capacity_bytes = 1000 * k_mib, .high_water_bytes = 90 * k_mib},
                  {.space = {SpaceKind::host_pinned, 0}, .capacity_bytes = 5}};
  const std::vector<Reconciliation> rows = reconcile(trace);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].allocator_bytes == 60 * k_mib);
  CHECK(rows[0].outside_bytes() == 40 * k_mib);
  CHECK(rows[0].residual_bytes() == -10 * k_mib);  // more recorded than in use: shown, not hidden
}
