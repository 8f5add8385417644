#include "sim/plan_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/budget.h"
#include "sim/compare.h"
#include "sim/table.h"
#include "sim/timeline.h"
#include "sim/units.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

std::string share(std::int64_t part, std::int64_t whole) {
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

/// What sets the planned peak: the op that is about to run there, and what is live, largest first.
struct PeakHolders {
  OpId op;
  std::vector<BufferId> buffers;
};

PeakHolders peak_holders(const Trace& planned) {
  const Timeline timeline = replay(planned, {SpaceKind::device, planned.meta.rank});
  PeakHolders holders{.op = {}, .buffers = timeline.peak.owners};
  if (timeline.peak.change >= 0) {
    holders.op = timeline.changes[static_cast<std::size_t>(timeline.peak.change)].op;
  }
  return holders;
}

constexpr std::size_t k_most_holders = 8;

void print_peak(const Trace& planned) {
  const PeakHolders holders = peak_holders(planned);
  fmt::print(
      "\n  The planned peak of {} is set {}, by {} buffers:\n",
      format_bytes(planned.plan.peak_bytes),
      holders.op.valid() ? "where '" + planned[holders.op].name + "' runs" : "from the start",
      holders.buffers.size());
  Table table({"", "", ">"});
  for (std::size_t i = 0; i < std::min(k_most_holders, holders.buffers.size()); ++i) {
    const Buffer& b = planned[holders.buffers[i]];
    table.add({b.name, std::string(to_string(b.category)), format_bytes(counted_bytes(b))});
  }
  fmt::print("{}", table.text());
}

std::int64_t count_of(const Trace& planned, DecisionKind kind) {
  return std::ranges::count(planned.decisions, kind, &Decision::kind);
}

void print_decisions(const Trace& planned) {
  constexpr std::size_t k_most = 10;
  if (planned.decisions.empty()) return fmt::print("\n  Nothing has to be given up.\n");
  fmt::print("\n  Decisions: {} recompute, {} offload\n",
             count_of(planned, DecisionKind::recompute), count_of(planned, DecisionKind::offload));
  Table table({"", "", ""});
  for (std::size_t i = 0; i < std::min(k_most, planned.decisions.size()); ++i) {
    const Decision& d = planned.decisions[i];
    table.add({std::string(to_string(d.kind)), planned[d.buffer].name, d.reason});
  }
  fmt::print("{}", table.text());
  if (planned.decisions.size() > k_most) {
    fmt::print("  ... and {} more (--print-plan lists all)\n", planned.decisions.size() - k_most);
  }
}

/// A plan may fit all the same: what is known, and how to find out.
void print_out_of_time(const SearchResult& result, const PlanQuestion& asked) {
  const std::string budget = format_bytes(asked.request.budget_bytes);
  fmt::print(
      "  The time limit of {:g} s ran out before a plan for {} was found. Whether one fits is not "
      "known: none is possible below {}.\n",
      asked.request.time_limit_s, budget, format_bytes(result.infeasible.bound_bytes));
  if (result.infeasible.smallest_found_bytes > 0) {
    fmt::print("  The lowest plan so far needs {}.\n",
               format_bytes(result.infeasible.smallest_found_bytes));
  }
  fmt::print("\n  Next: tidemark plan {} --budget {}\n", asked.file, asked.request.budget_bytes);
}

}  // namespace

Json result_json(const SearchResult& result, const SearchRequest& request) {
  Json j{{"feasible", result.feasible}, {"budget_bytes", request.budget_bytes}};
  j["tried"] = result.tried;
  j["reproducible"] = result.reproducible;
  j["bound_budget_bytes"] = result.infeasible.bound_bytes;
  if (!result.feasible) {
    j["proven_infeasible"] = result.proven_infeasible;
    j["ran_out_of_time"] = result.out_of_time;
    j["smallest_found_bytes"] = result.infeasible.smallest_found_bytes;
    return j;
  }
  const PlanRecord& p = result.planned.plan;
  j["method"] = p.method;
  j["height_bytes"] = p.height_bytes;
  j["peak_bytes"] = p.peak_bytes;
  j["step_ns"] = p.step_ns;
  j["keep_all_step_ns"] = p.keep_all_step_ns;
  j["bound_step_ns"] = p.bound_step_ns;
  j["bound_budget_bytes"] = p.bound_budget_bytes;
  j["decisions"] = Json::array();
  for (const Decision& d : result.planned.decisions) {
    j["decisions"].push_back({{"kind", to_string(d.kind)},
                              {"buffer", result.planned[d.buffer].name},
                              {"until", result.planned[d.until].name},
                              {"reason", d.reason}});
  }
  return j;
}

