#include "sim/graph.h"

#include "sim/baselines.h"

#include <algorithm>

#include "sim/builder.h"
#include "sim/config.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

namespace {

std::vector<BufferId> cuts_of(const Trace& trace) {
  const Dataflow flow = dataflow_of(trace);
  const Position backward = backward_begin_of(trace, flow);
  return articulation_values(flow,
                             backward < 0 ? static_cast<Position>(flow.body.size()) : backward);
}

std::vector<std::string> names(const Trace& trace, const std::vector<BufferId>& ids) {
  std::vector<std::string> out;
  for (const BufferId id : ids) out.push_back(trace[id].name);
  return out;
}

}  // namespace

TEST_CASE("dataflow: uses, producers and what may run again") {
  //            0      1        2         3      4                     5        6
  const Trace t =
      tiny("x=load a=gelu:x b=scale:a loss:b d=gelu_backward:b,a update:d e=scale:a loss:e");
  const Dataflow flow = dataflow_of(t);
  const Value& a = flow[buffer_named(t, "a")];
  CHECK(a.uses == std::vector<Position>{1, 2, 4, 6});
  CHECK(a.producer == 1);
  CHECK(a.recomputable);
  CHECK(a.valid_until == k_never);
  const Value& b = flow[buffer_named(t, "b")];
  CHECK(b.recomputable);
  CHECK(b.valid_until == 5);  // its producer reads the weight that op 5 writes
  const Value& x = flow[buffer_named(t, "x")];
  CHECK(x.movable);
  CHECK_FALSE(x.recomputable);  // the batch comes from outside
  CHECK_FALSE(flow[buffer_named(t, "w")].local);
  CHECK(flow.persistent == std::vector<BufferId>{buffer_named(t, "w"), buffer_named(t, "probe")});
}

TEST_CASE("dataflow: keep-all bytes are those of the replay") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Trace t = random_program(seed, 40);
    const std::vector<std::int64_t> live = keep_all_bytes(dataflow_of(t));
    CHECK(*std::max_element(live.begin(), live.end()) == replay(t).peak.bytes);
  }
}

TEST_CASE("dataflow: accumulated and updated buffers are never made again") {
  const Trace t = build_program(default_run("gpt2-tiny"));
  const Dataflow flow = dataflow_of(t);
  for (const char* name : {"embedding.wte.gradient", "head.logits"}) {
    INFO(name);
    const Value& value = flow[buffer_named(t, name)];
    CHECK(value.writes == 2);
    CHECK_FALSE(value.recomputable);
    CHECK(value.movable);
  }
}

TEST_CASE("articulation: a chain is cut by every value, a bridge over it closes the gap") {
  const Trace chain = tiny("x=load a=gelu:x b=gelu:a c=gelu:b loss:c");
  CHECK(names(chain, cuts_of(chain)) == std::vector<std::string>{"a", "b", "c"});
  const Trace bridged = tiny("x=load a=gelu:x b=gelu:a c=add:a,b loss:c");
  CHECK(names(bridged, cuts_of(bridged)) == std::vector<std::string>{"a", "c"});
}

TEST_CASE("articulation: the residual stream of GPT-2") {
  const Trace t = build_program(default_run("gpt2-tiny"));
  const auto found = names(t, cuts_of(t));
  const auto has = [&](const char* name) {
    return std::find(found.begin(), found.end(), name) != found.end();
  };
  CHECK(has("block0.add1.y"));
  CHECK(has("block1.add2.y"));
  CHECK_FALSE(has("block0.qkv.y"));  // the residual runs past it
}
