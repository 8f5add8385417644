// The whole of `profile --inject` on real processes. What needs a driver is played by the fake of
// recording_test.cpp; here NVTX loads the library into a program, with or without a device.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

#include "../../catch.h"
#include "folder.h"
#include "profiler/doctor.h"
#include "profiler/inject/launch.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using test::Folder;

namespace {

struct Outcome {
  int exit_code = 0;
  std::string output;  // both streams
};

Outcome shell(const std::string& command) {
  Outcome out;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> part{};
  while (std::fgets(part.data(), static_cast<int>(part.size()), pipe)) out.output += part.data();
  const int status = ::pclose(pipe);
  out.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return out;
}

const std::string k_bin = TIDEMARK_BIN_DIR;
const std::string k_program = TIDEMARK_NVTX_PROGRAM;

InjectionCommand parsed(std::vector<const char*> words) {
  words.insert(words.begin(), "tidemark-profile");
  return parse_injection(static_cast<int>(words.size()), words.data());
}

Trace trace_of(std::int32_t device, std::int64_t bytes) {
  Trace trace;
  trace.meta.title = "train";
  trace.streams = {{.name = "host"}};
  Buffer buffer;
  buffer.space = {SpaceKind::device, device};
  buffer.size_bytes = bytes;
  trace.buffers = {buffer};
  trace.events = {{.kind = EventKind::alloc, .index = 0, .size_bytes = bytes}};
  trace.arenas = {{.space = buffer.space, .capacity_bytes = 1 << 20, .high_water_bytes = bytes}};
  return trace;
}

}  // namespace

TEST_CASE("injection: the command line") {
  const InjectionCommand command =
      parsed({"--inject", "-o", "x.tmk", "--kernels", "--", "python", "train.py", "--json"});
  CHECK(command.program == std::vector<std::string>{"python", "train.py", "--json"});
  CHECK(command.output == "x.tmk");
  CHECK(command.kernels);
  CHECK_FALSE(command.json);
  CHECK_THROWS_AS(parsed({"--inject"}), InputError);
  CHECK_THROWS_AS(parsed({"--inject", "--"}), InputError);
  CHECK_THROWS_AS(parsed({"--inject", "gpt2-tiny", "--", "x"}), InputError);
  CHECK_THROWS_AS(parsed({"--inject", "-o", "-", "--", "x"}), InputError);
  const char* not_ours[] = {"tidemark-profile", "x", "--", "--inject"};
  CHECK_FALSE(is_injection(4, not_ours));
  const char* help[] = {"tidemark-profile", "--inject", "--help"};
  CHECK_FALSE(is_injection(3, help));
  CHECK(is_injection(2, help));
}

TEST_CASE("injection: a rank for each device of each process") {
  const std::vector<InjectedProcess> processes{{.pid = 7, .trace = trace_of(1, 256)},
                                               {.pid = 9, .trace = trace_of(0, 512)},
                                               {.pid = 11, .trace = Trace{}}};
  const std::vector<Trace> ranks = rank_traces(processes);
  REQUIRE(ranks.size() == 2);
  CHECK(ranks[0].meta.title == "train, process 7, device 1");
  CHECK(ranks[0].buffers[0].space == Space{SpaceKind::device, 0});
  CHECK(ranks[0].arenas[0].space == Space{SpaceKind::device, 0});
  CHECK(ranks[1].buffers[0].space == Space{SpaceKind::device, 1});
  CHECK(ranks[1].meta.rank == 1);
  CHECK(ranks[1].meta.rank_count == 2);
}

TEST_CASE("injection: parts are found by number, and a broken one is named") {
  const Folder folder;
  write_trace(trace_of(0, 256), folder.file("run.tmk.part1.20"));
  write_trace(trace_of(0, 512), folder.file("run.tmk.part1.3"));
  write_file(folder.file("run.tmk.part1.5"), "not a trace");
  write_file(folder.file("run.tmk.part1.x"), "not ours");
  std::vector<std::string> unreadable;
  const auto processes = injected_processes(folder.file("run.tmk.part1"), unreadable);
  REQUIRE(processes.size() == 2);
  CHECK(processes[0].pid == 3);
  CHECK(processes[1].pid == 20);
  CHECK(unreadable == std::vector<std::string>{folder.file("run.tmk.part1.5")});
}

TEST_CASE("injection: NVTX loads the library into a program and its ranges become layers") {
  const Folder folder;
  const Outcome run = shell("NVTX_INJECTION64_PATH=" + k_bin +
                            "/libtidemark-inject.so TIDEMARK_INJECT_OUTPUT=" + folder.file("part") +
                            " " + k_program + " 5");
  CHECK(run.exit_code == 5);
  CHECK(run.output.empty());
  std::vector<std::string> unreadable;
  const auto processes = injected_processes(folder.file("part"), unreadable);
  REQUIRE(processes.size() == 1);
  const Trace& trace = processes[0].trace;
  std::vector<std::string> names;
  for (const Layer& layer : trace.layers) names.push_back(layer.name);
  CHECK(names == std::vector<std::string>{"forward", "forward/wide", "forward/registered",
                                          "forward/registered/plain"});
  CHECK(trace.health == Health{});
  CHECK_THAT(trace.meta.command, Catch::EndsWith("nvtx_program 5"));
  REQUIRE(trace.events.size() == 2);
  CHECK(trace.events[0].kind == EventKind::step_begin);
}

TEST_CASE("injection: a program of which nothing was recorded is reported as such") {
  const Folder folder;
  const std::string profile = k_bin + "/tidemark-profile --inject -o " + folder.file("run.tmk");
  Outcome run = shell(profile + " -- true");
  CHECK(run.exit_code == 1);
  CHECK_THAT(run.output, Catch::Contains("nothing was recorded of 'true'"));
  run = shell(profile + " -- false");
  CHECK(run.exit_code == 1);
  run = shell(profile + " -- sh -c 'exit 7'");
  CHECK(run.exit_code == 7);
  run = shell(profile + " -- sh -c 'kill -TERM $$'");
  CHECK(run.exit_code == 128 + 15);
  run = shell(profile + " -- " + k_program);
  CHECK(run.exit_code == 1);
  CHECK_THAT(run.output, Catch::Contains("it has NVTX ranges (4 names) but no CUDA allocation"));
  run = shell(profile + " -- /nowhere/program");
  CHECK(run.exit_code == 2);
  CHECK_THAT(run.output, Catch::Contains("/nowhere/program"));
  CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("doctor: one line for each thing, exit code 0 whatever it finds") {
  const std::vector<DoctorRow> rows = examine();
  for (const char* name : {"cpu backend", "clock", "cuda driver", "cupti", "injection"}) {
    const auto row = std::ranges::find(rows, name, &DoctorRow::name);
    REQUIRE(row != rows.end());
    CHECK_FALSE(row->capability.why.empty());
  }
  const std::vector<DoctorRow> two{{"a", {true, "good"}}, {"b c", {false, "no driver"}}};
  CHECK(doctor_text(two) == "  a    yes  good\n  b c  no   no driver\n");
  CHECK_THAT(doctor_json(two), Catch::Contains("\"works\": false"));
  CHECK(shell(k_bin + "/tidemark-profile doctor").exit_code == 0);
  CHECK(shell(k_bin + "/tidemark-profile doctor --json").exit_code == 0);
  CHECK(shell(k_bin + "/tidemark-profile doctor --all").exit_code == 2);
}
