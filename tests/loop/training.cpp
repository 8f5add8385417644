#include "tests/loop/training.h"

#include "sim/builder.h"
#include "sim/compare.h"

namespace tidemark::test {
namespace {

/// A table of the model's shape. What it holds does not matter here, only that it is the same
/// twice.
Dataset made_table(const MlpConfig& mlp) {
  std::string csv;
  std::uint32_t state = 1;
  const auto next = [&state] { return (state = state * 1664525U + 1013904223U) >> 16; };
  for (int row = 0; row < 600; ++row) {
    for (std::int64_t column = 0; column < mlp.widths.front(); ++column) {
      csv += std::to_string(next() % 17) + ",";
    }
    csv += std::to_string(next() % static_cast<std::uint32_t>(mlp.widths.back())) + "\n";
  }
  return Dataset::table(csv, "made");
}

Dataset data_of(const RunConfig& config) {
  if (config.model.family == ModelFamily::mlp) return made_table(config.model.mlp);
  if (!config.model.is_decoder()) {
    Dataset images = made_table({.widths = {64, config.model.image.classes}});
    images.resize(config.model.image, "made");
    return images;
  }
  return find_dataset(config, "");
}

}  // namespace

Training::Training(const std::string& model) : Training(default_run(model)) {}

Training::Training(const RunConfig& run_config)
    : config(run_config), data(data_of(config)), recorded(build_program(config)) {
  recorded = run(recorded, 0).trace;
}

RunResult Training::run(const Trace& program, std::int64_t device_memory_bytes) const {
  RunOptions options;
  options.steps = k_steps;
  options.device_memory_bytes = device_memory_bytes;
  options.data = &data;
  options.poison = true;
  return execute(program, options);
}

SearchResult Training::plan(int percent) const {
  SearchRequest request;
  request.budget_bytes =
      figures_of(recorded).peak_bytes * percent / 100 / k_granule_bytes * k_granule_bytes;
  request.link_bytes_per_s = 10e9;
  request.link_latency_ns = 5000;
  return search(recorded, request);
}

}  // namespace tidemark::test
