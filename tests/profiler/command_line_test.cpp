// The program as users call it: exit codes, one clear line per mistake, what lands in files.
#include "profiler/command_line.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "sim/exit_code.h"
#include "sim/run_state.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/profiler/programs.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

namespace fs = std::filesystem;

const std::string k_program = TIDEMARK_BIN_DIR "/tidemark-profile";

/// A folder of its own for each test.
struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "tidemark_profile_XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (path / name).string(); }
  fs::path path;
};

struct Outcome {
  int code = -1;
  std::string output;
  std::string errors;
};

Outcome call(const Folder& folder, const std::string& arguments) {
  const std::string errors = folder.file("stderr.txt");
  const std::string line = "cd '" + folder.path.string() + "' && '" + k_program + "' " + arguments +
                           " 2>'" + errors + "'";
  Outcome outcome;
  FILE* pipe = popen(line.c_str(), "r");
  std::array<char, 4096> part{};
  for (std::size_t n = 0; (n = fread(part.data(), 1, part.size(), pipe)) > 0;) {
    outcome.output.append(part.data(), n);
  }
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.errors = read_file(errors);
  return outcome;
}

std::int64_t line_count(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A model file and data for it, so that the tests need nothing of the machine.
void write_small_model(const Folder& folder) {
  write_file(folder.file("small.json"), R"({"family": "mlp", "widths": [3, 5, 3]})");
  write_file(folder.file("small.csv"), "1,0,3,0\n0,2,1,1\n3,1,0,2\n2,2,2,0\n");
}

const std::string k_small = "--model small.json --data small.csv --batch 4 ";

}  // namespace

TEST_CASE("profile: wrong input gives one line on stderr and exit code 2") {
  const Folder folder;
  write_small_model(folder);
  write_file(folder.file("damaged.tmk"), "this is no trace");
  write_file(folder.file("narrow.csv"), "1,0\n");
  write_file(folder.file("nonsense.json"), R"({"family": "mlp", "widths": [0]})");
  const std::string calls[] = {
      "",
      "--nonsense",
      "gpt2-tiny --batch abc",
      "gpt2-tiny --batch 0",
      "gpt2-tiny --batch -3",
      "gpt2-tiny --batch 999999999999",
      "gpt2-tiny --batch 99999999999999999999",
      "gpt2-tiny --seq 100000",
      "gpt2-tiny --steps 0",
      "gpt2-tiny --threads 0",
      "gpt2-tiny --threads two",
      "gpt2-tiny --threads 2 --backend dry",
      "gpt2-tiny --steps 99999999999",
      "gpt2-tiny --optimizer newton",
      "gpt2-tiny --dtype f8",
      "gpt2-tiny --dtype bf16",
      "gpt2-tiny --precision fp8",
      "gpt2-tiny --precision bf16 --dtype f64",
      "gpt2-tiny --lr nan",
      "gpt2-tiny --lr=-1",
      "gpt2-tiny --backend abacus",
      "gpt2-tiny --backend dry --device abacus",
      "gpt2-tiny --device h100-80g",
      "gpt2-tiny --device-memory lots",
      "gpt2-tiny --allocator buddy",
      "gpt2-tiny --allocator cuda-async",
      "gpt2-tiny --device-memory 0",
      "gpt2-tiny --device-memory=-5MiB",
      "gpt2-tiny --device-memory 4000000TiB",
      "gpt2-tiny --data none.txt",
      "gpt2-tiny gpt-small",
      "gpt2-tiny --model small.json",
      "gpt2-tiny --steps 1 -o none/there/run.tmk",
      "no-such-model",
      "--model none.json",
      "--model nonsense.json",
      "--model small.json --data narrow.csv",
      "--schedule none.tmk",
      "--schedule damaged.tmk",
      "--schedule damaged.tmk --batch 3",
  };
  for (const std::string& arguments : calls) {
    const Outcome outcome = call(folder, arguments);
    INFO(arguments << "\n" << outcome.errors);
    CHECK(outcome.code == k_exit_bad_input);
    CHECK(line_count(outcome.errors) == 1);
    CHECK(outcome.errors.rfind("tidemark: ", 0) == 0);
    CHECK(outcome.errors.size() < 400);
  }
}

