#include "sim/site.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "traces/error.h"

namespace tidemark {
namespace {

constexpr double k_below = 1 - 1e-9;  // a bound stays one when sums are rounded

/// Names in frameworks() and memory_margins(). Time was calibrated on Megatron's libraries only.
struct LibraryConstants {
  const char* time;
  const char* memory;
};

LibraryConstants constants_of(TrainingLibrary library) {
  switch (library) {
    case TrainingLibrary::megatron:
      return {"megatron", "megatron"};
    case TrainingLibrary::deepspeed:
      return {"megatron-deepspeed", "megatron"};
    case TrainingLibrary::torchtitan:
      return {"megatron", "torchtitan"};
    case TrainingLibrary::torchtune:
      break;
  }
  return {"megatron", "torchtune"};
}

}  // namespace

std::optional<Cluster> node_of(const DeviceTable& table, const std::string& device,
                               const std::string& node) {
  if (node.empty()) {
    const auto usual = std::ranges::find(table.clusters, device, &Cluster::device);
    return usual == table.clusters.end() ? std::nullopt : std::optional(*usual);
  }
  const Cluster& named = table.cluster(node);
  if (named.device == device) return named;
  throw InputError(InputError::Parts{.expected = "a node of " + device,
                                     .found = node + ", a node of " + named.device});
}

const Framework& framework_of(const Site& site, const StateRecipe& recipe) {
  return find_framework(site.framework.empty() ? constants_of(recipe.library).time
                                               : site.framework);
}

const MemoryMargin& margin_of(const StateRecipe& recipe) {
  return find_memory_margin(constants_of(recipe.library).memory);
}

StepTimes::StepTimes(const Transformer& model, const Site& site) : site_(&site) {
  const Machine machine =
      machine_of(site.device, site.cluster ? site.cluster->topology : Topology{});
  for (const Framework& f : frameworks()) models_.emplace_back(model, machine, f);
}

std::optional<StepTime> StepTimes::step(const Strategy& strategy) const {
  if (!site_->cluster && strategy.layout.ranks() > 1) return std::nullopt;
  return model_of(strategy).step(strategy);
}

const TimeModel& StepTimes::model_of(const Strategy& strategy) const {
  const auto row = &framework_of(*site_, strategy.recipe) - frameworks().data();
  return models_[static_cast<std::size_t>(row)];
}

StepPace StepTimes::pace(const Strategy& strategy) const {
  if (const std::optional<StepTime> time = step(strategy)) {
    return {.stages = model_of(strategy).stage_times(strategy), .step_ns = time->total_ns()};
  }
  const auto stages =
      static_cast<std::size_t>(strategy.layout.pipeline * strategy.layout.virtual_stages);
  return {.stages = std::vector<StageTime>(stages, {1e6, 1e6, 1e6})};
}

std::optional<double> StepTimes::seconds(const Strategy& strategy) const {
  const std::optional<StepTime> time = step(strategy);
  return time ? std::optional(time->total_ns() / 1e9) : std::nullopt;
}

MemoryDemand demand_of(double tensor_bytes, const Strategy& strategy) {
  return memory_demand(tensor_bytes, strategy.layout, margin_of(strategy.recipe));
}

Verdict verdict_of(const MemoryDemand& demand, const Site& site) {
  return demand.verdict(static_cast<double>(site.device.memory_bytes));
}

double usable_bytes(const Site& site, const Strategy& strategy) {
  const double beside = demand_of(0, strategy).expected_bytes();
  const double left = static_cast<double>(site.device.memory_bytes) - beside;
  return std::max(left, 0.0) / margin_of(strategy.recipe).reserved_share;
}

std::optional<double> StepTimes::least_seconds(const Strategy& strategy) const {
  if (!site_->cluster && strategy.layout.ranks() > 1) return std::nullopt;
  const TimeModel& model = model_of(strategy);
  return model.least_ns(strategy, model.layer_times(strategy), INFINITY) / 1e9 * k_below;
}

std::vector<std::string> site_assumptions(const Site& site, const StateRecipe& recipe) {
  const Framework& framework = framework_of(site, recipe);
  const MemoryMargin& margin = margin_of(recipe);
  std::vector<std::string> out{
      fmt::format("Step times are modelled, those of {}: {}. Intervals of time: as far off as rows "
                  "of that table that the fit has not seen; other devices may be further off.",
                  framework.about, framework.source),
      fmt::format("Memory beside tensors, of {}: the allocator reserves {:.3g} of what is "
                  "allocated; {}.",
                  margin.name, margin.reserved_share, margin.source)};
  if (site.cluster) {
    const auto link = [](const char* where, const Link& l, const FigureSource& source) {
      return fmt::format("{:g} GB/s {} ({}: {})", l.bytes_per_ns, where, source.status,
                         source.source);
    };
    const Topology& t = site.cluster->topology;
    out.push_back(fmt::format("Nodes {}: {} devices, {}, {}.", site.cluster->name, t.node_ranks,
                              link("inside", t.inside, site.cluster->inside),
                              link("between nodes", t.between, site.cluster->between)));
  } else {
    out.push_back(fmt::format("{}: no node of it in the table, so no step times of several.",
                              site.device.name));
  }
  return out;
}

}  // namespace tidemark
