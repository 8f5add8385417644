// Snapshots become traces: start state, streams, categories from call stacks; what is no snapshot
// is refused with one line.
#include "traces/import_snapshot.h"

#include <algorithm>

#include "../catch.h"
#include "tests/paths.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/frame_label.h"

using namespace tidemark;

namespace {

const std::string k_folder = std::string(TIDEMARK_SOURCE_DIR) + "/tests/golden/snapshots/";

std::int64_t count(const Trace& trace, EventKind kind) {
  return std::ranges::count(trace.events, kind, &Event::kind);
}

std::string fault(const std::string& bytes) {
  try {
    (void)import_snapshot(bytes, "x");
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("import snapshot: a warm start is found by undoing the events") {
  const auto cold = import_snapshot(read_file(k_folder + "cold.pickle"), "cold");
  REQUIRE(cold.size() == 1);
  CHECK(cold[0].start_bytes == 0);
  const auto warm = import_snapshot(read_file(k_folder + "warm.pickle"), "warm");
  REQUIRE(warm.size() == 1);
  CHECK(warm[0].start_bytes > 0);
  CHECK(count(warm[0].trace, EventKind::recording_begin) == 1);
  CHECK(warm[0].trace.meta.kind == TraceKind::imported);
  CHECK(warm[0].trace.meta.level == 0);
}

TEST_CASE("import snapshot: one trace per device, with its streams and late frees") {
  const auto both = import_snapshot(read_file(k_folder + "two_devices.pickle"), "both");
  REQUIRE(both.size() == 2);
  CHECK(both[0].device == 0);
  CHECK(both[1].device == 2);
  CHECK(both[1].trace.meta.rank == 1);
  CHECK(both[1].trace.meta.rank_count == 2);
  for (const ImportedDevice& device : both) {
    CHECK(device.trace.streams.size() == 3);
    CHECK(count(device.trace, EventKind::free_requested) > 0);
    CHECK(count(device.trace, EventKind::empty_cache) > 0);
    CHECK(device.unknown_bytes == 0);
  }
}

TEST_CASE("import snapshot: call stacks tell the site and the layer") {
  const std::vector<SnapshotFrame> inner = {{"forward", "net/model.py", 12},
                                            {"forward", "net/model.py", 40}};
  CHECK(label_of(inner, true) ==
        FrameLabel{CallSite::forward, "forward model.py:12", {"model.py:40", "model.py:12"}});
  CHECK(label_of({{"step", "torch/optim/adamw.py", 7}}, true).site == CallSite::optimizer);
  CHECK(label_of({}, true).site == CallSite::backward);
  CHECK(label_of({}, false).site == CallSite::unknown);
  CHECK(label_of({{"main", "train.py", 3}}, true).site == CallSite::unknown);
}

TEST_CASE("import snapshot: what is no snapshot is refused with one line") {
  const std::string head = "\x80\x04";
  CHECK(fault(head + "N.").find("a memory snapshot of PyTorch") != std::string::npos);
  CHECK(fault(head + "}.").find("a dict without them") != std::string::npos);
  CHECK(fault(head + "}(\x8c\x08segments]\x8c\x0d" + "device_traces]u.") ==
        "segments, device_traces: expected a segment or an event, found none");
  // The same event a second time would be counted twice.
  CHECK(fault(head + "}(\x8c\x08segments]\x8c\x0d" + "device_traces](](}\x94(\x8c\x06" +
              "action\x8c\x08snapshotuh" + std::string(1, '\0') + "eeu.")
            .find("a shared one") != std::string::npos);
}
