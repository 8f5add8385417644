// The device table and modelled times.
#include "sim/device.h"

#include <set>

#include "../catch.h"
#include "sim/builder.h"
#include "sim/op_table.h"
#include "small_program.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

Device round_figures() {
  Device d;
  d.f32_flops_per_s = 1e12;
  d.bf16_flops_per_s = 4e12;
  d.memory_bytes_per_s = 1e9;
  d.host_link_bytes_per_s = 1e8;
  d.launch_ns = 100;
  d.efficiency = 0.5;
  return d;
}

}  // namespace

TEST_CASE("every device has all figures and a source, under a name of its own") {
  std::set<std::string> names;
  for (const Device& d : devices()) {
    CAPTURE(d.name);
    CHECK(names.insert(d.name).second);
    CHECK(&find_device(d.name) == &d);
    CHECK(d.memory_bytes >= std::int64_t{8} << 30);
    CHECK(d.f32_flops_per_s > 0);
    CHECK(d.bf16_flops_per_s >= d.f32_flops_per_s);
    CHECK(d.memory_bytes_per_s > d.host_link_bytes_per_s);
    CHECK(d.efficiency > 0);
    CHECK(d.efficiency <= 1);
    CHECK_FALSE(d.source.empty());
  }
}

TEST_CASE("an unknown device is refused with the names that are known") {
  CHECK_THROWS_WITH(find_device("h100"), Catch::Contains("h100-80g") && Catch::Contains("'h100'"));
}

TEST_CASE("time is the larger of products and bytes, plus the launch") {
  Trace t;
  t.buffers = {buffer("x", {1000, 1000}), buffer("w", {1000, 1000}), buffer("y", {1000, 1000})};
  const Op linear =
      op(OpKind::linear_forward, {use("x", 0, 0), use("w", 1, 0), use("y", 2, -1, 1)});
  // 2e9 flops at 0.5e12 per s = 4 ms; 12e6 bytes at 1e9 per s = 12 ms.
  CHECK(modelled_ns(round_figures(), t, linear) == 12'000'100);
  Device fast = round_figures();
  fast.memory_bytes_per_s = 1e12;
  CHECK(modelled_ns(fast, t, linear) == 4'000'100);
  for (Buffer& b : t.buffers) b.dtype = DType::bf16;
  CHECK(modelled_ns(fast, t, linear) == 1'000'100);
  for (Buffer& b : t.buffers) b.dtype = DType::f64;
  CHECK(modelled_ns(fast, t, linear) == 8'000'100);
}

TEST_CASE("a copy takes its bytes over the link once, events take no time") {
  Trace t;
  t.buffers = {buffer("a", {25000}), buffer("host", {25000})};
  CHECK(modelled_ns(round_figures(), t, copy(0, 0, 1, 1)) == 200'100);  // read and written there
  t.buffers[1].space.kind = SpaceKind::host_pinned;
  CHECK(modelled_ns(round_figures(), t, copy(0, 0, 1, 1)) == 1'000'100);
  CHECK(modelled_ns(round_figures(), t, record(0)) == 0);
  CHECK(modelled_ns(round_figures(), t, wait(0)) == 0);
}

TEST_CASE("the memory rate is that of the optimizer's measured ops, when there are some") {
  const Device& device = find_device("laptop-core");
  Trace t = build_program(default_run("mlp-tiny"));
  CHECK(as_measured(device, t).memory_bytes_per_s == device.memory_bytes_per_s);
  fill_modelled_times(device, t);
  CHECK(as_measured(device, t).memory_bytes_per_s == device.memory_bytes_per_s);
  std::int64_t optimizer_ops = 0;
  for (Op& op : t.ops) {
    op.time_source = TimeSource::measured;
    if (op.phase != Phase::optimizer) continue;
    const OpWork work = op_work(t, op);  // at 4 bytes per ns
    op.duration_ns = device.launch_ns + (work.bytes_read + work.bytes_written) / 4;
    ++optimizer_ops;
  }
  REQUIRE(optimizer_ops > 0);
  const Device measured = as_measured(device, t);
  CHECK(measured.memory_bytes_per_s == Approx(4e9).epsilon(0.001));
  CHECK(measured.f32_flops_per_s == device.f32_flops_per_s);
}

TEST_CASE("modelled times fill only what has no time, and are marked") {
  Trace t = build_program(default_run("mlp-tiny"));
  t.ops[3].duration_ns = 77;
  t.ops[3].time_source = TimeSource::measured;
  fill_modelled_times(find_device("laptop-core"), t);
  for (std::size_t i = 0; i < t.ops.size(); ++i) {
    if (i == 3) continue;
    CHECK(t.ops[i].duration_ns >= 500);
    CHECK(t.ops[i].time_source == TimeSource::modelled);
  }
  CHECK(t.ops[3].duration_ns == 77);
  CHECK(t.ops[3].time_source == TimeSource::measured);
}
