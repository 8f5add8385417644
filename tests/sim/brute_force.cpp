#include "tests/sim/brute_force.h"

#include <algorithm>
#include <array>
#include <limits>

namespace tidemark {
namespace {

constexpr double k_end = std::numeric_limits<double>::infinity();

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a * 0x9e3779b97f4a7c15U + b + 0x632be59bd9b4e019U;
  z = (z ^ (z >> 29U)) * 0xbf58476d1ce4e5b9U;
  return z ^ (z >> 32U);
}

std::uint64_t mix(std::uint64_t a, const std::string& text) {
  for (const char c : text) a = mix(a, static_cast<unsigned char>(c));
  return a;
}

/// One thing that happens, at a moment of the compute stream.
struct Action {
  double time = 0;
  Instruction line;
};

bool computes(const Op& op) {
  return op.stream.value <= 0;
}

std::int64_t event_of(const Op& op) {
  for (const Attribute& a : op.attributes) {
    if (a.name == "event") return a.integer;
  }
  return -1;
}

/// Moments at which each line of a section takes effect. A copy may run as soon as what its stream
/// waited for has happened, even before the compute stream gets to where it was issued; and as late
/// as just before the compute stream waits for something recorded behind it.
std::vector<Action> timed(const Trace& trace, const std::vector<Instruction>& section,
                          CopyTime copy_time) {
  std::vector<Action> actions;
  for (std::size_t i = 0; i < section.size(); ++i) {
    actions.push_back({static_cast<double>(i), section[i]});
  }
  std::map<std::int32_t, double> stream;
  std::map<std::int64_t, double> event;
  if (copy_time == CopyTime::earliest) {
    double reached = -1;  // the last line at which the compute stream did or awaited something
    for (std::size_t i = 0; i < section.size(); ++i) {
      actions[i].time = reached;  // an allocation is done as soon as the lines before it are
      if (section[i].kind != InstructionKind::run) continue;
      const Op& op = trace[section[i].op()];
      if (computes(op) && op.kind != OpKind::record_event) {
        actions[i].time = reached = static_cast<double>(i);
      }
      double& now = stream.emplace(op.stream.value, -1).first->second;
      if (computes(op)) now = reached;
      if (op.kind == OpKind::record_event) event[event_of(op)] = now;
      if (op.kind == OpKind::wait_event && !computes(op)) now = std::max(now, event[event_of(op)]);
      if (!computes(op)) actions[i].time = now + 0.5;
    }
  } else {
    for (std::size_t i = section.size(); i-- > 0;) {
      if (section[i].kind != InstructionKind::run) continue;
      const Op& op = trace[section[i].op()];
      double& limit = stream.emplace(op.stream.value, k_end).first->second;
      const double now = computes(op) ? static_cast<double>(i) : limit;
      if (op.kind == OpKind::wait_event) {
        double& needed = event.emplace(event_of(op), k_end).first->second;
        needed = std::min(needed, now);
      }
      if (op.kind == OpKind::record_event && !computes(op)) {
        limit = std::min(limit, event.emplace(event_of(op), k_end).first->second);
      }
      if (!computes(op)) actions[i].time = limit - 0.5;
    }
  }
  std::stable_sort(actions.begin(), actions.end(),
                   [](const Action& a, const Action& b) { return a.time < b.time; });
  return actions;
}

class Machine {
 public:
  explicit Machine(const Trace& trace)
      : trace_(trace), live_(trace.buffers.size(), false), cells_(trace.buffers.size()) {}

  void section(const std::vector<Instruction>& lines, CopyTime copy_time, std::int64_t step) {
    for (const Action& action : timed(trace_, lines, copy_time)) {
      const Instruction& line = action.line;
      if (line.kind == InstructionKind::alloc) alloc(line.buffer());
      if (line.kind == InstructionKind::free) free(line.buffer());
      if (line.kind == InstructionKind::run) run(trace_[line.op()], step);
    }
  }

  void begin_step() { verdict.peak_bytes = bytes_; }

  void keep_contents() {
    verdict.contents.clear();
    // By origin: a state that lives on the host stands where that of the source stands.
    std::vector<std::pair<std::size_t, BufferId>> kept;
    for (std::size_t row = 0; row < live_.size(); ++row) {
      const BufferId origin = trace_.buffers[row].origin;
      if (live_[row]) kept.emplace_back(origin.valid() ? origin.index() : row, BufferId{row});
    }
    std::sort(kept.begin(), kept.end());
    for (const auto& entry : kept) verdict.contents.push_back(read(entry.second));
  }

  BruteVerdict verdict;

 private:
  struct Cell {
    std::uint64_t content = 0;
    std::uint64_t stamp = 0;  // of the last write; its bytes carry the same one
  };

