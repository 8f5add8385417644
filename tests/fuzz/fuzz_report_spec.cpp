// One input of the fuzzer as the spec of a report: refused with an InputError, or all of its parts
// can be listed. No part is reckoned: a spec may ask for any amount of work.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sim/report_parts.h"
#include "traces/error.h"

using namespace tidemark;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const ReportSpec spec = read_report_spec(text, "input", shipped_devices());
    if (report_parts(spec).empty()) std::abort();
    for (const ReportStrategy& s : spec.strategies) {
      std::vector<std::string> lines;
      if (const auto* fixed = std::get_if<FixedStrategy>(&s.what)) {
        (void)strategy_for(spec, *fixed, spec.models[0], spec.devices[0].ranks, lines);
      }
    }
  } catch (const InputError& e) {
    if (!std::string(e.what()).starts_with("input")) std::abort();
  }
  return 0;
}
