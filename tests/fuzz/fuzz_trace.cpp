// One input of the fuzzer: any bytes must be refused with an InputError or give a trace that the
// checker, the replay and both writers can walk. Built with libFuzzer when the compiler is clang,
// with mutate.cpp as its driver everywhere.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sim/check.h"
#include "sim/timeline.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;

namespace {

void require(bool holds) {
  if (!holds) std::abort();  // the fuzzer keeps the input
}

void walk(const Trace& trace) {
  const Space space{SpaceKind::device, trace.meta.rank};
  (void)recorded_timeline(trace, space);
  if (trace.meta.level == 2 && check(trace).empty()) {
    const Timeline timeline = replay(trace, space, 2);
    require(timeline.peak.bytes <= timeline.run_peak.bytes);
  }
  require(from_bytes(to_binary(trace), "again").buffers == trace.buffers);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    walk(from_bytes(bytes, "input"));
  } catch (const InputError& e) {
    require(std::string(e.what()).starts_with("input"));
  }
  return 0;
}