TEST_CASE("profile: a run writes a trace that can be read, and --json prints one object") {
  const Folder folder;
  write_small_model(folder);
  const Outcome outcome = call(folder, k_small + "--steps 3 --json -o run.tmk");
  INFO(outcome.errors);
  REQUIRE(outcome.code == k_exit_done);
  const auto json = nlohmann::json::parse(outcome.output);
  const Trace trace = read_trace(folder.file("run.tmk"));
  CHECK(json["losses"].size() == 3);
  CHECK(trace.steps.size() == 3);
  CHECK(trace.meta.level == 2);
  CHECK(contains(trace.meta.command, "--steps 3"));
  CHECK(trace.digests.size() > 0);
  CHECK(json["high_water_bytes"] == trace.arenas.at(0).high_water_bytes);
}

TEST_CASE("profile: the output is named after the model, --quiet prints nothing") {
  const Folder folder;
  write_small_model(folder);
  const Outcome outcome = call(folder, k_small + "--quiet --no-digests");
  CHECK(outcome.code == k_exit_done);
  CHECK(outcome.output.empty());
  CHECK(outcome.errors.empty());
  CHECK(read_trace(folder.file("small.tmk")).digests.empty());
}

TEST_CASE("profile: the loss is shown and the next command named") {
  const Folder folder;
  write_small_model(folder);
  const Outcome outcome = call(folder, k_small + "--steps 30 --lr 0.05");
  CHECK(contains(outcome.output, "step    0  loss "));
  CHECK(contains(outcome.output, "step   29  loss "));
  CHECK(contains(outcome.output, "next: tidemark plan small.tmk --budget"));
}

TEST_CASE("profile: out of device memory is exit code 3, with a plan command and a trace") {
  const Folder folder;
  const Outcome outcome = call(folder, "gpt2-tiny --backend dry --device-memory 8MiB -o oom.tmk");
  CHECK(outcome.code == k_exit_out_of_memory);
  CHECK(contains(outcome.errors, "tidemark: out of device memory"));
  CHECK(contains(outcome.errors, "largest hole"));
  CHECK(contains(outcome.errors, "next: tidemark plan oom.tmk --budget 8MiB"));
  const Trace trace = read_trace(folder.file("oom.tmk"));
  CHECK(trace.events.back().kind == EventKind::out_of_memory);
  for (const Op& op : trace.ops) CHECK(op.duration_ns >= 0);  // it can be planned from
  const Outcome json = call(folder, "gpt2-tiny --backend dry --device-memory 8MiB --json -o o.tmk");
  CHECK(json.code == k_exit_out_of_memory);
  CHECK(nlohmann::json::parse(json.output).contains("out_of_memory"));
}

TEST_CASE("profile: a schedule is executed with its own data and compared by digest") {
  const Folder folder;
  write_small_model(folder);
  REQUIRE(call(folder, k_small + "--steps 3 -o run.tmk").code == k_exit_done);
  Trace planned = read_trace(folder.file("run.tmk"));
  planned.meta.kind = TraceKind::planned;
  planned.events.clear();
  const std::int64_t height = place_first_fit(planned);
  write_trace(planned, folder.file("run.plan.tmk"));

  const std::string schedule = "--schedule run.plan.tmk --data small.csv ";
  const Outcome fits = call(folder, schedule + "--device-memory " + std::to_string(height));
  INFO(fits.errors);
  REQUIRE(fits.code == k_exit_done);
  CHECK(contains(fits.output, "next: tidemark diff run.plan.tmk run.measured.tmk"));
  const Trace measured = read_trace(folder.file("run.measured.tmk"));
  CHECK(measured.meta.kind == TraceKind::measured);
  CHECK(measured.meta.source == "run.plan.tmk");
  CHECK(measured.steps.size() == 3);  // as many as the plan expects
  CHECK(measured.digests == planned.digests);
  CHECK(measured.arenas.at(0).high_water_bytes == height);

  CHECK(call(folder, schedule + "--device-memory " + std::to_string(height - 256)).code ==
        k_exit_out_of_memory);
  write_file(folder.file("small.csv"), "9,0,3,0\n0,2,1,1\n3,1,0,2\n2,2,2,0\n");
  const Outcome other = call(folder, schedule);
  CHECK(other.code == k_exit_bad_input);
  CHECK(contains(other.errors, "digest"));
}

