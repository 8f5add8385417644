// Every fault that index_fault() names, each by one change to a trace without fault.
#include "traces/validate.h"

#include <cmath>
#include <functional>

#include "../catch.h"
#include "random_trace.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

struct Case {
  const char* fault;  // what the message must contain
  std::function<void(Trace&)> change;
};

constexpr std::int64_t k_too_many = (std::int64_t{1} << 56) + 1;

std::vector<Case> buffer_cases() {
  return {
      {"buffers[0]: expected an id below 2", [](Trace& t) { t.buffers[0].layer = LayerId{2}; }},
      {"buffers[1]: expected an id below 2", [](Trace& t) { t.buffers[1].storage = BufferId{2}; }},
      {"buffers[1]: expected an id below 1",
       [](Trace& t) { t.buffers[1].shard.group = GroupId{1}; }},
      {"buffers[0]: expected an id below 1",
       [](Trace& t) { t.buffers[0].decision = DecisionId{1}; }},
      {"buffers[0]: expected size_bytes", [](Trace& t) { t.buffers[0].size_bytes = -1; }},
      {"buffers[0]: expected size_bytes", [](Trace& t) { t.buffers[0].size_bytes = k_too_many; }},
      {"buffers[0]: expected offset_bytes", [](Trace& t) { t.buffers[0].offset_bytes = -2; }},
      {"buffers[0]: expected offset_bytes",
       [](Trace& t) { t.buffers[0].offset_bytes = k_too_many; }},
      {"buffers[0]: expected a shape", [](Trace& t) { t.buffers[0].shape = {-1}; }},
      {"buffers[0]: expected a shape",
       [](Trace& t) {
         t.buffers[0].shape = {INT64_MAX, INT64_MAX};
       }},
      {"buffers[0]: expected a shape",
       [](Trace& t) {
         t.buffers[0].shape = {std::int64_t{1} << 40, std::int64_t{1} << 40, 0};
       }},
      {"buffers[0]: expected a positive alignment",
       [](Trace& t) { t.buffers[0].alignment_bytes = 0; }},
      {"a shard index below its count", [](Trace& t) { t.buffers[1].shard.index = 2; }},
      {"a shard index below its count", [](Trace& t) { t.buffers[1].shard.count = 0; }},
      {"a dimension of the shape", [](Trace& t) { t.buffers[1].shard.dimension = 1; }},
      {"padding inside the buffer", [](Trace& t) { t.buffers[1].shard.padding_bytes = 17; }},
      {"buffers[0]: expected a storage other than itself",
       [](Trace& t) { t.buffers[0].storage = BufferId{0}; }},
      {"a storage that is not a view itself",
       [](Trace& t) {
         t.buffers.push_back(t.buffers[1]);
         t.buffers[2].storage = BufferId{1};
       }},
      {"a view inside its storage", [](Trace& t) { t.buffers[1].storage_offset_bytes = 17; }},
      {"a view inside its storage", [](Trace& t) { t.buffers[1].storage_offset_bytes = -1; }},
      {"a view in the space of its storage", [](Trace& t) { t.buffers[1].space.rank = 1; }},
  };
}

