// `tidemark` as a user meets it: figures, formats, and what it says to wrong input.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "traces/file.h"

using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Result {
  int code = -1;
  std::string out;
  std::string error;
};

/// A folder of this test's own, gone afterwards.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("tidemark-cli-" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() {
    std::error_code ignored;
    fs::permissions(path, fs::perms::owner_all, ignored);
    fs::remove_all(path, ignored);
  }
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path / name).string();
  }
};

Result call(const Folder& folder, const std::string& arguments) {
  const std::string error_file = folder / "stderr";
  const std::string command = "cd '" + folder.path.string() +
                              "' && '" TIDEMARK_BIN_DIR "/tidemark' " + arguments + " 2>'" +
                              error_file + "' </dev/null";
  Result result;
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> chunk{};
  for (std::size_t got = 0; (got = std::fread(chunk.data(), 1, chunk.size(), pipe)) > 0;) {
    result.out.append(chunk.data(), got);
  }
  result.code = WEXITSTATUS(::pclose(pipe));
  std::ifstream in(error_file);
  result.error.assign(std::istreambuf_iterator<char>(in), {});
  return result;
}

/// Exit code 2, nothing on stdout, and one line on stderr that has `part`.
void require_refused(const Folder& folder, const std::string& arguments, const std::string& part) {
  const Result r = call(folder, arguments);
  INFO(arguments << "\n" << r.out << r.error);
  CHECK(r.code == 2);
  CHECK(r.out.empty());
  CHECK(std::count(r.error.begin(), r.error.end(), '\n') == 1);
  CHECK(r.error.find(part) != std::string::npos);
}

std::string write(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

/// A recorded run of gpt2-tiny in the folder.
void record(const Folder& folder) {
  const Result r = call(folder, "profile gpt2-tiny --steps 3 --quiet -o run.tmk");
  INFO(r.error);
  REQUIRE(r.code == 0);
}

}  // namespace

TEST_CASE("bare tidemark shows the three jobs, every verb has help with an example") {
  const Folder folder;
  const Result bare = call(folder, "");
  CHECK(bare.code == 0);
  CHECK(bare.out.find("tidemark plan run.tmk") != std::string::npos);
  CHECK(call(folder, "--version").out.find("tidemark 0.") == 0);
  for (const char* verb :
       {"show", "plan", "diff", "estimate", "models", "devices", "methods", "profile"}) {
    const Result help = call(folder, std::string(verb) + " --help");
    INFO(verb);
    CHECK(help.code == 0);
    CHECK(help.out.find("Example") != std::string::npos);
  }
}

TEST_CASE("record, show, plan, execute, diff on the command line") {
  const Folder folder;
  record(folder);
  const Json shown = Json::parse(call(folder, "show run.tmk --json").out);
  const auto peak = shown["peak_bytes"].get<std::int64_t>();
  std::int64_t sum = 0;
  for (const auto& [category, bytes] : shown["by_category"].items())
    sum += bytes.get<std::int64_t>();
  CHECK(sum == peak);
  CHECK(shown["leaf_layer_bytes"].get<std::int64_t>() * 1000 >= peak * 999);
  CHECK(shown["complete"] == true);

  const Json plan =
      Json::parse(call(folder, "plan run.tmk --budget 60% -o planned.tmk --json").out);
  REQUIRE(plan["feasible"] == true);
  CHECK(plan["height_bytes"].get<std::int64_t>() <= peak * 60 / 100);
  CHECK(plan["step_ns"].get<std::int64_t>() >= plan["bound_step_ns"].get<std::int64_t>());
  CHECK_FALSE(plan["decisions"].empty());

  const std::string height = plan["height_bytes"].dump();
  const Result executed = call(
      folder,
      "profile --schedule planned.tmk --steps 3 --quiet -o measured.tmk --device-memory " + height);
  INFO(executed.error);
  REQUIRE(executed.code == 0);
  const Json diff = Json::parse(call(folder, "diff planned.tmk measured.tmk --json").out);
  CHECK(diff["peak_error_bytes"] == 0);
  CHECK(diff["reserved_error_bytes"] == 0);
  CHECK(diff["bitwise_equal"] == true);
  CHECK(diff["step_time_error_pct"].is_number());

  const Result gate = call(folder, "diff planned.tmk run.tmk --gate peak+2%");
  CHECK(gate.code == 1);
  CHECK(call(folder, "diff run.tmk planned.tmk --gate peak+2%").code == 0);
  CHECK(call(folder, "diff run.tmk -- planned.tmk").code == 0);
}

