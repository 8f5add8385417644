#include "profiler/long_turns.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace tidemark {
namespace {

/// struct sched_attr of sched_setattr(2); C libraries before glibc 2.41 do not have it.
struct Turns {
  std::uint32_t size = 0;
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;  // of a turn
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};

}  // namespace

void ask_for_long_turns() {
  Turns turns;
  turns.size = sizeof turns;
  if (syscall(SYS_sched_getattr, 0, &turns, sizeof turns, 0) != 0) return;
  if (turns.policy != SCHED_OTHER) return;  // somebody has decided otherwise
  turns.policy = SCHED_BATCH;
  turns.runtime_ns = 100'000'000;
  (void)syscall(SYS_sched_setattr, 0, &turns, 0);
}

}  // namespace tidemark
