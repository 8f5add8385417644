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

TEST_CASE("stream: rows that come to be while it grows, closed in order") {
  const TemporaryFolder folder;
  const std::string path = (folder.path / "run.tmk.part").string();
  Trace full;
  StreamWriter stream(path, full);
  full.streams = {{.name = "host"}};
  for (std::size_t i = 0; i < 3; ++i) {
    Trace part;
    if (i == 0) part.streams = full.streams;
    part.layers = {{.name = "layer" + std::to_string(i), .kind = "range", .parent = {}}};
    Buffer buffer;
    buffer.name = "block";
    buffer.layer = LayerId(i);
    buffer.size_bytes = 256;
    part.buffers = {buffer};
    part.events = {{.kind = EventKind::alloc,
                    .time_ns = static_cast<std::int64_t>(i),
                    .index = static_cast<std::int32_t>(i),
                    .size_bytes = 256}};
    stream.append_rows(part);
    full.layers.push_back(part.layers[0]);
    full.buffers.push_back(part.buffers[0]);
    full.events.push_back(part.events[0]);
    Trace seen = full;
    seen.health.complete = false;
    REQUIRE(read_trace(path) == seen);
  }
  full.meta.title = "known at the end";
  full.health.dropped_events = 7;
  full.arenas = {{.capacity_bytes = 1024, .high_water_bytes = 768, .peak_live_bytes = 768}};
  stream.finish(full);
  CHECK(read_trace(path) == full);
}