std::vector<Case> other_cases() {
  return {
      {"layers[0]: expected a parent before it", [](Trace& t) { t.layers[0].parent = LayerId{0}; }},
      {"layers[1]: expected a parent before it", [](Trace& t) { t.layers[1].parent = LayerId{9}; }},
      {"streams[0]: expected the compute stream",
       [](Trace& t) { t.streams[0].kind = StreamKind::communication; }},
      {"streams[1]: expected a rate",
       [](Trace& t) { t.streams[1].link_bytes_per_s = std::nan(""); }},
      {"streams[1]: expected a rate", [](Trace& t) { t.streams[1].latency_ns = -1; }},
      {"at most 64 streams", [](Trace& t) { t.streams.resize(65); }},
      {"groups[0]: expected ranks",
       [](Trace& t) {
         t.groups[0].ranks = {1, 0};
       }},
      {"groups[0]: expected ranks",
       [](Trace& t) {
         t.groups[0].ranks = {0, 0};
       }},
      {"groups[0]: expected ranks", [](Trace& t) { t.groups[0].ranks = {}; }},
      {"groups[0]: expected ranks",
       [](Trace& t) {
         t.groups[0].ranks = {-1, 0};
       }},
      {"ops[0]: expected an id below 2, found -1", [](Trace& t) { t.ops[0].stream = StreamId{}; }},
      {"ops[0]: expected an id below 2, found 2", [](Trace& t) { t.ops[0].stream = StreamId{2}; }},
      {"ops[0]: expected an id below 2", [](Trace& t) { t.ops[0].layer = LayerId{2}; }},
      {"ops[0]: expected an id below 2",
       [](Trace& t) { t.ops[0].operands[0].buffer = BufferId{2}; }},
      {"ops[0]: expected an id below 2", [](Trace& t) { t.ops[0].operands[0].buffer = {}; }},
      {"ops[0]: expected an id below 1", [](Trace& t) { t.ops[0].decision = DecisionId{1}; }},
      {"ops[0]: expected duration_ns", [](Trace& t) { t.ops[0].duration_ns = -2; }},
      {"ops[0]: expected duration_ns", [](Trace& t) { t.ops[0].duration_ns = INT64_MAX; }},
      {"program.init[0]: expected an index below 2", [](Trace& t) { t.program.init[0].index = 2; }},
      {"program.init[1]: expected an index below 1", [](Trace& t) { t.program.init[1].index = 1; }},
      {"program.body[0]: expected", [](Trace& t) { t.program.body[0].index = -1; }},
      {"program.final[0]: expected", [](Trace& t) { t.program.final[0].index = 7; }},
      {"decisions[0]: expected an id below 2",
       [](Trace& t) { t.decisions[0].buffer = BufferId{2}; }},
      {"decisions[0]: expected an id below 1", [](Trace& t) { t.decisions[0].until = OpId{1}; }},
      {"decisions[0]: expected an id below 1",
       [](Trace& t) { t.decisions[0].release_before = OpId{1}; }},
      {"decisions[0]: expected an id below 1",
       [](Trace& t) { t.decisions[0].fetch_before = OpId{1}; }},
      {"digests[0]: expected an id below 2", [](Trace& t) { t.digests[0].buffer = BufferId{2}; }},
      {"events[0]: expected a buffer row", [](Trace& t) { t.events[0].index = 2; }},
      {"events[0]: expected a buffer row", [](Trace& t) { t.events[0].index = -1; }},
      {"events[1]: expected an op row", [](Trace& t) { t.events[1].index = 1; }},
      {"events[1]: expected a time not before", [](Trace& t) { t.events[1].time_ns = 9; }},
      {"events[0]: expected time_ns", [](Trace& t) { t.events[0].time_ns = -1; }},
      {"events[2]: expected time_ns", [](Trace& t) { t.events[2].time_ns = INT64_MAX; }},
      {"events[0]: expected a step_begin before",
       [](Trace& t) { t.events[0].kind = EventKind::step_end; }},
      {"events[1]: expected a step_end before",
       [](Trace& t) { t.events[0].kind = t.events[1].kind = EventKind::step_begin; }},
  };
}

void each_is_named(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    Trace trace = full_trace();
    c.change(trace);
    CAPTURE(c.fault);
    CHECK_THAT(index_fault(trace), Catch::Contains(c.fault));
    trace.health = {};
    CHECK_THROWS_AS(from_bytes(to_binary(trace), "f"), InputError);
  }
}

}  // namespace

TEST_CASE("a trace with every table filled has no fault") {
  CHECK(index_fault(full_trace()) == "");
  CHECK(index_fault(Trace{}) == "");
}

TEST_CASE("every fault of a buffer is named, and no reader lets it pass") {
  each_is_named(buffer_cases());
}

TEST_CASE("every fault of the other tables is named, and no reader lets it pass") {
  each_is_named(other_cases());
}

TEST_CASE("buffers and times are small enough to be summed") {
  Trace trace;
  Buffer b;
  b.size_bytes = std::int64_t{1} << 56;
  trace.buffers.assign(64, b);
  CHECK(index_fault(trace) == "");
  trace.buffers.push_back(b);
  CHECK_THAT(index_fault(trace), Catch::Contains("buffers[64]: expected at most 2^62 bytes"));
}