TEST_CASE("a run that does not fit exits 3 and says what would help") {
  const Folder folder;
  const Result r =
      call(folder, "profile gpt2-tiny --steps 2 --quiet --device-memory 6MiB -o small.tmk");
  CHECK(r.code == 3);
  const std::string all = r.out + r.error;
  CHECK(all.find("activation") != std::string::npos);
  CHECK(all.find("largest hole") != std::string::npos);
  CHECK(all.find("tidemark plan ") != std::string::npos);
}

TEST_CASE("no plan fits: exit 1, a proof and the smallest budget") {
  const Folder folder;
  record(folder);
  const Result r = call(folder, "plan run.tmk --budget 1MiB -o none.tmk");
  CHECK(r.code == 1);
  CHECK(r.out.find("Proof") != std::string::npos);
  CHECK(r.out.find("tidemark plan run.tmk --budget ") != std::string::npos);
  CHECK_FALSE(fs::exists(folder / "none.tmk"));
}

TEST_CASE("the page of a run is self-contained") {
  const Folder folder;
  record(folder);
  REQUIRE(call(folder, "show run.tmk --html page.html").code == 0);
  const std::string page = tidemark::read_file(folder / "page.html");
  CHECK(page.find("<svg") != std::string::npos);
  CHECK(page.find("http") == std::string::npos);
}

TEST_CASE("wrong input: one clear line and exit code 2") {
  const Folder folder;
  record(folder);
  const std::string whole = tidemark::read_file(folder / "run.tmk");
  write(folder / "empty.tmk", "");
  write(folder / "noise.tmk", "this is not a trace");
  write(folder / "cut.tmk", whole.substr(0, 40));
  write(folder / "stub.tmk", whole.substr(0, 400));
  require_refused(folder, "show missing.tmk", "missing.tmk");
  require_refused(folder, "show .", "a directory");
  require_refused(folder, "show empty.tmk", "empty");
  require_refused(folder, "show noise.tmk", "a tidemark trace");
  require_refused(folder, "show stub.tmk", "nothing of use");
  require_refused(folder, "show run.tmk --by colour", "--by");
  require_refused(folder, "show run.tmk --at yesterday", "--at");
  require_refused(folder, "show", "required");
  require_refused(folder, "shwo run.tmk", "expected a verb, found 'shwo'");
  require_refused(folder, "plan run.tmk", "--budget");
  require_refused(folder, "plan run.tmk --budget lots", "--budget");
  require_refused(folder, "plan run.tmk --budget -3MiB", "--budget");
  require_refused(folder, "plan run.tmk --budget 60% --method magic", "magic");
  require_refused(folder, "plan run.tmk --budget 60% --allow prayer", "--allow");
  require_refused(folder, "plan run.tmk --budget 60% -o /nowhere/x.tmk", "/nowhere/x.tmk");
  require_refused(folder, "plan cut.tmk --budget 60%", "cut.tmk");
  require_refused(folder, "profile mlp-tiny -o /nowhere/x.tmk", "no folder /nowhere");
  require_refused(folder, "profile mlp-tiny -o run.tmk/x.tmk", "not a folder");
  require_refused(folder, "diff run.tmk", "2");
  require_refused(folder, "diff run.tmk run.tmk --gate 3", "--gate");
  require_refused(folder, "estimate gpt5", "gpt2-124M");
  require_refused(folder, "estimate gpt2-124M --device h9000", "h100-80g");
  require_refused(folder, "estimate gpt2-124M --batch 999999999999", "--batch");
  require_refused(folder, "estimate gpt2-124M --seq 4096", "--seq");
}

