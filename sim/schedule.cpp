#include "sim/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "traces/error.h"

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

/// One execution: of op `op`, in the stage that ends with the original of op `stage`.
struct Execution {
  Position stage = -1;
  Position op = -1;
};

std::vector<Execution> executions_of(const Schedule& schedule) {
  std::vector<Execution> all;
  for (std::size_t t = 0; t < schedule.again.size(); ++t) {
    const auto stage = static_cast<Position>(t);
    for (const Position op : schedule.again[t]) all.push_back({stage, op});
    all.push_back({stage, stage});
  }
  return all;
}

/// Why the entry `op` of stage `stage` may not be; empty when it may.
std::string objection(const Dataflow& flow, Position stage, Position op, Position before) {
  if (op <= before) return "entries must ascend";
  if (op >= stage) return "the op must come before the one that it runs again for";
  bool useful = false;
  for (const BufferId output : flow.body[at(op)].outputs) {
    const Value& value = flow[output];
    if (!value.recomputable) continue;
    useful = true;
    if (value.valid_until < stage) return "its inputs have changed by then";
  }
  return useful ? "" : "it may not run again";
}

std::string first_objection(const Dataflow& flow, const Schedule& schedule) {
  if (schedule.again.size() != flow.body.size()) return "one list per op of the body is needed";
  for (std::size_t t = 0; t < schedule.again.size(); ++t) {
    Position before = -1;
    for (const Position op : schedule.again[t]) {
      const std::string why = objection(flow, static_cast<Position>(t), op, before);
      if (!why.empty()) return fmt::format("op {} again before op {}: {}", op, t, why);
      before = op;
    }
  }
  return {};
}

/// Bytes over executions, from the lifetimes of instances.
class Profile {
 public:
  Profile(const Dataflow& flow, std::size_t executions)
      : flow_(flow), change_(executions + 1, 0), begin_(flow.values.size(), -1), end_(begin_) {}

  void run(std::int64_t moment, const Execution& execution) {
    const BodyOp& op = flow_.body[at(execution.op)];
    const bool again = execution.op != execution.stage;
    for (const BufferId id : op.reads) keep(id, moment);
    for (const BufferId id : op.outputs) {
      if (again && !flow_[id].recomputable) {
        add(id, moment, moment);  // made on the way, and dropped
        continue;
      }
      if (flow_[id].recomputable) close(id);
      keep(id, moment);
    }
  }

  std::vector<std::int64_t> finish() {
    for (std::size_t row = 0; row < begin_.size(); ++row) close(BufferId{row});
    std::int64_t sum = flow_.persistent_bytes;
    for (std::int64_t& entry : change_) entry = sum += entry;
    change_.pop_back();
    return std::move(change_);
  }

 private:
  void keep(BufferId id, std::int64_t moment) {
    if (begin_[id.index()] < 0) begin_[id.index()] = moment;
    end_[id.index()] = moment;
  }
  void close(BufferId id) {
    if (begin_[id.index()] >= 0) add(id, begin_[id.index()], end_[id.index()]);
    begin_[id.index()] = -1;
  }
  void add(BufferId id, std::int64_t first, std::int64_t last) {
    change_[static_cast<std::size_t>(first)] += flow_[id].bytes;
    change_[static_cast<std::size_t>(last) + 1] -= flow_[id].bytes;
  }

  const Dataflow& flow_;
  std::vector<std::int64_t> change_;
  std::vector<std::int64_t> begin_;  // of the instance that is open, by value; -1 = none
  std::vector<std::int64_t> end_;
};

[[noreturn]] void refuse(const std::string& place, const std::string& expected,
                         const std::string& found) {
  throw InputError(
      InputError::Parts{.file = {}, .place = place, .expected = expected, .found = found});
}

void require_sane(const PlainGraph& graph) {
  const std::size_t count = graph.costs.size();
  if (graph.sizes.size() != count || count > std::size_t{1} << 30U) {
    refuse("graph", "one cost and one size per node",
           fmt::format("{} costs, {} sizes", count, graph.sizes.size()));
  }
  // Every node may run before every other, so that a quarter of the range is left for sums.
  const auto most = std::numeric_limits<std::int64_t>::max() / 4 /
                    static_cast<std::int64_t>(std::max<std::size_t>(count, 1));
  for (std::size_t i = 0; i < count; ++i) {
    for (const std::int64_t figure : {graph.costs[i], graph.sizes[i]}) {
      if (figure >= 0 && figure <= most) continue;
      refuse(fmt::format("node {}", i), fmt::format("a cost and a size from 0 to {}", most),
             fmt::format("{}", figure));
    }
  }
  for (const auto& [u, v] : graph.edges) {
    if (u >= 0 && u < v && static_cast<std::size_t>(v) < count) continue;
    refuse(fmt::format("edge {} -> {}", u, v),
           fmt::format("from a node to a later one of {} in topological order", count),
           u >= v ? "an edge backward" : "an unknown node");
  }
}

}  // namespace

