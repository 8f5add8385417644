#include "sim/report_time.h"

namespace tidemark {

StepTimes::StepTimes(const Transformer& model, const ReportDevice& device)
    : model_(model), device_(device) {}

// The model of time is not here yet: no report has a column of times.
std::optional<double> StepTimes::seconds(const Strategy&) const {
  (void)model_;
  (void)device_;
  return std::nullopt;
}

double usable_bytes(const ReportDevice& device, const Strategy&) {
  return static_cast<double>(device.device.memory_bytes);
}

}  // namespace tidemark
