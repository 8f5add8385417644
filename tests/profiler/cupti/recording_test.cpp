// A program under injection, played by a test: ranges by NVTX's calls, records by a fake CUPTI.
#include "profiler/inject/recording.h"

#include <unistd.h>

#include <filesystem>

#include "../../catch.h"
#include "fake_cupti.h"
#include "folder.h"
#include "sim/breakdown.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t k_mib = std::int64_t{1} << 20;

RecordingOptions options_of(const Folder& folder) {
  RecordingOptions out;
  out.path = folder.file("run.tmk");
  out.command = "train --fast";
  out.own_thread = false;
  return out;
}

struct Played {
  FakeCupti cupti;
  FakeDriver driver;
  std::uint64_t next = 0x1000;

  std::uint64_t allocate(std::int64_t bytes) {
    const std::uint64_t address = next;
    next += 0x100;
    driver.used_bytes += static_cast<std::size_t>(bytes);
    cupti.allocate(address, static_cast<std::uint64_t>(bytes), session_clock_ns());
    return address;
  }
};

}  // namespace

TEST_CASE("recording: a step of a program becomes a trace with layers, phases and the device") {
  const Folder folder;
  Played program;
  program.driver.used_bytes = 300 * k_mib;  // the context
  {
    InjectedRecording recording(options_of(folder));
    std::string why;
    REQUIRE(recording.attach(program.cupti.api, &program.driver.api, why));
    program.cupti.context_created(&program);
    CHECK(recording.push("step 0") == 0);
    CHECK(recording.push("forward") == 1);
    program.allocate(8 * k_mib);
    CHECK(recording.pop() == 1);
    recording.push("backward");
    program.allocate(4 * k_mib);
    recording.pop();
    CHECK(recording.pop() == 0);
    recording.pump(false);
    const Trace early = read_trace(options_of(folder).path);
    CHECK_FALSE(early.health.complete);
    program.allocate(2 * k_mib);
    recording.pump(false);
    recording.pump(false);
    CHECK(read_trace(options_of(folder).path).buffers.size() >= 4);
    recording.close();
    recording.close();
  }
  const Trace trace = read_trace(options_of(folder).path);
  CHECK(trace.health == Health{});
  CHECK(trace.meta.command == "train --fast");
  CHECK(trace.meta.device == "Paper GPU");
  CHECK(trace.meta.level == 0);
  const Timeline timeline = recorded_timeline(trace);
  CHECK(timeline.step_begin_ns.size() == 1);
  CHECK(timeline.run_peak.bytes == 314 * k_mib);
  const std::vector<Holding> held = breakdown(trace, timeline, timeline.run_peak.change,
                                              {GroupBy::category, GroupBy::layer, GroupBy::phase});
  std::vector<std::string> texts;
  for (const Holding& h : held) {
    texts.push_back(h.keys[0] + " " + h.keys[1] + " " + h.keys[2] + " " +
                    std::to_string(h.bytes / k_mib));
  }
  CHECK(texts ==
        std::vector<std::string>{"framework (no layer) other 300", "unknown forward forward 8",
                                 "unknown backward backward 4", "unknown (no layer) other 2"});
  REQUIRE(trace.arenas.size() == 1);
  CHECK(trace.arenas[0].high_water_bytes == 314 * k_mib);
}

TEST_CASE("recording: a refused allocation is in the trace at once, with its size") {
  const Folder folder;
  Played program;
  InjectedRecording recording(options_of(folder));
  std::string why;
  REQUIRE(recording.attach(program.cupti.api, &program.driver.api, why));
  recording.push("forward");
  program.allocate(8 * k_mib);
  program.cupti.allocation_returns(64 * k_mib, CUDA_ERROR_OUT_OF_MEMORY);
  recording.pump(false);
  const Trace trace = read_trace(options_of(folder).path);  // as if the program ended here
  std::vector<std::int64_t> refused;
  for (const Event& e : trace.events) {
    if (e.kind == EventKind::out_of_memory) refused.push_back(e.size_bytes);
  }
  CHECK(refused == std::vector<std::int64_t>{64 * k_mib});
  CHECK(recorded_timeline(trace).run_peak.bytes == 8 * k_mib);
  recording.pop();
}

TEST_CASE("recording: dropped records and a fatal error of CUPTI make a trace incomplete") {
  const Folder folder;
  Played program;
  std::string why;
  SECTION("dropped") {
    InjectedRecording recording(options_of(folder));
    REQUIRE(recording.attach(program.cupti.api, nullptr, why));
    program.allocate(k_mib);
    program.cupti.dropped = 3;
    recording.close();
    const Trace trace = read_trace(options_of(folder).path);
    CHECK(trace.health.dropped_events == 3);
    CHECK_FALSE(trace.health.complete);
  }
  SECTION("fatal") {
    InjectedRecording recording(options_of(folder));
    REQUIRE(recording.attach(program.cupti.api, nullptr, why));
    program.allocate(k_mib);
    recording.pump(false);
    program.cupti.callback(program.cupti.user, CUPTI_CB_DOMAIN_STATE, CUPTI_CBID_STATE_FATAL_ERROR,
                           nullptr);
    recording.close();
    CHECK_FALSE(read_trace(options_of(folder).path).health.complete);
  }
}

TEST_CASE(
    "recording: ranges without CUDA leave layers only, a forked child leaves the file alone") {
  const Folder folder;
  {
    InjectedRecording recording(options_of(folder));
    recording.push("forward");
    recording.pop();
    CHECK(recording.pop() == 0);  // one too many
  }
  const Trace trace = read_trace(options_of(folder).path);
  CHECK(trace.layers.size() == 1);
  CHECK(trace.buffers.empty());
  std::filesystem::remove(options_of(folder).path);
  {
    InjectedRecording recording(options_of(folder));
    recording.push("forward");
    recording.abandon();
    recording.pop();
  }
  CHECK_FALSE(std::filesystem::exists(options_of(folder).path));
}

TEST_CASE("recording: the writer's own thread writes without being asked") {
  const Folder folder;
  Played program;
  RecordingOptions options = options_of(folder);
  options.own_thread = true;
  {
    InjectedRecording recording(options);
    std::string why;
    REQUIRE(recording.attach(program.cupti.api, &program.driver.api, why));
    program.allocate(k_mib);
  }
  CHECK(recorded_timeline(read_trace(options.path)).run_peak.bytes >= k_mib);
}

TEST_CASE("recording: a place that cannot be written does not end the program") {
  Played program;
  RecordingOptions options = options_of(Folder());  // gone already
  InjectedRecording recording(options);
  std::string why;
  REQUIRE(recording.attach(program.cupti.api, nullptr, why));
  program.allocate(k_mib);
  recording.pump(true);
  recording.close();
  SUCCEED();
}
