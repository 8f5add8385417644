// One input of the fuzzer: any bytes must be refused with an InputError or give a graph whose
// dataflow can be walked by every planner of plain graphs.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sim/baselines.h"
#include "sim/graph_file.h"
#include "traces/error.h"

using namespace tidemark;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const GraphFile graph = graph_from_text(bytes, "input");
    const Dataflow flow = dataflow_of(graph);
    if (flow.body.size() > 200) return 0;
    const auto live = keep_all_bytes(flow);
    const std::int64_t peak = live.empty() ? 0 : *std::max_element(live.begin(), live.end());
    for (const Baseline& baseline : baselines()) {
      const BaselinePlan plan = best_of(baseline, flow, {graph.backward_begin, peak});
      if (plan.fits && evaluate(flow, plan.schedule) != plan.figures) std::abort();
    }
  } catch (const InputError& e) {
    if (!std::string(e.what()).starts_with("input")) std::abort();
  }
  return 0;
}
