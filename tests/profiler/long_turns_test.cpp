#include "profiler/long_turns.h"

#include <sched.h>

#include <thread>

#include "tests/catch.h"

namespace tidemark {
namespace {

TEST_CASE("long turns are those of the thread that asks, and of no other") {
  const int before = sched_getscheduler(0);
  int during = -1;
  std::thread([&] {
    ask_for_long_turns();
    during = sched_getscheduler(0);
  }).join();
  CHECK(during == (before == SCHED_OTHER ? SCHED_BATCH : before));
  CHECK(sched_getscheduler(0) == before);
}

}  // namespace
}  // namespace tidemark
