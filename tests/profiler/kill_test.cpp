// A run that is killed at a random time leaves a readable trace of all its finished steps but those
// of the last block.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "profiler/executor.h"
#include "sim/builder.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "traces/binary.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;

namespace {

namespace fs = std::filesystem;

/// TIDEMARK_KILLS, else a few: `scripts/test --all` asks for 200.
int kills() {
  const char* text = std::getenv("TIDEMARK_KILLS");
  return text == nullptr ? 4 : std::atoi(text);
}

pid_t start(const fs::path& output, const fs::path& said) {
  const pid_t child = fork();
  if (child != 0) return child;
  const int out = ::open(said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ::dup2(out, STDOUT_FILENO);
  // 10 lines are printed: one for every tenth of the steps.
  ::execl(TIDEMARK_BIN_DIR "/tidemark-profile", "tidemark-profile", "gpt2-tiny", "--steps", "100",
          "-o", output.c_str(), static_cast<char*>(nullptr));
  ::_exit(127);
}

/// The last step that the program said was finished, -1 before the first.
int last_step_said(const fs::path& said) {
  const std::string text = read_file(said.string());
  const std::size_t line = text.rfind("\nstep ");
  return line == std::string::npos ? -1 : std::atoi(text.c_str() + line + 6);
}

/// Events up to the end of step `step`; 0 for -1.
std::size_t events_until(const std::vector<Event>& events, int step) {
  const auto end = std::find_if(events.begin(), events.end(), [step](const Event& event) {
    return event.kind == EventKind::step_end && event.index == step;
  });
  return end == events.end() ? 0 : static_cast<std::size_t>(end - events.begin()) + 1;
}

/// What happened, without the times, which differ from run to run.
std::vector<Event> without_times(std::vector<Event> events) {
  for (Event& event : events) event.time_ns = 0;
  return events;
}

}  // namespace

TEST_CASE("a run killed at a random time leaves a readable file and loses at most one block") {
  std::string name = (fs::temp_directory_path() / "tidemark_kill_XXXXXX").string();
  const fs::path folder = ::mkdtemp(name.data());
  const fs::path output = folder / "run.tmk";
  const fs::path part = folder / "run.tmk.part";
  const fs::path said = folder / "said.txt";
  RunConfig config = default_run("gpt2-tiny");
  const Dataset data = find_dataset(config, "");
  const std::vector<Event> reference =
      without_times(run(build_program(config), {.steps = 100, .data = &data}).events);
  std::mt19937 engine(20260801);
  int in_the_middle = 0;
  for (int i = 0; i < kills(); ++i) {
    fs::remove(part);
    const pid_t child = start(output, said);
    // From when the stream exists: before that there is nothing that could be lost.
    for (int wait = 0; wait < 20000 && !fs::exists(part); ++wait) ::usleep(500);
    ::usleep(static_cast<useconds_t>(engine() % 300'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!fs::exists(part)) continue;  // it had finished
    const int finished = last_step_said(said);
    CAPTURE(i, finished);
    Trace trace;
    try {
      trace = read_trace(part.string());
    } catch (const InputError&) {
      REQUIRE(fs::file_size(part) < 16);  // killed before the first write
      continue;
    }
    REQUIRE_FALSE(trace.health.complete);
    REQUIRE(trace.health.damaged_blocks == 0);
    const std::vector<Event> events = without_times(trace.events);
    REQUIRE(events.size() <= reference.size());
    REQUIRE(std::equal(events.begin(), events.end(), reference.begin()));
    REQUIRE(events_until(reference, finished) <= events.size() + k_events_per_block);
    std::size_t ends = 0;
    for (const Event& event : events) ends += event.kind == EventKind::step_end ? 1U : 0U;
    REQUIRE(ends >= trace.steps.size());  // events go first
    in_the_middle += trace.steps.empty() ? 0 : 1;
  }
  WARN(in_the_middle << " of " << kills() << " runs were killed between two steps");
  fs::remove_all(folder);
}