  void error(const std::string& text, BufferId id) {
    verdict.errors.push_back(text + " '" + trace_[id].name + "'");
  }

  void alloc(BufferId id) {
    if (live_[id.index()]) error("allocated twice", id);
    live_[id.index()] = true;
    const Space space = trace_[id].space;
    bytes_[space] += (trace_[id].size_bytes + 255) / 256 * 256;
    verdict.peak_bytes[space] = std::max(verdict.peak_bytes[space], bytes_[space]);
    for_granules(id, [&](std::size_t granule) {
      if (owners_[space][granule] != 0) error("overlaps a live buffer", id);
      owners_[space][granule] = id.index() + 1;
    });
    write(id, ++poison_ | (std::uint64_t{1} << 63U));
  }

  void free(BufferId id) {
    if (!live_[id.index()]) error("freed twice", id);
    write(id, ++poison_ | (std::uint64_t{1} << 63U));
    live_[id.index()] = false;
    bytes_[trace_[id].space] -= (trace_[id].size_bytes + 255) / 256 * 256;
    for_granules(id, [&](std::size_t granule) { owners_[trace_[id].space][granule] = 0; });
  }

  template <class Visit>
  void for_granules(BufferId id, Visit visit) {
    const Buffer& b = trace_[id];
    if (b.offset_bytes < 0) return;
    const auto first = static_cast<std::size_t>(b.offset_bytes / 256);
    const auto last = static_cast<std::size_t>((b.offset_bytes + b.size_bytes + 255) / 256);
    auto& memory = memory_[b.space];
    if (memory.size() < last) memory.resize(last, 0);
    if (owners_[b.space].size() < last) owners_[b.space].resize(last, 0);
    for (std::size_t g = first; g < last; ++g) visit(g);
  }

  void write(BufferId id, std::uint64_t content) {
    cells_[id.index()] = {content, ++stamp_};
    for_granules(id, [&](std::size_t g) { memory_[trace_[id].space][g] = stamp_; });
  }

  std::uint64_t read(BufferId id) {
    bool intact = true;
    for_granules(id, [&](std::size_t g) {
      intact = intact && memory_[trace_[id].space][g] == cells_[id.index()].stamp;
    });
    return intact ? cells_[id.index()].content : ++poison_ | (std::uint64_t{1} << 63U);
  }

  void run(const Op& op, std::int64_t step) {
    if (op.kind == OpKind::record_event || op.kind == OpKind::wait_event) return;
    std::uint64_t hash = mix(static_cast<std::uint64_t>(op.kind), "op");
    for (const Attribute& a : op.attributes) {
      hash = mix(mix(hash, a.name), static_cast<std::uint64_t>(a.integer + a.per_step * step));
      hash = mix(hash, static_cast<std::uint64_t>(a.real * 1e6));
    }
    std::uint64_t only_input = 0;
    for (const Operand& operand : op.operands) {
      if (!live_[operand.buffer.index()] && computes(op))
        error("used when not allocated", operand.buffer);
      if (operand.reads < 0) continue;
      only_input = read(operand.buffer);
      hash = mix(mix(hash, operand.role), only_input);
    }
    if (op.kind == OpKind::report_loss) verdict.reported.push_back(only_input);
    for (const Operand& operand : op.operands) {
      if (operand.writes < 0) continue;
      const bool moves = op.kind == OpKind::copy;
      write(operand.buffer, moves ? only_input : mix(hash, operand.role) >> 1U);
    }
  }

  const Trace& trace_;
  std::vector<bool> live_;
  std::vector<Cell> cells_;
  std::map<Space, std::vector<std::uint64_t>> memory_;  // stamp per granule
  std::map<Space, std::vector<std::uint64_t>> owners_;  // buffer row + 1 per granule, 0 = free
  std::map<Space, std::int64_t> bytes_;
  std::uint64_t poison_ = 0;
  std::uint64_t stamp_ = 0;
};

}  // namespace

BruteVerdict brute_force(const Trace& trace, CopyTime copy_time) {
  Machine machine(trace);
  machine.section(trace.program.init, copy_time, 0);
  for (std::int64_t step = 0; step < 2; ++step) {
    machine.begin_step();
    machine.section(trace.program.body, copy_time, step);
  }
  machine.keep_contents();
  machine.section(trace.program.eval, copy_time, 1);
  machine.section(trace.program.final, copy_time, 0);
  return machine.verdict;
}

bool judged_equal(const Trace& trace, const BruteVerdict& truth) {
  return std::ranges::all_of(std::array{CopyTime::earliest, CopyTime::latest}, [&](CopyTime time) {
    const BruteVerdict verdict = brute_force(trace, time);
    return verdict.errors.empty() && verdict.same_results(truth);
  });
}

}  // namespace tidemark
