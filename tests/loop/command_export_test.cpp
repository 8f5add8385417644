// `tidemark export` as a user calls it, and the way back by `tidemark import`.

#include <nlohmann/json.hpp>

#include "tests/loop/command.h"
#include "tests/paths.h"

using Json = nlohmann::json;
using namespace tidemark_call;

namespace {

const std::string k_samples = TIDEMARK_SOURCE_DIR "/traces/samples/";

Json shown(const Folder& folder, const std::string& trace) {
  const Result r = call(folder, "show '" + trace + "' --json");
  INFO(r.error);
  REQUIRE(r.code == 0);
  return Json::parse(r.out);
}

}  // namespace

TEST_CASE("export: imported again, a run and a plan have the same peak in every category") {
  const Folder folder;
  for (const std::string name : {"gpt2-tiny", "gpt2-tiny.planned"}) {
    const Json before = shown(folder, k_samples + name + ".tmk");
    for (const std::string output : {"a.json", "b.trace.json.gz", "c.pickle"}) {
      const Result r = call(folder, "export '" + k_samples + name + ".tmk' --json -o " + output);
      INFO(r.out << r.error);
      REQUIRE(r.code == 0);
      const Json told = Json::parse(r.out);
      CHECK(told["files"][0]["bytes"] == fs::file_size(folder / output));
      REQUIRE(call(folder, "import " + output + " --quiet -o again.tmk").code == 0);
      const Json after = shown(folder, "again.tmk");
      CHECK(after["peak_bytes"] == before["peak_bytes"]);
      CHECK(after["by_category"] == before["by_category"]);
    }
  }
}

TEST_CASE("export: what a format cannot hold is said, what is not possible is refused") {
  const Folder folder;
  const std::string planned = "'" + k_samples + "gpt2-tiny.planned.tmk'";
  const Result r = call(folder, "export " + planned + " -o plan.pickle");
  CHECK(r.code == 0);
  CHECK(r.out.find("buffers of the host") != std::string::npos);
  REQUIRE(call(folder, "export " + planned + " --format csv -o plan.csv").code == 0);
  CHECK(fs::exists(folder / "plan.peaks.csv"));
  const Result streamed = call(folder, "export " + planned + " --format csv -o -");
  CHECK(streamed.out.starts_with("time_ns,step,event"));
  require_refused(folder, "export " + planned, "--format: expected one of chrome");
  require_refused(folder, "export " + planned + " --format jpeg -o x", "found 'jpeg'");
  require_refused(folder, "export " + planned + " --format csv -o - --json", "--json takes stdout");
  require_refused(folder, "export " + planned + " --format csv -o no/where.csv", "no folder");
  require_refused(folder, "export absent.tmk -o x.csv", "absent.tmk");
}
