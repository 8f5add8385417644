#include "sim/report_time.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/framework.h"
#include "sim/memory_margin.h"

namespace tidemark {
namespace {

constexpr const char* k_framework = "megatron";

}  // namespace

StepTimes::StepTimes(const Transformer& model, const ReportDevice& device) {
  if (!device.cluster && device.ranks > 1) return;
  const Topology topology = device.cluster ? device.cluster->topology : Topology{};
  model_.emplace(model, machine_of(device.device, topology), find_framework(k_framework));
}

std::optional<double> StepTimes::seconds(const Strategy& strategy) const {
  if (!model_) return std::nullopt;
  return model_->step(strategy).total_ns() / 1e9;
}

double usable_bytes(const ReportDevice& device, const Strategy& strategy) {
  const MemoryMargin& margin = find_memory_margin(k_framework);
  const MemoryDemand empty = memory_demand(0, strategy.layout, margin);
  const double left = static_cast<double>(device.device.memory_bytes) - empty.expected_bytes();
  return std::max(left, 0.0) / margin.reserved_share;
}

std::vector<std::string> time_and_memory_assumptions() {
  const Framework& framework = find_framework(k_framework);
  const MemoryMargin& margin = find_memory_margin(k_framework);
  return {
      fmt::format("Step times are modelled, those of {}: {}.", framework.about, framework.source),
      fmt::format("What fits leaves room for context and communicators, and the allocator "
                  "reserves {:.2f} of what is allocated: {}.",
                  margin.reserved_share, margin.source)};
}

}  // namespace tidemark
