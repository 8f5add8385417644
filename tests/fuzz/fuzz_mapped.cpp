// One input of the fuzzer as a file that is mapped: refused with an InputError, or any questions
// about it are answered from what its index (found or made again) promises.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "traces/error.h"
#include "traces/mapped.h"

using namespace tidemark;

namespace {

void require(bool holds) {
  if (!holds) std::abort();  // the fuzzer keeps the input
}

/// One file per process, removed at its end.
struct InputFile {
  std::string path = (std::filesystem::temp_directory_path() /
                      ("tidemark_fuzz_mapped." + std::to_string(getpid())))
                         .string();
  ~InputFile() { std::remove(path.c_str()); }
};

void ask(MappedTrace& trace) {
  const std::vector<IndexRow> index = trace.index();  // answers may shorten that of the trace
  for (const IndexRow& row : index) {
    const std::vector<LiveBuffer> live = trace.alive_at(row.end_ns);
    require(std::ranges::is_sorted(live, {}, &LiveBuffer::buffer));
    for (const Event& event : trace.events_between(row.begin_ns, row.end_ns)) {
      require(event.time_ns >= row.begin_ns && event.time_ns < row.end_ns);
    }
  }
  const auto all = static_cast<std::int64_t>(trace.events_between(INT64_MIN, INT64_MAX).size());
  require(all <= trace.event_count());
  require(trace.health().damaged_blocks >= 0 && trace.health().dropped_events >= 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const InputFile file;
  std::ofstream(file.path, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  try {
    MappedTrace trace(file.path);
    ask(trace);
  } catch (const InputError& e) {
    require(std::string(e.what()).find(file.path) != std::string::npos);
  }
  return 0;
}
