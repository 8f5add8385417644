// What a strategy runs on, and by whose program: the one place that chooses links and measured
// constants, for `tidemark estimate` and `tidemark report` alike.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/capacity_trace.h"
#include "sim/memory_margin.h"
#include "sim/step_time.h"

namespace tidemark {

/// Devices of one kind, and what joins them.
struct Site {
  Device device;
  std::optional<Cluster> cluster;  // none: links not known
  std::string framework;           // whose constants time follows; "" = by the recipe
};

/// The node of that name, which must have this device; "": the first of the table that has it, none
/// when there is none. Throws InputError.
[[nodiscard]] std::optional<Cluster> node_of(const DeviceTable& table, const std::string& device,
                                             const std::string& node);

/// Constants of the library that keeps state by this recipe.
[[nodiscard]] const Framework& framework_of(const Site& site, const StateRecipe& recipe);
[[nodiscard]] const MemoryMargin& margin_of(const StateRecipe& recipe);

/// Of one model at one site. The site must outlive it.
class StepTimes {
 public:
  StepTimes(const Transformer& model, const Site& site);
  /// Of one step, modelled; none when the links between several devices are not known. Expects
  /// problems(model, strategy) to be empty.
  [[nodiscard]] std::optional<StepTime> step(const Strategy& strategy) const;
  [[nodiscard]] std::optional<double> seconds(const Strategy& strategy) const;
  /// A bound of seconds(), without replay of the pipeline.
  [[nodiscard]] std::optional<double> least_seconds(const Strategy& strategy) const;
  /// Where times are not known a forward takes a millisecond, a backward two.
  [[nodiscard]] StepPace pace(const Strategy& strategy) const;

 private:
  [[nodiscard]] const TimeModel& model_of(const Strategy& strategy) const;

  const Site* site_;
  std::vector<TimeModel> models_;  // as frameworks()
};

/// What one device must have when its tensors need so many bytes (level B).
[[nodiscard]] MemoryDemand demand_of(double tensor_bytes, const Strategy& strategy);

/// Of `demand` at a site.
[[nodiscard]] Verdict verdict_of(const MemoryDemand& demand, const Site& site);

/// Bytes of one device that are there for tensors, as expected: what its allocator can hand out
/// when context and communicators have theirs.
[[nodiscard]] double usable_bytes(const Site& site, const Strategy& strategy);

/// What time and memory of this recipe rest on at this site, a sentence each.
[[nodiscard]] std::vector<std::string> site_assumptions(const Site& site,
                                                        const StateRecipe& recipe);

}  // namespace tidemark