TEST_CASE("a truncated trace is read as far as it goes, and show says so") {
  const Folder folder;
  record(folder);
  const std::string whole = tidemark::read_file(folder / "run.tmk");
  write(folder / "cut.tmk", whole.substr(0, whole.size() - 30));
  const Result r = call(folder, "show cut.tmk");
  CHECK(r.code == 0);
  CHECK(r.out.find("NOT COMPLETE") != std::string::npos);
}

TEST_CASE("an existing output is replaced only by a complete one") {
  const Folder folder;
  record(folder);
  write(folder / "kept.tmk", "old");
  CHECK(call(folder, "plan run.tmk --budget 1KiB -o kept.tmk").code == 1);
  CHECK(tidemark::read_file(folder / "kept.tmk") == "old");
}

TEST_CASE("estimate says what each pipeline rank of a transformer needs") {
  const Folder folder;
  const Result zero3 = call(
      folder, "estimate llama3-8b --layout tp=8,pp=2,dp=4,sp --recipe zero3 --batch 16 --json");
  REQUIRE(zero3.code == 0);
  const Json j = Json::parse(zero3.out);
  CHECK(j["ranks"] == 64);
  CHECK(j["layout"] == "tp=8,pp=2,dp=4,sp");
  CHECK(j["parameters"] == 8'030'261'248);
  REQUIRE(j["pipeline_ranks"].size() == 2);
  for (const Json& rank : j["pipeline_ranks"]) {
    CHECK(rank["peak_bytes"].get<std::int64_t>() <= j["peak_bytes"].get<std::int64_t>());
    // 16 bytes for each of half the model, over 8 x 4 ranks, but norms only over 4.
    CHECK(rank["states_bytes"].get<double>() < 16 * 8.05e9 / 64);
    CHECK(rank["states_bytes"].get<double>() > 16 * 8.02e9 / 64);
  }
  const Result whole = call(folder, "estimate llama3-70b --recipe ddp");
  CHECK(whole.code == 1);
  CHECK(whole.out.find("TOO LARGE") != std::string::npos);
  std::ofstream(folder / "config.json") << R"({"model_type": "llama", "num_hidden_layers": 2,
    "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100})";
  CHECK(call(folder, "estimate config.json --seq 128").code == 0);
  require_refused(folder, "estimate config.json", "batch.sequence: expected");
  const Result refused = call(folder, "estimate llama3-8b --layout tp=3 --recipe zero9");
  CHECK(refused.code == 2);
  CHECK(refused.error.find("--recipe") != std::string::npos);
  CHECK(refused.error.find("\nmodel.heads: ") != std::string::npos);
  require_refused(folder, "estimate llama3-8b --layout dp=4 --batch 6", "--batch");
  require_refused(folder, "estimate llama3-8b --optimizer sgd", "--optimizer");
  require_refused(folder, "estimate gpt2-124M --layout tp=2", "llama3-8b");
}

TEST_CASE("estimate says whether a model fits a device, and writes a trace that can be planned") {
  const Folder folder;
  const Json large =
      Json::parse(call(folder, "estimate gpt2-1558M --batch 8 --device rtx4090-24g --json").out);
  CHECK(large["fits"] == false);
  const Result small =
      call(folder, "estimate gpt2-124M --batch 1 --seq 128 --device h100-80g -o dry.tmk --json");
  CHECK(small.code == 0);
  CHECK(Json::parse(small.out)["fits"] == true);
  const Result plan = call(folder, "plan dry.tmk --budget 90% --nodes 20 --json");
  INFO(plan.error);
  CHECK(plan.code <= 1);
  CHECK(Json::parse(plan.out).contains("feasible"));
}
