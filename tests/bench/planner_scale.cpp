// A transformer whose body has more than 10,000 ops, from the dry backend's program: how soon there
// is a first plan, a good plan, and a sweep of 20 budgets.
#include "sim/builder.h"
#include "sim/check.h"
#include "sim/config.h"
#include "sim/device.h"
#include "sim/placement.h"
#include "sim/search.h"
#include "sim/timeline.h"
#include "tests/bench/bench_rows.h"

namespace tidemark::bench {
namespace {

Trace transformer(std::size_t ops) {
  RunConfig config = default_run("gpt2-tiny");
  Trace trace;
  for (config.model.gpt2.layers = 100; trace.program.body.empty(); config.model.gpt2.layers += 20) {
    Trace next = build_program(config);
    std::size_t runs = 0;
    for (const Instruction& line : next.program.body) runs += line.kind == InstructionKind::run;
    if (runs >= ops) trace = std::move(next);
  }
  fill_modelled_times(find_device("a100-80g"), trace);
  return trace;
}

bool valid(const SearchResult& result) {
  return result.feasible && check(result.planned).empty() &&
         placement_height(result.planned) <= result.planned.plan.budget_bytes &&
         result.planned.plan.step_ns >= result.planned.plan.bound_step_ns;
}

class Report {
 public:
  Report(bool json, Outcome& outcome) : json_(json), outcome_(outcome) {}
  void add(const std::string& name, const SearchResult& result, double seconds) {
    const PlanRecord& plan = result.planned.plan;
    const bool good = valid(result);
    outcome_.valid = outcome_.valid && good;
    outcome_.rows.push_back({{"name", name},
                             {"seconds", seconds},
                             {"cost", plan.step_ns},
                             {"bound", plan.bound_step_ns},
                             {"ideal", plan.keep_all_step_ns},
                             {"method", plan.method},
                             {"valid", good}});
    if (json_) return;
    std::printf("%-32s %8.3f s  %8.2f %% slower, bound %8.2f %%  %s%s\n", name.c_str(), seconds,
                percent_over(plan.step_ns, plan.keep_all_step_ns),
                percent_over(plan.bound_step_ns, plan.keep_all_step_ns), plan.method.c_str(),
                good ? "" : "  NOT VALID");
  }

 private:
  bool json_;
  Outcome& outcome_;
};

}  // namespace

Outcome scale(bool json) {
  Outcome outcome;
  Report report(json, outcome);
  const Trace source = transformer(10'000);
  const std::int64_t peak_bytes = replay(source).peak.bytes;
  SearchRequest request;
  request.link_bytes_per_s = find_device("a100-80g").host_link_bytes_per_s;
  for (const int percent : {90, 70, 50}) {
    request.budget_bytes = peak_bytes * percent / 100;
    const std::string name = std::to_string(percent) + "% ";
    {
      SearchRequest first = request;
      first.method = "greedy";
      first.progress = [](const SearchProgress& p) { return p.best_step_ns < 0; };
      const Stopwatch watch;
      const SearchResult result = search(source, first);
      report.add(name + "first plan", result, watch.seconds());
    }
    const Stopwatch watch;
    const SearchResult result = search(source, request);
    report.add(name + "good plan", result, watch.seconds());
  }
  const Stopwatch watch;
  const auto results = sweep(source, request, peak_bytes / 2, peak_bytes, 20);
  const double seconds = watch.seconds();
  for (const SearchResult& result : results) outcome.valid = outcome.valid && valid(result);
  report.add("sweep of 20 budgets", results.front(), seconds);
  return outcome;
}

}  // namespace tidemark::bench
