// Seeking in a mapped file agrees with walking all events, with an index, without, and damaged.
#include "traces/mapped.h"

#include <unistd.h>

#include <filesystem>

#include "../catch.h"
#include "random_trace.h"
#include "tests/paths.h"
#include "traces/binary.h"
#include "traces/blocks.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

struct TemporaryFile {
  explicit TemporaryFile(const std::string& content) {
    int fd = ::mkstemp(name.data());
    ::close(fd);
    write_file(name, content);
  }
  ~TemporaryFile() { std::filesystem::remove(name); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string name = (std::filesystem::temp_directory_path() / "tidemark_XXXXXX").string();
};

/// Allocs and frees of a few buffers; equal times are frequent.
Trace random_events(std::uint64_t seed, std::int64_t count) {
  Draw draw(seed);
  Trace trace;
  trace.buffers.resize(9);
  std::int64_t time_ns = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    time_ns += draw.between(0, 2);
    const auto buffer = static_cast<std::int32_t>(draw.between(0, 8));
    if (draw.chance(50)) {
      trace.events.push_back({EventKind::alloc, time_ns, buffer, draw.between(0, 9) * 256, 256});
    } else {
      trace.events.push_back({EventKind::free, time_ns, buffer, -1, 0});
    }
  }
  return trace;
}

/// The judge: a walk over all events with nothing but a table of the buffers.
std::vector<LiveBuffer> alive_by_walking(const std::vector<Event>& events, std::int64_t time_ns) {
  std::vector<LiveBuffer> slots(9);
  for (const Event& event : events) {
    if (event.time_ns > time_ns) break;
    LiveBuffer& slot = slots[static_cast<std::size_t>(event.index)];
    slot = {};
    if (event.kind == EventKind::free) continue;
    slot.buffer.value = event.index;
    slot.address_bytes = event.address_bytes;
    slot.size_bytes = event.size_bytes;
    slot.since_ns = event.time_ns;
  }
  std::erase_if(slots, [](const LiveBuffer& slot) { return !slot.buffer.valid(); });
  return slots;
}

void require_same_answers(MappedTrace& file, const std::vector<Event>& events) {
  REQUIRE(file.event_count() == static_cast<std::int64_t>(events.size()));
  const std::int64_t last_ns = events.empty() ? 0 : events.back().time_ns;
  for (std::int64_t t = -1; t <= last_ns + 1; t += 3) {
    REQUIRE(file.alive_at(t) == alive_by_walking(events, t));
    std::vector<Event> expected;
    for (const Event& e : events) {
      if (e.time_ns >= t && e.time_ns < t + 5) expected.push_back(e);
    }
    REQUIRE(file.events_between(t, t + 5) == expected);
  }
}

std::string without_footer(const std::string& bytes) {
  return bytes.substr(0, bytes.rfind(std::string("index") + std::string(11, '\0')));
}

}  // namespace

TEST_CASE("mapped: any instant is answered as by walking all events") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Trace trace = random_events(seed, Draw(seed).between(0, 120));
    const TemporaryFile file(to_binary(trace, 1 + seed % 7));
    MappedTrace mapped(file.name);
    CAPTURE(seed);
    CHECK_FALSE(mapped.index_rebuilt());
    require_same_answers(mapped, trace.events);
    CHECK(mapped.health() == Health{});
  }
}

TEST_CASE("mapped: a missing index is made again and says the same") {
  const Trace trace = random_events(5, 100);
  const std::string bytes = to_binary(trace, 8);
  const TemporaryFile whole(bytes);
  const TemporaryFile cut(without_footer(bytes));
  MappedTrace with(whole.name);
  MappedTrace without(cut.name);
  CHECK(without.index_rebuilt());
  CHECK(without.index() == with.index());
  CHECK_FALSE(without.health().complete);
  CHECK(without.health().truncated_bytes == 0);
  require_same_answers(without, trace.events);
}

TEST_CASE("mapped: a file of version 1.0 has no index and is read all the same") {
  const std::string golden = std::string(TIDEMARK_SOURCE_DIR) + "/tests/golden/v1_small.tmk";
  MappedTrace mapped(golden);
  CHECK(mapped.index_rebuilt());
  CHECK(mapped.health() == Health{});
  CHECK(mapped.events_between(0, INT64_MAX) == read_trace(golden).events);
}

TEST_CASE("mapped: an unknown block is skipped and counted") {
  Trace trace = random_events(2, 30);
  std::string bytes = to_binary(trace, 8);
  std::string alien;
  put_block(alien, "hologram", 3, "whatever is in it");
  bytes.insert(16, alien);
  const TemporaryFile file(bytes);
  MappedTrace mapped(file.name);
  CHECK(mapped.health().skipped_blocks == 1);
  CHECK(mapped.health().damaged_blocks == 0);
  CHECK(mapped.index_rebuilt());  // the offsets of the old index are wrong
  require_same_answers(mapped, trace.events);
}

TEST_CASE("mapped: any wrong byte is refused or counted, and events before it stay") {
  const Trace trace = random_events(7, 60);
  const std::string good = to_binary(trace, 8);
  for (std::size_t at = 0; at < good.size(); at += 3) {
    if (at == 10 || at == 11) continue;  // any minor version is accepted
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x41);
    const TemporaryFile file(bad);
    CAPTURE(at);
    try {
      MappedTrace mapped(file.name);
      const std::vector<Event> left = mapped.events_between(INT64_MIN, INT64_MAX);
      (void)mapped.alive_at(40);
      REQUIRE(left.size() <= trace.events.size());
      REQUIRE(std::equal(left.begin(), left.end(), trace.events.begin()));
      const bool all = left.size() == trace.events.size();
      const Health& h = mapped.health();
      REQUIRE((all || h.damaged_blocks > 0 || h.truncated_bytes > 0));
      if (!all && !mapped.index_rebuilt()) {
        REQUIRE(h.dropped_events == static_cast<std::int64_t>(trace.events.size() - left.size()));
      }
    } catch (const InputError& error) {
      REQUIRE(std::string(error.what()).find(file.name) == 0);
    }
  }
}

TEST_CASE("mapped: a lost snapshot costs time, not answers") {
  const Trace trace = random_events(3, 80);
  const std::string good = to_binary(trace, 8);
  std::string bad = good;
  const std::size_t live = bad.rfind(std::string("live") + std::string(12, '\0'));
  REQUIRE(live != std::string::npos);
  bad[live + 50] = static_cast<char>(bad[live + 50] ^ 1);
  const TemporaryFile file(bad);
  MappedTrace mapped(file.name);
  require_same_answers(mapped, trace.events);
  CHECK(mapped.health().damaged_blocks == 1);
  CHECK(mapped.health().dropped_events == 0);
}

TEST_CASE("mapped: what is no binary trace is refused by name") {
  const TemporaryFile text("{\"tidemark\": 1}");
  CHECK_THROWS_WITH(MappedTrace(text.name), Catch::Contains("uncompressed binary trace"));
  const TemporaryFile empty("");
  CHECK_THROWS_AS(MappedTrace(empty.name), InputError);
  CHECK_THROWS_WITH(MappedTrace("/nowhere/x.tmk"), Catch::Contains("/nowhere/x.tmk"));
  CHECK_THROWS_AS(MappedTrace("/"), InputError);
}
