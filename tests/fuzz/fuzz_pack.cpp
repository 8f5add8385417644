// One input of the fuzzer as a packing problem in CSV: refused with an InputError, or packed
// legally under a small node limit and written so that the columns can be read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sim/pack_csv.h"
#include "traces/error.h"

using namespace tidemark;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const NamedProblem problem = pack_problem_from_csv(bytes, "input");
    const PackResult result = pack(problem.blocks, {.nodes = 500});
    if (!packing_error(problem.blocks, result.packing).empty()) std::abort();
    if (result.packing.height_bytes < result.bound_bytes) std::abort();
  } catch (const InputError& e) {
    if (!std::string(e.what()).starts_with("input")) std::abort();
  }
  return 0;
}