Schedule keep_all_schedule(const Dataflow& flow) {
  Schedule schedule;
  schedule.again.resize(flow.body.size());
  return schedule;
}

ScheduleFigures evaluate(const Dataflow& flow, const Schedule& schedule) {
  ScheduleFigures figures;
  figures.illegal = first_objection(flow, schedule);
  if (!figures.illegal.empty()) return figures;
  const std::vector<Execution> executions = executions_of(schedule);
  Profile profile(flow, executions.size());
  for (std::size_t i = 0; i < executions.size(); ++i) {
    figures.cost_ns += flow.body[at(executions[i].op)].duration_ns;
    profile.run(static_cast<std::int64_t>(i), executions[i]);
  }
  const std::vector<std::int64_t> live = profile.finish();
  const auto peak = std::max_element(live.begin(), live.end());
  if (peak == live.end()) return figures;
  const Execution& worst = executions[static_cast<std::size_t>(peak - live.begin())];
  figures.peak_bytes = *peak;
  figures.peak_stage = worst.stage;
  figures.peak_op = worst.op;
  return figures;
}

std::vector<Decision> decisions_of(const Dataflow& flow, const Schedule& schedule) {
  const std::vector<Execution> executions = executions_of(schedule);
  std::vector<bool> needed(flow.values.size(), false);  // later, before it is made again
  std::vector<Decision> decisions;
  for (std::size_t i = executions.size(); i-- > 0;) {
    const Execution& e = executions[i];
    const BodyOp& op = flow.body[at(e.op)];
    const bool original = e.op == e.stage;
    bool useful = original;
    for (const BufferId id : op.outputs) {
      if (!flow[id].recomputable || !needed[id.index()]) continue;
      needed[id.index()] = false;
      useful = true;
      if (original) continue;
      decisions.push_back({DecisionKind::recompute, id, flow.body[at(e.stage)].op, {}, {}, {}});
    }
    if (!useful) continue;  // an execution that nobody needs asks for nothing
    for (const BufferId id : op.reads) needed[id.index()] = true;
  }
  std::reverse(decisions.begin(), decisions.end());
  return decisions;
}

Schedule schedule_of(const Dataflow& flow, const std::vector<Decision>& decisions) {
  Schedule schedule = keep_all_schedule(flow);
  for (const Decision& d : decisions) {
    if (d.kind != DecisionKind::recompute) continue;
    schedule.again[at(flow.position[d.until.index()])].push_back(flow[d.buffer].producer);
  }
  for (auto& stage : schedule.again) {
    std::sort(stage.begin(), stage.end());
    stage.erase(std::unique(stage.begin(), stage.end()), stage.end());
  }
  return schedule;
}

Dataflow dataflow_of(const PlainGraph& graph) {
  require_sane(graph);
  Dataflow flow;
  const std::size_t count = graph.costs.size();
  flow.body.resize(count);
  flow.values.resize(count);
  flow.begin_ns.push_back(0);
  for (std::size_t i = 0; i < count; ++i) {
    const auto position = static_cast<Position>(i);
    flow.position.push_back(position);
    flow.body[i].op = OpId{i};
    flow.body[i].duration_ns = graph.costs[i];
    flow.body[i].outputs = {BufferId{i}};
    flow.begin_ns.push_back(flow.begin_ns.back() + graph.costs[i]);
    Value& value = flow.values[i];
    value = {.local = true,
             .movable = true,
             .bytes = graph.sizes[i],
             .producer = position,
             .last_write = position,
             .writes = 1,
             .recomputable = true,
             .valid_until = k_never,
             .uses = {position}};
  }
  auto edges = graph.edges;
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  for (const auto& [u, v] : edges) {
    flow.body[at(v)].reads.push_back(BufferId{at(u)});
    flow.values[at(u)].uses.push_back(v);
  }
  for (BodyOp& op : flow.body) {
    op.touches = op.reads;
    op.touches.insert(op.touches.end(), op.outputs.begin(), op.outputs.end());
  }
  return flow;
}

}  // namespace tidemark
