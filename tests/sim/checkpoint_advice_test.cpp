// Recordings drawn in words: "+A.0 4" allocates 4 KiB for activation 0 of module A, "-A.0" frees
// it. Small letters are temporaries. One word is one instant of 10 ns.
#include "sim/checkpoint_advice.h"

#include <map>
#include <sstream>

#include "../catch.h"

using namespace tidemark;

namespace {

constexpr std::int64_t k_kib = 1024;

/// `kind` of all layers; "A/B.0" is in module B of A, "A.0@1" another buffer by the name of A.0.
Trace recording(const std::string& drawing, const std::string& kind = "range") {
  Trace t;
  std::map<std::string, std::size_t> rows;
  std::map<std::string, LayerId> layers;
  const auto layer_of = [&](const std::string& path) {
    LayerId parent;
    for (std::size_t end = 0; end != std::string::npos;) {
      end = path.find('/', end == 0 ? 0 : end + 1);
      const std::string name = path.substr(0, end);
      const auto [entry, fresh] = layers.try_emplace(name, t.layers.size());
      if (fresh) t.layers.push_back({name, kind, parent});
      parent = entry->second;
    }
    return parent;
  };
  std::istringstream words(drawing);
  std::string word;
  for (std::int64_t time_ns = 0; words >> word; time_ns += 10) {
    if (word == "[" || word == "]") {
      t.events.push_back({word == "[" ? EventKind::step_begin : EventKind::step_end, time_ns, 0});
      continue;
    }
    const std::string name = word.substr(1);
    if (word[0] == '-') {
      t.events.push_back({EventKind::free, time_ns, static_cast<std::int32_t>(rows.at(name))});
      continue;
    }
    std::int64_t kib = 0;
    words >> kib;
    rows[name] = t.buffers.size();
    Buffer b;
    b.name = name.substr(0, name.find('@'));
    b.size_bytes = kib * k_kib;
    const bool is_module = name[0] >= 'A' && name[0] <= 'Z';
    b.category = is_module ? Category::activation : Category::temporary;
    if (is_module) b.layer = layer_of(name.substr(0, name.find('.')));
    t.buffers.push_back(b);
    t.events.push_back(
        {EventKind::alloc, time_ns, static_cast<std::int32_t>(rows[name]), -1, b.size_bytes});
  }
  return t;
}

const std::string k_two_modules =
    "+w 8 [ +A.0 4 +t 1 -t +A.1 1 +B.0 4 +B.1 1 +L.0 3 +g 2 -L.0 -B.1 -B.0 -g -A.1 -A.0 ]";

}  // namespace

TEST_CASE("a checkpointed module gives up all but its last activation until backward is there") {
  const Trace t = recording(k_two_modules);
  const Timeline timeline = recorded_timeline(t);
  REQUIRE(timeline.peak.bytes == 23 * k_kib);
  const CheckpointAdvice advice(t, timeline);
  REQUIRE(advice.modules().size() == 2);
  // A: 19 at g; made again when B is done, which needs 8 + 2 + 5 and t.
  CHECK(advice.modules()[0] == ModuleAdvice{.module = LayerId{0},
                                            .calls = 1,
                                            .held_bytes = 5 * k_kib,
                                            .peak_bytes = 19 * k_kib,
                                            .again_ns = 40});
  // B is made again once L is given back: 8 + 5 + 5 + 2 = 20.
  CHECK(advice.modules()[1].module == LayerId{1});
  CHECK(advice.modules()[1].peak_bytes == 20 * k_kib);
}

TEST_CASE("a module that backward comes to first saves nothing") {
  const Trace t = recording("[ +A.0 4 +A.1 1 +g 2 -A.1 -A.0 -g ]");
  CHECK(CheckpointAdvice(t, recorded_timeline(t)).modules().empty());
}

