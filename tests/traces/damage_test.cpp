// Invariant 9: a damaged trace never crashes a reader; what was lost is counted and shown.
#include "../catch.h"
#include "random_trace.h"
#include "traces/binary.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/validate.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// What reading gave: an error, a trace that says it is damaged, or one that says it is whole.
enum class Outcome { refused, counted, whole };

Outcome outcome_of(const std::string& bytes, Trace& trace) {
  try {
    trace = from_bytes(bytes, "damaged.tmk");
  } catch (const InputError& e) {
    REQUIRE(std::string(e.what()).find("damaged.tmk") == 0);
    return Outcome::refused;
  }
  REQUIRE(index_fault(trace).empty());
  const Health& h = trace.health;
  const bool counted = !h.complete || h.damaged_blocks + h.skipped_blocks + h.truncated_bytes > 0;
  return counted ? Outcome::counted : Outcome::whole;
}

constexpr bool is_minor_version(std::size_t at) {
  return at == 10 || at == 11;  // any is accepted
}

}  // namespace

TEST_CASE("a file cut at any byte is refused or says that it is not complete") {
  const std::string good = to_binary(full_trace());
  bool refused = true;  // and never again after the first cut that leaves something of use
  for (std::size_t size = 0; size < good.size(); ++size) {
    Trace trace;
    CAPTURE(size);
    const Outcome outcome = outcome_of(good.substr(0, size), trace);
    if (size < 16) REQUIRE(outcome == Outcome::refused);
    if (outcome != Outcome::refused) refused = false;
    REQUIRE(outcome == (refused ? Outcome::refused : Outcome::counted));
    if (refused) continue;
    REQUIRE_FALSE(trace.health.complete);
    REQUIRE(trace.health.truncated_bytes < static_cast<std::int64_t>(size));
  }
  CHECK_FALSE(refused);
}

TEST_CASE("a cut file keeps every table that came before the cut") {
  const Trace full = full_trace();
  const std::string good = to_binary(full);
  Trace trace;
  outcome_of(good.substr(0, good.find("events") + 20), trace);
  CHECK(trace.meta == full.meta);
  CHECK(trace.buffers == full.buffers);
  CHECK(trace.ops == full.ops);
  CHECK(trace.program == full.program);
  CHECK(trace.arenas == full.arenas);
  CHECK(trace.events.empty());
  CHECK(trace.health.truncated_bytes == 20);
}

TEST_CASE("any single wrong byte is refused or counted, and never taken for content") {
  const Trace full = full_trace();
  const std::string good = to_binary(full);
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int flip : {0x01, 0x80, 0xff, 0x20}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      Trace trace;
      CAPTURE(at, flip);
      const Outcome outcome = outcome_of(bad, trace);
      if (is_minor_version(at)) {
        REQUIRE(trace == full);
      } else {
        REQUIRE(outcome != Outcome::whole);
      }
    }
  }
}

TEST_CASE("any two wrong bytes, removed or doubled pieces never crash the reader") {
  Draw draw(5);
  const std::string good = to_binary(random_trace(9));
  const auto somewhere = [&](const std::string& s) {
    return static_cast<std::size_t>(draw.between(0, static_cast<std::int64_t>(s.size()) - 1));
  };
  int whole = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bad = good;
    bad[somewhere(bad)] = static_cast<char>(draw.between(0, 255));
    bad[somewhere(bad)] = static_cast<char>(draw.between(0, 255));
    if (draw.chance(30)) bad.erase(somewhere(bad), static_cast<std::size_t>(draw.between(1, 99)));
    if (draw.chance(30)) bad.insert(somewhere(bad), bad.substr(somewhere(bad), 64));
    Trace trace;
    if (outcome_of(bad, trace) == Outcome::whole) ++whole;
  }
  CHECK(whole < 100);  // the bytes drawn were the same, or in the minor version
}

TEST_CASE("damaged text never crashes the reader") {
  Draw draw(6);
  const std::string good = to_text(random_trace(10, 4));
  for (int round = 0; round < 3000; ++round) {
    std::string bad = good;
    for (std::int64_t i = draw.between(1, 3); i > 0; --i) {
      const auto at =
          static_cast<std::size_t>(draw.between(0, static_cast<std::int64_t>(bad.size()) - 1));
      if (draw.chance(50)) {
        bad[at] = static_cast<char>(draw.between(1, 126));
      } else {
        bad.erase(at, static_cast<std::size_t>(draw.between(1, 40)));
      }
    }
    Trace trace;
    CHECK_NOTHROW(outcome_of(bad, trace));
  }
}
