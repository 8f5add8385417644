// A small recorded run that can be planned: for tests of the what-if panel.
#pragma once

#include "gui/run.h"
#include "sim/builder.h"
#include "sim/device.h"
#include "sim/timeline.h"

namespace tidemark::test {

[[nodiscard]] inline RunConfig tiny_config() {
  RunConfig config = default_run("gpt2-tiny");
  config.batch = 4;
  config.model.gpt2.layers = 2;
  return config;
}

/// A dry run: the program of `config` with modelled times.
[[nodiscard]] inline RunPtr planned_from(const RunConfig& config = tiny_config()) {
  Trace trace = build_program(config);
  trace.meta.backend = "dry";
  trace.meta.device = "a100-40g";
  fill_modelled_times(find_device("a100-40g"), trace);
  return std::make_shared<const Run>("sample.tmk", std::move(trace));
}

}  // namespace tidemark::test