TEST_CASE("what a module has in use for a moment is there again, too") {
  const Trace t =
      recording("[ +A.0 4 +t 6 -t +A.1 1 +B.0 4 +B.1 1 +L.0 3 -L.0 -B.1 -B.0 -A.1 -A.0 ]");
  const Timeline timeline = recorded_timeline(t);
  REQUIRE(timeline.peak.bytes == 13 * k_kib);
  const CheckpointAdvice advice(t, timeline);
  const auto a = std::ranges::find(advice.modules(), LayerId{0}, &ModuleAdvice::module);
  REQUIRE(a != advice.modules().end());
  CHECK(a->peak_bytes == 11 * k_kib);  // A.0, A.1 and t; B is gone
}

TEST_CASE("calls by the same line are told apart by the activation that comes first") {
  const std::string loop =
      "[ +A.0 4 +A.1 1 +A.0@1 4 +A.1@1 1 +A.0@2 4 +A.1@2 1 +L.0 1 -L.0 -A.1@2 -A.0@2 -A.1@1 "
      "-A.0@1 -A.1 -A.0 ]";
  const Trace lines = recording(loop, "call site");
  const Timeline timeline = recorded_timeline(lines);
  REQUIRE(timeline.peak.bytes == 16 * k_kib);
  const CheckpointAdvice by_line(lines, timeline);
  REQUIRE(by_line.modules().size() == 1);
  CHECK(by_line.modules()[0].calls == 3);
  CHECK(by_line.modules()[0].peak_bytes == 7 * k_kib);  // one whole call, the ends of the others
  const Trace ranges = recording(loop);
  CHECK(CheckpointAdvice(ranges, timeline).modules().at(0).calls == 1);
}

TEST_CASE("a module that is called again after its backward has a call of its own each time") {
  const std::string twice =
      "+A.0 4 +A.1 1 +B.0 4 +B.1 1 +L.0 1 -L.0 -B.1 -B.0 -A.1 -A.0 "
      "+A.0@1 4 +A.1@1 1 +B.0@1 4 +B.1@1 1 +L.0@1 1 -L.0@1 -B.1@1 -B.0@1 -A.1@1 -A.0@1";
  const Trace t = recording(twice);
  const CheckpointAdvice advice(t, recorded_timeline(t));
  REQUIRE(advice.modules().size() == 2);
  CHECK(advice.modules()[0].calls == 2);
  CHECK(advice.choose(8 * k_kib).fits);
}

TEST_CASE("a budget chooses as few modules as it takes, none inside of another") {
  const Trace t = recording(
      "[ +N/A.0 4 +N/A.1 1 +N/B.0 4 +N/B.1 1 +N/C.0 4 +N/C.1 1 +L.0 2 -L.0 -N/C.1 -N/C.0 -N/B.1 "
      "-N/B.0 -N/A.1 -N/A.0 ]");
  const CheckpointAdvice advice(t, recorded_timeline(t));  // 17 KiB
  const CheckpointPlan all = advice.choose(17 * k_kib);
  CHECK(all.modules.empty());
  CHECK(all.fits);
  const CheckpointPlan some = advice.choose(13 * k_kib);
  CHECK(some.fits);
  CHECK(some.modules.size() == 1);
  const CheckpointPlan none = advice.choose(1 * k_kib);
  CHECK_FALSE(none.fits);
  CHECK(none.peak_bytes < 17 * k_kib);
  for (std::size_t i = 0; i < none.modules.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      CHECK(t[none.modules[i]].parent != none.modules[j]);
      CHECK(t[none.modules[j]].parent != none.modules[i]);
    }
  }
}

TEST_CASE("recordings without modules, or without anything, have no advice") {
  for (const char* drawing : {"", "[ ]", "+w 8", "[ +t 4 -t ]"}) {
    const Trace t = recording(drawing);
    const CheckpointAdvice advice(t, recorded_timeline(t));
    CHECK(advice.modules().empty());
    CHECK_FALSE(advice.choose(1).fits == (recorded_timeline(t).peak.bytes > 1));
  }
}
