// Exports of Nsight Systems become traces: enumerations by label, layers and phases from the NVTX
// ranges around the call, a start state, one trace per device; damage is refused with one line.
#include "traces/import_nsys.h"

#include <algorithm>

#include "../catch.h"
#include "tests/paths.h"
#include "tests/traces/import_fault.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/import_recording.h"

using namespace tidemark;
using test::fault;
using test::has;

namespace {

std::string training() {
  return read_file(TIDEMARK_SOURCE_DIR "/tests/golden/nsys/training.sqlite");
}

/// A database with one memory event of these columns and values.
std::string one_event(const std::string& columns, const std::string& values) {
  SqliteDatabase db;
  db.run("CREATE TABLE CUDA_GPU_MEMORY_USAGE_EVENTS (" + columns + ")");
  db.run("INSERT INTO CUDA_GPU_MEMORY_USAGE_EVENTS VALUES (" + values + ")");
  return db.bytes();
}

}  // namespace

TEST_CASE("import nsys: one trace per device, with layers, phases, steps and kernels") {
  const auto devices = import_recording(training(), "run");
  REQUIRE(devices.size() == 2);
  const Trace& t = devices[0].trace;
  CHECK(t.meta.allocator == "cuda driver");
  CHECK(t.health == Health{});
  CHECK(devices[0].start_bytes == 1024);
  const auto named = [&t](std::string_view name) {
    const auto found = std::ranges::find(t.buffers, name, &Buffer::name);
    REQUIRE(found != t.buffers.end());
    return *found;
  };
  CHECK(named("__table").category == Category::framework);
  CHECK(named("allocation").space.kind == SpaceKind::host_pinned);
  const Buffer block = named("block0");
  CHECK(block.category == Category::unknown);
  CHECK(t[block.layer].name == "forward/block0");
  const auto kernel = std::ranges::find(t.ops, "sgemm", &Op::name);
  REQUIRE(kernel != t.ops.end());
  CHECK(kernel->phase == Phase::forward);
  CHECK(t[kernel->stream].name == "stream 7");
  CHECK(std::ranges::find(t.ops, "memcpy Host-to-Device", &Op::name) != t.ops.end());
  CHECK(std::ranges::count(t.events, EventKind::step_end, &Event::kind) == 2);
  const Trace& second = devices[1].trace;
  CHECK(second.meta.rank == 1);
  CHECK(second[second.buffers.front().layer].name == "optimizer");
  for (const ImportedDevice& d : devices) {
    CHECK(from_bytes(to_binary(d.trace), "again") == d.trace);
  }
}

TEST_CASE("import nsys: an old export without labels and columns is read as far as it goes") {
  const auto devices = import_recording(
      one_event("start INT, bytes INT, address INT, memoryOperationType INT", "5, 1000, 64, 0"),
      "old");
  REQUIRE(devices.size() == 1);
  CHECK(devices[0].trace.buffers.at(0).size_bytes == 1000);
  CHECK(devices[0].unknown_bytes == 1000);
}

TEST_CASE("import nsys: what is no such export is refused with one line") {
  CHECK(has(fault("SQLite format 3"), "byte 0"));
  const std::string magic("SQLite format 3\0", 16);
  CHECK(has(fault(magic + "damaged"), "SQLite"));
  CHECK(has(fault(training().substr(0, 6000)), "SQLite"));
  SqliteDatabase other;
  other.run("CREATE TABLE t (a INT)");
  CHECK(has(fault(other.bytes()), "other tables"));
  SqliteDatabase without;
  without.run("CREATE TABLE NVTX_EVENTS (start INT)");
  CHECK(has(fault(without.bytes()), "--cuda-memory-usage"));
  const std::string columns = "start INT, bytes INT, address INT, memoryOperationType INT";
  CHECK(has(fault(one_event(columns, "5, -7, 64, 0")), "'bytes' from 0"));
  CHECK(has(fault(one_event(columns, "5, 'many', 64, 0")), "'bytes' from 0"));
  CHECK(has(fault(one_event(columns, "5, 8, -64, 0")), "'address' from 0"));
  CHECK(has(fault(one_event(columns, "9223372036854775807, 8, 64, 0")), "'start' from 0"));
  CHECK(has(fault(one_event("start INT, bytes INT, memoryOperationType INT", "5, 7, 0")),
            "'address' from 0"));
}

TEST_CASE("import nsys: a view that never ends is no table") {
  SqliteDatabase db;
  db.run(
      "CREATE VIEW CUDA_GPU_MEMORY_USAGE_EVENTS AS WITH RECURSIVE r(start) AS (SELECT 1 UNION ALL "
      "SELECT start + 1 FROM r) SELECT start FROM r");
  CHECK(has(fault(db.bytes()), "other tables"));
}