TEST_CASE("profile: an illegal schedule is refused") {
  const Folder folder;
  write_small_model(folder);
  REQUIRE(call(folder, k_small + "-o run.tmk").code == k_exit_done);
  Trace planned = read_trace(folder.file("run.tmk"));
  planned.program.body.pop_back();
  write_trace(planned, folder.file("bad.tmk"));
  const Outcome outcome = call(folder, "--schedule bad.tmk --data small.csv");
  CHECK(outcome.code == k_exit_bad_input);
  CHECK(line_count(outcome.errors) == 1);
}

TEST_CASE("profile: Ctrl-C closes the trace and exits with 130") {
  const Folder folder;
  write_small_model(folder);
  const std::string output = folder.file("run.tmk");
  const std::string model = folder.file("small.json"), data = folder.file("small.csv");
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(pipe_ends[1], STDOUT_FILENO);
    execl(k_program.c_str(), k_program.c_str(), "--model", model.c_str(), "--data", data.c_str(),
          "--batch", "4", "--steps", "1000000", "--no-digests", "-o", output.c_str(), nullptr);
    _exit(127);
  }
  close(pipe_ends[1]);
  // The first line of steps says that the run is under way.
  std::string seen;
  char c = 0;
  while (!contains(seen, "step    0") && read(pipe_ends[0], &c, 1) == 1) seen += c;
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  close(pipe_ends[0]);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == k_exit_cancelled);
  const Trace trace = read_trace(output);
  CHECK(trace.health.complete);
  CHECK(trace.steps.size() >= 1);
  CHECK(trace.events.back().kind == EventKind::step_end);
  CHECK(was_cancelled(trace));
  CHECK(contains(state_line(trace), "CANCELLED after " + std::to_string(trace.steps.size())));
}

TEST_CASE("profile: the results of several threads are those of one") {
  const Folder folder;
  write_small_model(folder);
  REQUIRE(call(folder, k_small + "--quiet -o one.tmk").code == k_exit_done);
  REQUIRE(call(folder, k_small + "--quiet --threads 3 -o three.tmk").code == k_exit_done);
  const Trace one = read_trace(folder.file("one.tmk"));
  const Trace three = read_trace(folder.file("three.tmk"));
  CHECK(one.digests == three.digests);
  CHECK(three.meta.device == "cpu, 3 threads");
  CHECK_FALSE(was_cancelled(one));
}

TEST_CASE("profile: --help shows an example, --version the version") {
  const Folder folder;
  CHECK(contains(call(folder, "--help").output, "Example: tidemark profile"));
  CHECK(contains(call(folder, "--help").output, "Usage: tidemark profile "));
  CHECK(contains(call(folder, "--version").output, "0.1.0"));
  CHECK(call(folder, "--help").code == k_exit_done);
}

TEST_CASE("command line: flags change the configuration of the model") {
  const char* arguments[] = {"profile",     "gpt2-tiny", "--batch", "3",      "--seq",
                             "16",          "--lr",      "0.5",     "--seed", "9",
                             "--optimizer", "sgd",       "--dtype", "f64",    "--device-memory",
                             "1MiB",        "--steps",   "2"};
  const std::optional<CommandLine> line =
      parse_command_line(static_cast<int>(std::size(arguments)), arguments);
  REQUIRE(line.has_value());
  CHECK(line->config.batch == 3);
  CHECK(line->config.sequence == 16);
  CHECK(line->config.seed == 9);
  CHECK(line->config.dtype == DType::f64);
  CHECK(line->config.optimizer.kind == Optimizer::sgd);
  CHECK(line->config.optimizer.learning_rate == 0.5);
  CHECK(line->run.device_memory_bytes == 1 << 20);
  CHECK(line->run.steps == 2);
  CHECK(line->output == "gpt2-tiny.tmk");
}

TEST_CASE("measured_name drops the endings of a plan") {
  CHECK(measured_name("run.plan.tmk") == "run.measured.tmk");
  CHECK(measured_name("a/planned.tmk") == "a/planned.measured.tmk");
  CHECK(measured_name("-") == "measured.tmk");
}
