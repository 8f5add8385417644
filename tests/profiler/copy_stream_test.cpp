#include "profiler/copy_stream.h"

#include <atomic>
#include <cstring>
#include <thread>

#include "tests/catch.h"

using namespace tidemark;

namespace {

CopyTask copy(std::size_t op, std::vector<std::byte>& to, const std::vector<std::byte>& from) {
  return {.op = OpId{op},
          .to = to.data(),
          .from = from.data(),
          .size_bytes = static_cast<std::int64_t>(from.size()),
          .wait_for = {}};
}

}  // namespace

TEST_CASE("transfer time is latency plus bytes over bandwidth") {
  CHECK(transfer_ns({.bytes_per_s = 1e9, .latency_ns = 500}, 1000) == 1500);
  CHECK(transfer_ns({.bytes_per_s = 0, .latency_ns = 500}, 1000) == 500);
}

TEST_CASE("copy stream: tasks are done in order and timed") {
  const Clock clock(false);
  CopyStream stream(clock, {});
  const std::vector<std::byte> source(1000, std::byte{42});
  std::vector<std::byte> middle(1000), end(1000);
  stream.enqueue(copy(0, middle, source));
  stream.enqueue(copy(1, end, middle));
  stream.drain();
  CHECK(end == source);
  const std::vector<CopySpan> spans = stream.take_spans();
  REQUIRE(spans.size() == 2);
  CHECK(spans[0].op == OpId{std::size_t{0}});
  CHECK(spans[0].begin_ns <= spans[0].end_ns);
  CHECK(spans[0].end_ns <= spans[1].begin_ns);
  CHECK(stream.take_spans().empty());
}

TEST_CASE("copy stream: a throttled copy takes at least its transfer time") {
  const Clock clock(false);
  const LinkSpeed speed{.bytes_per_s = 1e6, .latency_ns = 1'000'000};
  CopyStream stream(clock, speed);
  const std::vector<std::byte> source(5000, std::byte{1});
  std::vector<std::byte> target(5000);
  stream.enqueue(copy(0, target, source));
  stream.drain();
  const CopySpan span = stream.take_spans().at(0);
  CHECK(span.end_ns - span.begin_ns >= 6'000'000);
}

TEST_CASE(
    "copy stream: copies of a link follow each other as on a clock, however late it wakes up") {
  const Clock clock(false);
  const LinkSpeed speed{.bytes_per_s = 1e9, .latency_ns = 300'000};
  CopyStream stream(clock, speed);
  const std::vector<std::byte> source(1000, std::byte{1});
  std::vector<std::byte> target(1000);
  for (std::size_t op = 0; op < 20; ++op) stream.enqueue(copy(op, target, source));
  stream.drain();
  const std::vector<CopySpan> spans = stream.take_spans();
  std::size_t exact = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    CHECK(spans[i].end_ns - spans[i].begin_ns >= 301'000);
    if (i > 0) CHECK(spans[i].begin_ns == spans[i - 1].end_ns);
    exact += spans[i].end_ns - spans[i].begin_ns == 301'000;
  }
  CHECK(exact > 0);  // all of them where nothing else wants the core
}

TEST_CASE("copy stream: a wait for another stream holds back what is queued behind it") {
  const Clock clock(false);
  CopyStream slow(clock, {.bytes_per_s = 1e5, .latency_ns = 0});
  CopyStream fast(clock, {});
  const std::vector<std::byte> source(2000, std::byte{7});
  std::vector<std::byte> middle(2000), end(2000);
  slow.enqueue(copy(0, middle, source));
  fast.enqueue({.op = OpId{std::size_t{1}}, .wait_for = slow.mark()});
  fast.enqueue(copy(2, end, middle));
  fast.drain();
  CHECK(end == source);
  slow.drain();
  CHECK(fast.take_spans().at(1).begin_ns >= slow.take_spans().at(0).begin_ns + 20'000'000);
}

TEST_CASE("copy stream: the destructor finishes what is queued") {
  const Clock clock(false);
  const std::vector<std::byte> source(1 << 20, std::byte{9});
  std::vector<std::byte> target(1 << 20);
  {
    CopyStream stream(clock, {});
    stream.enqueue(copy(0, target, source));
  }
  CHECK(target == source);
}
