#include "profiler/rank_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "profiler/report.h"
#include "sim/compare.h"
#include "sim/table.h"
#include "sim/units.h"
#include "traces/rank_files.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

const Trace& first_of(const RanksResult& result) {
  return result.ranks.front().trace;
}

/// Of the peak against the plan that was executed; empty without a plan.
std::string error_text(const Trace& trace, const RunSummary& s) {
  if (trace.plan.peak_bytes < 0) return "";
  return fmt::format("{:+} B", s.peak_bytes - trace.plan.peak_bytes);
}

}  // namespace

std::string ranks_text(const RanksResult& result, const std::string& output) {
  Table table({">rank", ">peak", ">planned", ">error", ">arena", ">step", ">CPU time"});
  for (const RunResult& rank : result.ranks) {
    const Trace& trace = rank.trace;
    const RunSummary s = summarise(trace);
    table.add({std::to_string(trace.meta.rank), format_bytes(s.peak_bytes),
               trace.plan.peak_bytes < 0 ? "" : format_bytes(trace.plan.peak_bytes),
               error_text(trace, s), format_bytes(s.high_water_bytes), format_ns(s.step_ns),
               format_ns(median_step_ns(trace, &StepRecord::cpu_ns))});
  }
  std::string out = "\n" + table.text();
  const RunSummary s = summarise(first_of(result));
  if (s.has_loss) {
    out += fmt::format("loss of all ranks  {:.6f} -> {:.6f} in {} steps\n", s.first_loss,
                       s.last_loss, s.steps);
  }
  out += fmt::format("written to {} and a file per rank beside it\n", output);
  const std::string& source = first_of(result).meta.source;
  return source.empty() ? out : out + fmt::format("next: tidemark diff {} {}\n", source, output);
}

std::string ranks_json(const RanksResult& result, const std::string& output) {
  const std::vector<std::string> files = rank_files(output, result.ranks.size());
  Json ranks = Json::array();
  for (std::size_t i = 0; i < result.ranks.size(); ++i) {
    Json one = Json::parse(summary_json(result.ranks[i].trace, files[i]));
    one["rank"] = i;
    const PlanRecord& plan = result.ranks[i].trace.plan;
    if (plan.peak_bytes >= 0) {
      one["planned_peak_bytes"] = plan.peak_bytes;
      one["peak_error_bytes"] = one["peak_bytes"].get<std::int64_t>() - plan.peak_bytes;
    }
    ranks.push_back(std::move(one));
  }
  return Json{{"output", output}, {"ranks", ranks}}.dump(2) + "\n";
}

std::string ranks_ending_text(const RanksResult& result, const std::string& output) {
  const RunResult& ended = result.ranks[static_cast<std::size_t>(result.ended_by)];
  const std::string file =
      rank_files(output, result.ranks.size())[static_cast<std::size_t>(result.ended_by)];
  const std::string why =
      ended.shortage ? shortage_text(ended.trace, *ended.shortage, file) : ended.failure + "\n";
  return fmt::format("rank {} ended the run of {} ranks: {}", result.ended_by, result.ranks.size(),
                     why);
}

}  // namespace tidemark
