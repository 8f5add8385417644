// One input of the fuzzer as arguments of Megatron-LM in a shell script: refused with an
// InputError, or a description whose sizes can be reckoned with.
#include "tests/fuzz/fuzz_description.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  return tidemark::fuzz_description(
      [&text] { return tidemark::read_megatron(text, "input", {.ranks = 16, .sequence = 128}); });
}
