// Traces of PyTorch's profiler become traces: start state, layers, categories from the calls around
// an allocation; what is lost is counted, what is no such trace is refused with one line.
#include "traces/import_kineto.h"

#include <algorithm>
#include <map>

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

constexpr std::int64_t k_mib = std::int64_t{1} << 20;

std::string training() {
  return read_file(TIDEMARK_SOURCE_DIR "/tests/golden/kineto/training.json");
}

std::string instant(const std::string& arguments, const std::string& ts = "5") {
  return R"({"ph":"i","name":"[memory]","pid":1,"tid":1,"ts":)" + ts + R"(,"args":{)" + arguments +
         "}}";
}

std::string block(std::int64_t bytes, int address, int ts, int device_type = 1) {
  return instant("\"Bytes\":" + std::to_string(bytes) + ",\"Addr\":" + std::to_string(address) +
                     ",\"Device Id\":0,\"Device Type\":" + std::to_string(device_type),
                 std::to_string(ts));
}

}  // namespace

TEST_CASE("import kineto: categories, layers and phases come from the calls around an allocation") {
  const auto devices = import_recording(training(), "run");
  REQUIRE(devices.size() == 1);
  const Trace& t = devices[0].trace;
  CHECK(t.meta.kind == TraceKind::imported);
  CHECK(t.meta.title == "run, device 0");
  CHECK(t.health == Health{});
  CHECK(devices[0].start_bytes == 3 * k_mib);
  std::map<Category, std::int64_t> bytes;
  for (const Buffer& b : t.buffers) bytes[b.category] += b.size_bytes;
  CHECK(bytes == std::map<Category, std::int64_t>{{Category::unknown, 3 * k_mib},
                                                  {Category::activation, 4 * 65536},
                                                  {Category::temporary, 2 * 4096},
                                                  {Category::gradient, 4 * 32768},
                                                  {Category::input, 2 * 8192},
                                                  {Category::optimizer_state, 131072}});
  CHECK(devices[0].unknown_bytes == 0);
  const auto linear = std::ranges::find(t.buffers, Category::activation, &Buffer::category);
  CHECK(linear->name == "aten::linear");
  CHECK(t[linear->layer].name == "Model_0/Linear_0");
  const auto kernel = std::ranges::find(t.ops, "sgemm", &Op::name);
  REQUIRE(kernel != t.ops.end());
  CHECK(t[kernel->layer].name == "Model_0/Linear_0");
  CHECK(kernel->phase == Phase::forward);
  CHECK(t[kernel->stream].name == "stream 7");
  CHECK(std::ranges::count(t.events, EventKind::step_begin, &Event::kind) == 2);
  CHECK(std::ranges::count(t.events, EventKind::recording_begin, &Event::kind) == 1);
  CHECK(from_bytes(to_binary(t), "again") == t);
}

TEST_CASE("import kineto: what is lost is counted") {
  // Allocated twice, freed twice, and a total that knows of 512 bytes more.
  const std::string text = "[" + block(1024, 64, 1) + "," + block(2048, 64, 2) + "," +
                           block(-2048, 64, 3) + "," + block(-2048, 64, 4) + "]";
  const Health lost = import_kineto(text, "x").front().trace.health;
  CHECK(lost.dropped_events == 1);
  CHECK(lost.unmatched_frees == 1);
  const std::string total = R"("Bytes":512,"Device Id":0,"Device Type":1,"Addr":)";
  const auto drift = import_kineto("[" + instant(total + R"(1,"Total Allocated":512)", "1") + "," +
                                       instant(total + R"(2,"Total Allocated":1536)", "2") + "]",
                                   "x");
  CHECK(drift.front().trace.health.dropped_events == 1);
}

TEST_CASE("import kineto: times keep their nanoseconds, and the array may be open") {
  const std::string open =
      "[" +
      instant(R"("Bytes":512,"Addr":1,"Device Id":0,"Device Type":1)", "1700000000000000.001") +
      "," + instant(R"("Bytes":512,"Addr":2,"Device Id":0,"Device Type":1)", "1700000000000001.5") +
      ",";
  const auto devices = import_kineto(open, "x");
  REQUIRE(devices.size() == 1);
  CHECK_FALSE(devices[0].trace.health.complete);
  CHECK(devices[0].trace.events.back().time_ns == 1499);
}

TEST_CASE("import kineto: memory of the host goes beside that of a device, or stands for one") {
  const auto both = import_kineto("[" + block(512, 1, 1) + "," + block(256, 1, 2, 0) + "]", "x");
  REQUIRE(both.size() == 1);
  CHECK(both[0].trace.buffers[1].space.kind == SpaceKind::host_pageable);
  const auto host = import_kineto("[" + block(256, 1, 2, 0) + "]", "x");
  CHECK(host[0].trace.buffers[0].space.kind == SpaceKind::device);
  CHECK(host[0].trace.meta.title == "x, cpu");
}

TEST_CASE("import kineto: more streams than a trace has are one row") {
  std::string text = "[" + block(512, 1, 1);
  for (int i = 0; i < 100; ++i) {
    text +=
        R"(,{"ph":"X","cat":"kernel","name":"k","pid":0,"tid":0,"ts":9,"dur":1,"args":{"stream":)" +
        std::to_string(i) + R"(,"device":0}})";
  }
  const auto devices = import_kineto(text + "]", "x");
  CHECK(devices[0].trace.streams.size() == 64);
  CHECK(devices[0].trace.streams.back().name == "other streams");
}

TEST_CASE("import kineto: what is no such trace is refused with one line") {
  CHECK(has(fault(""), "an empty file"));
  CHECK(has(fault("hello"), "byte 0"));
  CHECK(has(fault("{}"), "an array 'traceEvents'"));
  CHECK(has(fault(R"({"traceEvents":[]})"), "was memory recorded?"));
  CHECK(has(fault(training().substr(0, 5000)), "byte"));
  CHECK(has(fault("[" + block(512, 1, 1) + "}"), "byte"));
  CHECK(has(fault("[" + instant(R"("Bytes":"many")") + "]"), "traceEvents[0]: expected 'Bytes'"));
  CHECK(has(fault("[" + instant(R"("Bytes":99999999999999999999)") + "]"), "'Bytes'"));
  CHECK(has(fault("[" + instant(R"("Bytes":8,"Device Type":1,"Device Id":7777)") + "]"),
            "'Device Id'"));
  CHECK(has(fault("[" + instant(R"("Bytes":8,"Device Type":1,"Device Id":0,"Addr":1)", "-3") + "]"),
            "'ts' in microseconds"));
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += R"({"a":)";
  CHECK(has(fault(deep), "nesting of at most 64"));
  std::string sum = "[" + block(std::int64_t{1} << 56, 1, 1);
  for (int i = 2; i < 64; ++i) sum += "," + block(std::int64_t{1} << 56, i, i);
  CHECK(has(fault(sum + "]"), "at most 2^61 bytes"));
}
