// Ranks as processes of Open MPI give what ranks as threads give; skipped where MPI is not there.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/loop/command.h"
#include "tests/paths.h"

using namespace tidemark_call;
using nlohmann::json;

namespace {

bool has_mpi() {
  const bool built = fs::exists(TIDEMARK_BIN_DIR "/libtidemark-mpi.so");
  const bool there = built && std::system("command -v mpirun >/dev/null 2>&1") == 0;
  if (!there) WARN("skipped: needs mpirun and libtidemark-mpi.so (libopenmpi-dev, openmpi-bin)");
  return there;
}

/// Exit code of so many processes; what they print goes to files "out" and "err". Open MPI never
/// gives back some of what it takes, which is not looked for.
int mpirun(const Folder& folder, const std::string& arguments, int processes = 2) {
  const std::string command = "cd '" + folder.path.string() +
                              "' && ASAN_OPTIONS=detect_leaks=0 timeout 120 mpirun "
                              "--allow-run-as-root --oversubscribe -n " +
                              std::to_string(processes) + " '" TIDEMARK_BIN_DIR "/tidemark' " +
                              arguments + " >out 2>err </dev/null";
  return WEXITSTATUS(std::system(command.c_str()));
}

std::string content(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void plan_ranks(const Folder& folder, const std::string& how = "--shard zero2") {
  REQUIRE(call(folder, "profile gpt2-tiny --accumulate 2 --steps 3 --quiet -o run.tmk").code == 0);
  REQUIRE(call(folder, "plan run.tmk " + how + " -o p.tmk --json").code == 0);
}

}  // namespace

TEST_CASE("processes give the bits and the peaks of threads") {
  if (!has_mpi()) return;
  for (const auto& [how, processes] : {std::pair<std::string, int>{"--shard zero2", 2},
                                       {"--shard tensor", 2},
                                       {"--layout tp=2,dp=2 --shard zero1", 4},
                                       {"--layout tp=2,pp=2,sp", 4}}) {
    CAPTURE(how);
    const Folder folder;
    plan_ranks(folder, how);
    REQUIRE(call(folder, "profile --schedule p.tmk --steps 3 --quiet -o threads.tmk").code == 0);
    const int code =
        mpirun(folder, "profile --schedule p.tmk --steps 3 -o processes.tmk", processes);
    INFO(content(folder / "err"));
    REQUIRE(code == 0);
    CHECK(content(folder / "out").find("written to processes.tmk") != std::string::npos);
    const Result r = call(folder, "diff threads.tmk processes.tmk --json");
    CHECK(r.code == 0);
    const json ranks = json::parse(r.out)["ranks"];
    for (const json& rank : ranks) {
      CHECK(rank["bitwise_equal"] == true);
      CHECK(rank["peak_error_bytes"] == 0);
    }
  }
}

TEST_CASE("a process that runs out of memory ends all of them with its exit code and its trace") {
  if (!has_mpi()) return;
  const Folder folder;
  plan_ranks(folder);
  CHECK(mpirun(folder, "profile --schedule p.tmk --device-memory 1MiB -o m.tmk") == 3);
  CHECK(content(folder / "err").find("ended the run of 2 ranks: out of device memory") !=
        std::string::npos);
  const bool one =
      fs::exists(folder.path / "m.rank0.tmk") || fs::exists(folder.path / "m.rank1.tmk");
  CHECK(one);
}

TEST_CASE("as many processes as ranks are needed") {
  if (!has_mpi()) return;
  const Folder folder;
  CHECK(mpirun(folder, "profile gpt2-tiny --steps 1 -o run.tmk") == 2);
  CHECK(content(folder / "err").find("expected 1, one per rank") != std::string::npos);
}
