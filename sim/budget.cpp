#include "sim/budget.h"

#include <cstdio>

#include "sim/device.h"
#include "sim/timeline.h"
#include "sim/units.h"
#include "traces/error.h"

namespace tidemark {

std::int64_t step_peak_bytes(const Trace& source) {
  const Space device{SpaceKind::device, source.meta.rank};
  return (source.program.body.empty() ? recorded_timeline(source, device) : replay(source, device))
      .peak.bytes;
}

std::int64_t budget_of(const std::string& text, const Trace& source) {
  if (text.ends_with('%')) {
    double percent = 0;
    char rest = 0;
    int length = 0;
    const bool number = std::sscanf(text.c_str(), "%lf%c%n", &percent, &rest, &length) == 2;
    const bool all = static_cast<std::size_t>(length) == text.size();
    if (!number || !all || rest != '%' || !(percent > 0 && percent <= 1000)) {
      throw InputError(InputError::Parts{
          .place = "--budget", .expected = "a share such as 60%", .found = "'" + text + "'"});
    }
    const auto peak = static_cast<double>(step_peak_bytes(source));
    return static_cast<std::int64_t>(peak * percent / 100) / k_granule_bytes * k_granule_bytes;
  }
  for (const Device& device : devices()) {
    if (device.name == text) return device.memory_bytes;
  }
  return parse_size(text, "--budget");
}

}  // namespace tidemark
