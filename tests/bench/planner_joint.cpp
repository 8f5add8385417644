// Recompute and offload together against either alone, on a GPT step, from slow links to fast ones.
// Valid means: each plan passes the checker, and joint is never slower than either alone.
#include "sim/builder.h"
#include "sim/check.h"
#include "sim/config.h"
#include "sim/device.h"
#include "sim/placement.h"
#include "sim/search.h"
#include "sim/timeline.h"
#include "tests/bench/bench_rows.h"

namespace tidemark::bench {

Outcome joint(bool json) {
  Outcome outcome;
  Trace source = build_program(default_run("gpt-small"));
  const Device& device = find_device("a100-80g");
  fill_modelled_times(device, source);
  const std::int64_t peak_bytes = replay(source).peak.bytes;
  if (!json) std::printf("%-24s %12s %12s %12s\n", "budget, link", "recompute", "offload", "both");
  for (const int percent : {80, 60, 45}) {
    for (const double link : {2e9, 8e9, 25e9, 55e9, 200e9, 450e9}) {
      SearchRequest request;
      request.budget_bytes = peak_bytes * percent / 100;
      request.link_bytes_per_s = link;
      request.link_latency_ns = device.launch_ns;
      const Stopwatch watch;
      Json row{
          {"name", std::to_string(percent) + "% " + std::to_string(int(link / 1e9)) + " GB/s"}};
      row["ideal"] = replay(source).step_ns;
      std::int64_t alone = -1;
      bool valid = true;
      for (const char* method : {"greedy", "offload", "auto"}) {
        request.method = method;
        const SearchResult result = search(source, request);
        row[std::string(method) + "_feasible"] = result.feasible;
        const bool both = request.method == "auto";
        if (!result.feasible) {
          valid = valid && !(both && alone >= 0);
          continue;
        }
        const PlanRecord& plan = result.planned.plan;
        valid = valid && check(result.planned).empty() && plan.step_ns >= plan.bound_step_ns &&
                placement_height(result.planned) <= request.budget_bytes;
        if (both && alone >= 0) valid = valid && plan.step_ns <= alone;
        if (!both && (alone < 0 || plan.step_ns < alone)) alone = plan.step_ns;
        row[both ? "cost" : std::string(method) + "_cost"] = plan.step_ns;
        if (both) row["bound"] = plan.bound_step_ns;
      }
      row["seconds"] = watch.seconds();
      row["valid"] = valid;
      outcome.valid = outcome.valid && valid;
      outcome.rows.push_back(row);
      if (json) continue;
      std::printf("%-24s", row["name"].get<std::string>().c_str());
      for (const char* key : {"greedy_cost", "offload_cost", "cost"}) {
        if (!row.contains(key)) {
          std::printf(" %12s", "no plan");
          continue;
        }
        std::printf(" %10.2f %%",
                    percent_over(row[key].get<std::int64_t>(), row["ideal"].get<std::int64_t>()));
      }
      std::puts(valid ? "" : "  NOT VALID");
    }
  }
  return outcome;
}

}  // namespace tidemark::bench
