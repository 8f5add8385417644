// `tidemark report` as a user calls it: forms, refusals, a kill in the middle, several processes.
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "command.h"
#include "tests/paths.h"
#include "traces/file.h"

using namespace tidemark_call;

namespace {

constexpr const char* k_spec =
    "global_batch: 64\nsequence: 2048\nmodels: [llama3-8b]\n"
    "devices: [{device: a100-80g, ranks: [1, 8]}]\n"
    "strategies:\n  - {name: shards, recipe: zero3, recompute: full}\n"
    "  - name: any\n    search: {recipes: [zero1, zero3], recomputes: [none, full]}\n";

// Enough work for a kill to come in the middle of it.
constexpr const char* k_long_spec =
    "global_batch: 512\nsequence: 2048\nmodels: [gpt3-175b, llama3-70b]\n"
    "devices: [{device: a100-80g, ranks: [64, 128]}]\n"
    "strategies:\n  - name: any\n    search:\n      recipes: [zero1, zero3, megatron-distributed]\n"
    "      recomputes: [none, attention_core, norms, mlp, full]\n      most_virtual_stages: 4\n";

long lines_of(const std::string& file) {
  if (!fs::exists(file)) return 0;
  const std::string text = tidemark::read_file(file);
  return std::count(text.begin(), text.end(), '\n');
}

/// Starts a report in the background, and kills it when its rows have this many lines.
void run_and_kill(const Folder& folder, const std::string& rows, long lines) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::execl(TIDEMARK_BIN_DIR "/tidemark", "tidemark", "report", (folder / "long.yaml").c_str(),
            "--rows", rows.c_str(), "-o", (folder / "killed.html").c_str(), nullptr);
    ::_exit(127);
  }
  for (int i = 0; i < 6000 && lines_of(rows) < lines; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
}

}  // namespace

TEST_CASE("report: text, JSON, CSV and a page by one call") {
  const Folder folder;
  write(folder / "spec.yaml", k_spec);
  const Result text = call(folder, "report spec.yaml -o page.html --csv rows.csv");
  INFO(text.error);
  CHECK(text.code == 0);
  CHECK(text.out.find("8 x a100-80g") != std::string::npos);
  CHECK(tidemark::read_file(folder / "page.html").find("<svg") != std::string::npos);
  CHECK(lines_of(folder / "rows.csv") > 2);
  const Result json = call(folder, "report spec.yaml --json");
  CHECK(nlohmann::json::parse(json.out)["cells"].size() == 4);
  CHECK(call(folder, "report spec.yaml --json --threads 1").out == json.out);
  CHECK(call(folder, "report spec.yaml -o -").out.starts_with("<!doctype html>"));
  write(folder / "large.yaml",
        "global_batch: 1\nmodels: [gpt3-175b]\ndevices: [{device: a10-24g, "
        "ranks: 1}]\nstrategies: [{name: one, recipe: ddp}]\n");
  CHECK(call(folder, "report large.yaml").code == 1);
}

TEST_CASE("report: what is wrong with a spec is said in lines that name the field") {
  const Folder folder;
  write(folder / "spec.yaml", std::string(k_spec) + "colour: red\n");
  require_refused(folder, "report spec.yaml", "spec.yaml: line 9: colour: expected no field");
  require_refused(folder, "report none.yaml", "none.yaml");
  write(folder / "spec.yaml", k_spec);
  require_refused(folder, "report spec.yaml -o spec.yaml", "spec.yaml");
  require_refused(folder, "report spec.yaml --devices none.yaml", "none.yaml");
  write(folder / "rows.jsonl", "something else\n");
  require_refused(folder, "report spec.yaml --rows rows.jsonl", "expected rows of this report");
}

TEST_CASE("report: killed in the middle, it goes on without losing or repeating a part") {
  const Folder folder;
  write(folder / "long.yaml", k_long_spec);
  const Result whole = call(folder, "report long.yaml --json");
  REQUIRE(whole.code == 0);
  const std::string rows = folder / "rows.jsonl";
  long before = 0;
  for (const long lines : {3L, 20L}) {
    run_and_kill(folder, rows, lines);
    CHECK(lines_of(rows) >= before);
    before = lines_of(rows);
  }
  const Result resumed = call(folder, "report long.yaml --json --rows rows.jsonl");
  CHECK(resumed.code == 0);
  CHECK(resumed.out == whole.out);
  CHECK(lines_of(rows) == 1 + 2 * 2 * 3 * 5);
  // All is there: nothing is reckoned again.
  CHECK(call(folder, "report long.yaml --json --rows rows.jsonl").out == whole.out);
  CHECK(lines_of(rows) == 1 + 2 * 2 * 3 * 5);
}

TEST_CASE("report: several processes under MPI give what one gives") {
  const bool has_plugin = fs::exists(TIDEMARK_BIN_DIR "/libtidemark-mpi.so");
  if (!has_plugin || std::system("command -v mpirun >/dev/null 2>&1") != 0) {
    WARN("SKIP: no MPI here (libopenmpi-dev, openmpi-bin)");
    return;
  }
  const Folder folder;
  write(folder / "long.yaml", k_long_spec);
  const Result one = call(folder, "report long.yaml --json --threads 1");
  const std::string command = "cd '" + folder.path.string() +
                              "' && OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
                              "ASAN_OPTIONS=detect_leaks=0 mpirun --oversubscribe -n 3 '" +
                              TIDEMARK_BIN_DIR
                              "/tidemark' report long.yaml --json --threads 1 --rows rows.jsonl "
                              ">many.json 2>many.txt";
  const int status = std::system(command.c_str());
  INFO(tidemark::read_file(folder / "many.txt"));
  CHECK(status == 0);
  CHECK(tidemark::read_file(folder / "many.json") == one.out);
  CHECK(lines_of(folder / "rows.jsonl") == 1 + 2 * 2 * 3 * 5);
}