Json peak_json(const Trace& planned) {
  const PeakHolders holders = peak_holders(planned);
  Json j{{"op", holders.op.valid() ? planned[holders.op].name : ""},
         {"buffer_count", holders.buffers.size()},
         {"buffers", Json::array()}};
  for (const BufferId id : holders.buffers) {
    const Buffer& b = planned[id];
    j["buffers"].push_back(
        {{"name", b.name}, {"category", to_string(b.category)}, {"bytes", counted_bytes(b)}});
  }
  return j;
}

void print_found(const Trace& planned, const PlanQuestion& asked) {
  const PlanRecord& p = planned.plan;
  const std::int64_t peak = step_peak_bytes(asked.source);
  fmt::print("  fits      {} of {} ({} of the peak {} when all is kept)\n",
             format_bytes(p.height_bytes), format_bytes(p.budget_bytes),
             share(p.height_bytes, peak), format_bytes(peak));
  fmt::print(
      "  step      {} against {} when all is kept ({})\n", format_ns(p.step_ns),
      format_ns(p.keep_all_step_ns),
      format_change(static_cast<double>(p.step_ns), static_cast<double>(p.keep_all_step_ns)));
  fmt::print("            {}\n", step_origin(figures_of(planned)));
  const std::string load = load_warning(figures_of(asked.source));
  if (!load.empty()) fmt::print("            note: while recording, {}\n", load);
  if (asked.request.allow_offload) {
    fmt::print("  link      {:g} GB/s each way ({})\n", asked.request.link_bytes_per_s / 1e9,
               asked.link_source);
  }
  fmt::print(
      "  bound     no plan in this budget is faster than {}: this one is at most {} above the "
      "optimum\n",
      format_ns(p.bound_step_ns),
      format_change(static_cast<double>(p.step_ns), static_cast<double>(p.bound_step_ns)));
  fmt::print("            no plan at all fits in less than {}\n",
             format_bytes(p.bound_budget_bytes));
  fmt::print("  method    {}\n", p.method);
  print_peak(planned);
  print_decisions(planned);
}

void print_not_found(const SearchResult& result, const PlanQuestion& asked) {
  if (result.out_of_time) return print_out_of_time(result, asked);
  const Infeasible& why = result.infeasible;
  fmt::print("  No plan fits in {}.\n", format_bytes(asked.request.budget_bytes));
  if (result.proven_infeasible) {
    fmt::print("  Proof: while {} runs, {} must be on the device:\n",
               why.binding_op.valid() ? "'" + asked.source[why.binding_op].name + "'" : "any op",
               format_bytes(why.bound_bytes));
    Table table({"buffer", "category", ">bytes"});
    for (std::size_t i = 0; i < std::min<std::size_t>(6, why.binding_buffers.size()); ++i) {
      const Buffer& b = asked.source[why.binding_buffers[i]];
      table.add({b.name, std::string(to_string(b.category)), format_bytes(counted_bytes(b))});
    }
    fmt::print("{}", table.text());
    fmt::print("  ({} buffers in all)\n", why.binding_buffers.size());
  } else {
    fmt::print("  None was found; none is possible below {}.\n", format_bytes(why.bound_bytes));
  }
  if (why.smallest_found_bytes > 0) {
    fmt::print("  Smallest budget found so far: {}\n\n  Next: tidemark plan {} --budget {}\n",
               format_bytes(why.smallest_found_bytes), asked.file, why.smallest_found_bytes);
  }
}

std::string data_argument(const Trace& source) {
  constexpr std::string_view k_option = " --data";
  const std::string& command = source.meta.command;
  const std::size_t at = command.find(k_option);
  const std::size_t begin = at == std::string::npos ? at : at + k_option.size() + 1;
  if (begin >= command.size()) return {};
  if (command[begin - 1] != ' ' && command[begin - 1] != '=') return {};
  const std::string file = command.substr(begin, command.find(" -", begin) - begin);
  const bool plain = file.find_first_of(" '\"$&()*;<>?[\\]`{|}~") == std::string::npos;
  return plain ? " --data " + file : " --data '" + file + "'";
}

}  // namespace tidemark
