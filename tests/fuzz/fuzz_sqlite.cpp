// One input of the fuzzer: any bytes must be refused with an InputError or give traces that can be
// stored. Built like fuzz_trace.cpp.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "traces/error.h"
#include "traces/file.h"
#include "traces/import_sqlite.h"

using namespace tidemark;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    for (const ImportedDevice& device : import_sqlite(bytes, "input")) {
      if (from_bytes(to_binary(device.trace), "again") != device.trace) std::abort();
    }
  } catch (const InputError& e) {
    if (e.what()[0] == '\0') std::abort();
  }
  return 0;
}
