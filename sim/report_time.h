// What a report knows of a strategy beside its tensors: the time of a step, and how much of a
// device tensors can have.
#pragma once

#include <optional>
#include <string>

#include "sim/report_spec.h"
#include "sim/step_time.h"

namespace tidemark {

/// Of one model on one kind of devices.
class StepTimes {
 public:
  StepTimes(const Transformer& model, const ReportDevice& device);
  /// Of one step, modelled; none when the links between several devices are not known. Expects
  /// problems(model, strategy) to be empty.
  [[nodiscard]] std::optional<double> seconds(const Strategy& strategy) const;

 private:
  std::optional<TimeModel> model_;
};

/// Bytes of one device that are there for tensors: what its allocator can hand out when context
/// and communicators have theirs, by the constants of "megatron" (sim/memory_margin.h). Expected
/// values: see `fits_probability` of `tidemark estimate` for how far off they may be.
[[nodiscard]] double usable_bytes(const ReportDevice& device, const Strategy& strategy);

/// What the two above rest on, a sentence each.
[[nodiscard]] std::vector<std::string> time_and_memory_assumptions();

}  // namespace tidemark
