// A reader of protobuf messages of the test's own finds the counters that the judge sums up.
#include "sim/export_perfetto.h"

#include <map>
#include <string_view>

#include "tests/catch.h"
#include "tests/sim/export_judge.h"
#include "tests/traces/random_trace.h"
#include "traces/file.h"

using namespace tidemark;
using test::Level;

namespace {

/// Fields of a message by number: numbers as they are, texts and messages as bytes.
struct Message {
  std::multimap<std::uint64_t, std::uint64_t> numbers;
  std::multimap<std::uint64_t, std::string_view> texts;

  explicit Message(std::string_view bytes) {
    std::size_t at = 0;
    const auto varint = [&bytes, &at] {
      std::uint64_t value = 0;
      for (int shift = 0;; shift += 7) {
        REQUIRE(at < bytes.size());
        const auto byte = static_cast<unsigned char>(bytes[at++]);
        value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
        if (byte < 0x80) return value;
      }
    };
    while (at < bytes.size()) {
      const std::uint64_t tag = varint();
      if ((tag & 7) == 0) {
        numbers.emplace(tag >> 3, varint());
      } else if ((tag & 7) == 1) {
        numbers.emplace(tag >> 3, 0);
        at += 8;
      } else {
        REQUIRE((tag & 7) == 2);
        const std::uint64_t size = varint();
        REQUIRE(size <= bytes.size() - at);
        texts.emplace(tag >> 3, bytes.substr(at, size));
        at += size;
      }
    }
  }

  [[nodiscard]] std::uint64_t number(std::uint64_t field) const {
    const auto found = numbers.find(field);
    return found == numbers.end() ? 0 : found->second;
  }
  [[nodiscard]] std::string_view text(std::uint64_t field) const {
    const auto found = texts.find(field);
    return found == texts.end() ? std::string_view() : found->second;
  }
};

}  // namespace

TEST_CASE("export perfetto: counters are the bytes by category that the judge sums up") {
  const auto seed = GENERATE(range<std::uint64_t>(0, 30));
  const Trace trace = test::random_trace(seed, 30);
  const std::vector<Level> levels = test::levels_of(trace, trace.events);
  std::map<std::uint64_t, std::string> counters;  // by uuid
  std::map<std::string, std::int64_t> now;
  std::size_t at = 0;
  std::size_t slices = 0;
  const std::string bytes = to_perfetto(trace);
  for (const auto& [field, packet_bytes] : Message(bytes).texts) {
    REQUIRE(field == 1);
    const Message packet(packet_bytes);
    CHECK(packet.number(10) == 1);
    if (const std::string_view track = packet.text(60); !track.empty()) {
      const Message t(track);
      if (t.text(8).empty()) continue;
      CHECK(Message(t.text(8)).number(3) == 3);
      counters[t.number(1)] = std::string(t.text(2));
      continue;
    }
    const Message event(packet.text(11));
    slices += event.number(9) == 1 || event.number(9) == 2 ? 1 : 0;
    if (event.number(9) != 4) continue;
    const std::string& name = counters.at(event.number(11));
    now[name] = static_cast<std::int64_t>(event.number(30));
    if (!name.ends_with(" all")) continue;  // the last one of each change
    REQUIRE(at < levels.size());
    const Level& level = levels[at++];
    CHECK(static_cast<std::int64_t>(packet.number(8)) == level.time_ns);
    const std::string space =
        std::string(to_string(level.space.kind)) + " " + std::to_string(level.space.rank) + " ";
    std::int64_t all = 0;
    for (std::size_t c = 0; c < k_category_count; ++c) {
      CHECK(now[space + std::string(to_string(static_cast<Category>(c)))] == level.bytes[c]);
      all += level.bytes[c];
    }
    CHECK(now[space + "all"] == all);
  }
  CHECK(at == levels.size());
  std::size_t edges = 0;
  for (const Event& e : trace.events) {
    edges += e.kind == EventKind::op_begin || e.kind == EventKind::op_end ||
             e.kind == EventKind::step_begin || e.kind == EventKind::step_end;
  }
  CHECK(slices == edges);
}
