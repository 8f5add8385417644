// What a report knows of a strategy beside its tensors: the time of a step, and how much of a
// device tensors can have.
#pragma once

#include <optional>

#include "sim/report_spec.h"

namespace tidemark {

/// Of one model on one kind of devices.
class StepTimes {
 public:
  /// Both must outlive it.
  StepTimes(const Transformer& model, const ReportDevice& device);
  /// Of one step; none when the links between the devices are not known. Expects
  /// problems(model, strategy) to be empty.
  [[nodiscard]] std::optional<double> seconds(const Strategy& strategy) const;

 private:
  const Transformer& model_;
  const ReportDevice& device_;
};

/// Bytes of one device that are there for tensors.
[[nodiscard]] double usable_bytes(const ReportDevice& device, const Strategy& strategy);

}  // namespace tidemark
