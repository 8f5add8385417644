// What is live: follows allocs and frees, starts again from a snapshot.
#include "traces/live_set.h"

#include "../catch.h"
#include "traces/fields.h"

using namespace tidemark;

TEST_CASE("live set: a free ends what an alloc began, in any order of buffers") {
  LiveSet live;
  live.apply({EventKind::alloc, 10, 7, 512, 256});
  live.apply({EventKind::alloc, 20, 2, 0, 512});
  live.apply({EventKind::op_begin, 25, 0, -1, 0});
  CHECK(live.snapshot() ==
        LiveSnapshot{3, 25, {{BufferId{2}, 0, 512, 20}, {BufferId{7}, 512, 256, 10}}});
  live.apply({EventKind::free, 30, 7, -1, 0});
  CHECK(live.snapshot() == LiveSnapshot{4, 30, {{BufferId{2}, 0, 512, 20}}});
}

TEST_CASE("live set: a free without an alloc changes nothing, a second alloc replaces the first") {
  LiveSet live;
  live.apply({EventKind::free, 1, 3, -1, 0});
  CHECK(live.snapshot().buffers.empty());
  live.apply({EventKind::alloc, 2, 3, 0, 256});
  live.apply({EventKind::alloc, 4, 3, 1024, 512});
  CHECK(live.snapshot().buffers == std::vector<LiveBuffer>{{BufferId{3}, 1024, 512, 4}});
}

TEST_CASE("live set: going on from a snapshot is the same as never having stopped") {
  LiveSet whole;
  whole.apply({EventKind::alloc, 1, 0, 0, 256});
  whole.apply({EventKind::alloc, 2, 1, 256, 256});
  LiveSet resumed(whole.snapshot());
  for (LiveSet* set : {&whole, &resumed}) {
    set->apply({EventKind::free, 3, 0, -1, 0});
    set->apply({EventKind::alloc, 4, 2, 0, 256});
  }
  CHECK(resumed.snapshot() == whole.snapshot());
  CHECK(resumed.event_count() == 4);
}
