// A stream is a readable trace at every moment of its growth.
#include "traces/stream_writer.h"

#include <unistd.h>

#include <filesystem>

#include "../catch.h"
#include "random_trace.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

struct TemporaryFolder {
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "tidemark_XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path path;
};

}  // namespace

TEST_CASE("stream: after each append the file holds all that was appended") {
  const TemporaryFolder folder;
  const std::string path = (folder.path / "run.tmk.part").string();
  const Trace full = full_trace();
  StreamWriter stream(path, full);
  Trace expected = full;
  expected.events.clear(), expected.steps.clear(), expected.digests.clear();
  expected.arenas.clear();
  expected.health = {};
  expected.health.complete = false;
  CHECK(read_trace(path) == expected);
  for (const Event& event : full.events) {
    stream.append(std::span<const Event>(&event, 1));
    expected.events.push_back(event);
    REQUIRE(read_trace(path) == expected);
  }
  stream.append({}, full.steps, full.digests);
  expected.steps = full.steps;
  expected.digests = full.digests;
  CHECK(read_trace(path) == expected);
  stream.append({});
  CHECK(read_trace(path) == expected);
}

TEST_CASE("stream: cut anywhere, the blocks before the cut are there") {
  const TemporaryFolder folder;
  const std::string path = (folder.path / "run.tmk.part").string();
  const Trace full = full_trace();
  {
    StreamWriter stream(path, full);
    for (const Event& event : full.events) stream.append(std::span<const Event>(&event, 1));
  }
  const std::string whole = read_file(path);
  std::size_t most = 0;
  for (std::size_t size = whole.find("events"); size <= whole.size(); ++size) {
    const Trace trace = from_bytes(whole.substr(0, size), "cut");
    REQUIRE(trace.events.size() >= most);
    REQUIRE(std::equal(trace.events.begin(), trace.events.end(), full.events.begin()));
    REQUIRE(trace.program == full.program);
    most = trace.events.size();
  }
  CHECK(most == full.events.size());
}

TEST_CASE("stream: a place that cannot be written is refused by name") {
  CHECK_THROWS_WITH(StreamWriter("/nowhere/run.tmk.part", Trace{}),
                    Catch::Contains("/nowhere/run.tmk.part"));
}
