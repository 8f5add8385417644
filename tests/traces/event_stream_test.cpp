#include "traces/event_stream.h"

#include "tests/catch.h"
#include "traces/binary.h"

using namespace tidemark;

namespace {

struct Streamed {
  bool good = false;
  std::int64_t announced = -1;
  Trace trace;
  std::vector<BriefEvent> events;
};

Streamed stream(std::string_view bytes) {
  Streamed result;
  result.good =
      stream_trace(bytes, result.trace,
                   {.begin = [&result](std::int64_t count) { result.announced = count; },
                    .take =
                        [&result](std::span<const BriefEvent> events) {
                          result.events.insert(result.events.end(), events.begin(), events.end());
                        }});
  return result;
}

constexpr std::size_t k_header_bytes = 16;  // a newer minor version is read as well

Trace simple_trace() {
  Trace trace;
  trace.streams.push_back({.name = "compute"});
  for (int i = 0; i < 3; ++i) trace.buffers.push_back({.name = "b", .size_bytes = 256 * i});
  trace.ops.push_back({.name = "f"});
  for (std::int32_t i = 0; i < 3; ++i) {
    trace.events.push_back({.kind = EventKind::alloc, .time_ns = i, .index = i, .size_bytes = 512});
  }
  trace.events.push_back({.kind = EventKind::op_begin, .time_ns = 5, .index = 0});
  trace.events.push_back({.kind = EventKind::op_end, .time_ns = 9, .index = 0});
  trace.events.push_back({.kind = EventKind::free, .time_ns = 9, .index = 1});
  return trace;
}

}  // namespace

TEST_CASE("streamed events and tables are those of the reader, whatever the blocks") {
  const Trace trace = simple_trace();
  for (const std::size_t rows : {std::size_t{1}, std::size_t{2}, k_events_per_block}) {
    const Streamed found = stream(to_binary(trace, rows));
    REQUIRE(found.good);
    CHECK(found.announced == 6);
    Trace tables = trace;
    tables.events.clear();
    CHECK(found.trace == tables);
    REQUIRE(found.events.size() == trace.events.size());
    for (std::size_t i = 0; i < trace.events.size(); ++i) {
      const Event& e = trace.events[i];
      CHECK(found.events[i] == BriefEvent{e.kind, e.time_ns, e.index, e.size_bytes});
    }
  }
}

TEST_CASE("what is damaged, cut off, foreign or not safe to walk is left to the reader") {
  const std::string bytes = to_binary(simple_trace());
  CHECK_FALSE(stream("").good);
  CHECK_FALSE(stream("{}").good);
  CHECK_FALSE(stream(bytes.substr(0, bytes.size() - 1)).good);
  for (std::size_t at = k_header_bytes; at < bytes.size(); at += 3) {
    std::string bad = bytes;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    CHECK_FALSE(stream(bad).good);
  }
  const auto spoiled = [](auto spoil) {
    Trace trace = simple_trace();
    spoil(trace.events);
    return stream(to_binary(trace)).good;
  };
  CHECK_FALSE(spoiled([](auto& events) { events[1].index = 3; }));
  CHECK_FALSE(spoiled([](auto& events) { events[1].index = -1; }));
  CHECK_FALSE(spoiled([](auto& events) { events[3].index = 1; }));
  CHECK_FALSE(spoiled([](auto& events) { events[4].time_ns = 1; }));
  CHECK_FALSE(spoiled([](auto& events) { events[0].time_ns = -1; }));
  CHECK_FALSE(spoiled([](auto& events) { events[4].kind = EventKind::step_end; }));
  CHECK(spoiled([](auto& events) { events[4].kind = EventKind::step_begin; }));
}

TEST_CASE("the fingerprint changes with any block and with nothing else") {
  const Trace trace = simple_trace();
  const std::string bytes = to_binary(trace);
  CHECK(fingerprint_of(bytes) == fingerprint_of(to_binary(trace)));
  CHECK(fingerprint_of(bytes) != 0);
  CHECK(fingerprint_of("{}") == 0);
  Trace other = trace;
  other.events.back().time_ns += 1;
  CHECK(fingerprint_of(to_binary(other)) != fingerprint_of(bytes));
  other = trace;
  other.meta.title = "x";
  CHECK(fingerprint_of(to_binary(other)) != fingerprint_of(bytes));
}
