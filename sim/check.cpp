#include "sim/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "sim/op_table.h"
#include "traces/error.h"
#include "traces/validate.h"

namespace tidemark {
namespace {

using Tick = std::int64_t;        // number of ops issued on a stream so far
using Clock = std::vector<Tick>;  // per stream: all its ops up to this tick are done

class Findings {
 public:
  explicit Findings(std::size_t limit) : limit_(limit) {}
  void add(std::string place, std::string message) {
    if (list.size() < limit_) list.push_back({std::move(place), std::move(message)});
  }
  [[nodiscard]] bool full() const { return list.size() >= limit_; }
  std::vector<Finding> list;

 private:
  std::size_t limit_;
};

/// What the walk knows of an owning buffer.
struct State {
  bool live = false;
  bool written = false;  // holds defined content
  bool kept = false;     // the section must not change it
  std::int32_t version = 0;
  Tick alloc_tick = 0;     // of the compute stream
  std::size_t writer = 0;  // stream of the last write
  Tick write_tick = 0;
};

/// Live placed intervals of one space: begin -> end.
using Occupied = std::map<std::int64_t, std::int64_t>;

class Checker {
 public:
  Checker(const Trace& trace, Findings& findings)
      : trace_(trace),
        findings_(findings),
        streams_(std::max<std::size_t>(trace.streams.size(), 1)),
        states_(trace.buffers.size()),
        accesses_(trace.buffers.size() * streams_, 0),
        runs_(trace.ops.size(), 0) {}

  void section(const std::vector<Instruction>& lines, const char* name) {
    begin_section();
    for (std::size_t i = 0; i < lines.size() && !findings_.full(); ++i) {
      at_ = i;
      section_ = name;
      const Instruction& line = lines[i];
      if (line.kind == InstructionKind::alloc) alloc(line.buffer());
      if (line.kind == InstructionKind::free) free(line.buffer());
      if (line.kind == InstructionKind::run) run(line.op());
    }
    end_section(name);
  }

  /// From here on what is live now must be neither written nor freed: the section is eval.
  void keep_live() {
    for (State& s : states_) s.kept = s.live;
    in_eval_ = true;
  }
  void give_up_live() {
    for (State& s : states_) s.kept = false;
    in_eval_ = false;
  }

  /// Live buffers and whether they hold anything.
  [[nodiscard]] std::map<std::int32_t, bool> live() const {
    std::map<std::int32_t, bool> out;
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (states_[i].live) out.emplace(static_cast<std::int32_t>(i), states_[i].written);
    }
    return out;
  }

 private:
  void begin_section() {
    ticks_.assign(streams_, 0);
    clocks_.assign(streams_, Clock(streams_, 0));
    events_.clear();
    std::fill(accesses_.begin(), accesses_.end(), 0);
    for (State& s : states_) {
      s.version = 0;
      s.alloc_tick = s.write_tick = 0;
      s.writer = 0;
    }
  }

  void end_section(const char* name) {
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (!states_[i].live) continue;
      const std::size_t busy = unfinished(i);
      if (busy != streams_) {
        findings_.add(fmt::format("end of {}", name),
                      fmt::format("{} is still in use on stream {}: expected the compute stream to "
                                  "wait for it",
                                  name_of(BufferId{i}), busy));
      }
    }
  }

  void fault(const std::string& message) { findings_.add(place_, message); }

  std::string name_of(BufferId id) const {
    return fmt::format("buffer {} '{}'", id.value, trace_[id].name);
  }

  void name_place(const char* what, const std::string& name) {
    place_ = fmt::format("{}[{}] {} {}", section_, at_, what, name);
  }

  // ---- allocation and placement

  void alloc(BufferId id) {
    name_place("alloc", name_of(id));
    State& s = states_[id.index()];
    if (trace_[id].storage.valid()) return fault("expected an owning buffer, found a view");
    if (s.live) return fault("expected a buffer that is not allocated");
    s = {.live = true, .alloc_tick = ticks_[0]};
    for (std::size_t t = 0; t < streams_; ++t) access(id.index(), t) = 0;
    occupy(id);
  }

  void free(BufferId id) {
    name_place("free", name_of(id));
    State& s = states_[id.index()];
    if (!s.live) return fault("expected an allocated buffer");
    if (const std::size_t busy = unfinished(id.index()); busy != streams_) {
      fault(fmt::format("the buffer is in use on stream {}: expected a wait for it before", busy));
    }
    if (s.kept) fault("an evaluation must free nothing that it found");
    s.live = false;
    vacate(id);
  }

  /// A stream whose use of the buffer the compute stream has not waited for; streams_ when none.
  std::size_t unfinished(std::size_t buffer) {
    for (std::size_t t = 1; t < streams_; ++t) {
      if (access(buffer, t) > clocks_[0][t]) return t;
    }
    return streams_;
  }

  void occupy(BufferId id) {
    const Buffer& b = trace_[id];
    if (b.offset_bytes < 0 || b.size_bytes == 0) return;
    if (b.offset_bytes % k_granule_bytes != 0 || b.offset_bytes % b.alignment_bytes != 0) {
      fault(fmt::format("offset {} is not aligned to {} bytes", b.offset_bytes,
                        std::max(b.alignment_bytes, k_granule_bytes)));
    }
    Occupied& space = occupied_[b.space];
    const std::int64_t end = b.offset_bytes + counted_bytes(b);
    auto next = space.lower_bound(b.offset_bytes);
    const bool above = next != space.end() && next->first < end;
    const bool below = next != space.begin() && std::prev(next)->second > b.offset_bytes;
    if (above || below) {
      return fault(fmt::format("bytes [{}, {}) overlap a live buffer", b.offset_bytes, end));
    }
    space.emplace_hint(next, b.offset_bytes, end);
  }

  void vacate(BufferId id) {
    const Buffer& b = trace_[id];
    if (b.offset_bytes < 0 || b.size_bytes == 0) return;
    Occupied& space = occupied_[b.space];
    const auto it = space.find(b.offset_bytes);
    if (it != space.end() && it->second == b.offset_bytes + counted_bytes(b)) space.erase(it);
  }

  // ---- ops

  Tick& access(std::size_t buffer, std::size_t stream) {
    return accesses_[buffer * streams_ + stream];
  }

  void run(OpId id) {
    const Op& op = trace_[id];
    name_place("run", fmt::format("op {} '{}'", id.value, op.name));
    if (runs_[id.index()]++ > 0) fault("expected an op that is run in one place only");
    if (op.kind == OpKind::foreign) return fault("an op of kind foreign cannot be executed");
    if (std::string e = op_error(trace_, op); !e.empty()) return fault(e);
    if (in_eval_ != (op.phase == Phase::eval)) fault("expected ops of phase eval in eval only");
    const std::size_t stream = op.stream.index();
    clocks_[stream][stream] = ++ticks_[stream];
    // A wait ticks too: an allocation behind it is later than an event that was recorded before it.
    if (op.kind == OpKind::wait_event) return wait(op);
    if (op.kind == OpKind::record_event) return record(op);
    for (const Operand& operand : op.operands) use(op, operand);
    for (const Operand& operand : op.operands) finish(op, operand);
  }

  void record(const Op& op) {
    const auto [it, fresh] =
        events_.emplace(integer_at(op, "event", 0), clocks_[op.stream.index()]);
    if (!fresh) fault(fmt::format("event {} is recorded twice", it->first));
  }

  void wait(const Op& op) {
    const auto it = events_.find(integer_at(op, "event", 0));
    if (it == events_.end()) {
      return fault(fmt::format("event {} is not recorded before", integer_at(op, "event", 0)));
    }
    Clock& clock = clocks_[op.stream.index()];
    for (std::size_t t = 0; t < streams_; ++t) clock[t] = std::max(clock[t], it->second[t]);
  }

  /// Space, lifetime, version and order of one operand, before the op takes effect.
  void use(const Op& op, const Operand& operand) {
    const std::size_t owner = storage_of(trace_, operand.buffer).index();
    const State& s = states_[owner];
    const std::string name = fmt::format("{} = {}", operand.role, name_of(operand.buffer));
    if (!s.live) return fault(name + " is not allocated");
    const bool on_host = trace_[operand.buffer].space.kind != SpaceKind::device;
    if (on_host && op.kind != OpKind::copy) fault(name + " is on the host: only a copy may use it");
    if (trace_[operand.buffer].space.rank != trace_.meta.rank) {
      fault(fmt::format("{} belongs to rank {}: expected rank {}", name,
                        trace_[operand.buffer].space.rank, trace_.meta.rank));
    }
    if (operand.reads >= 0) {
      if (operand.reads != s.version) {
        fault(fmt::format("{}: expected version {}, found {}", name, operand.reads, s.version));
      }
      if (!s.written) fault(name + " is read before anything was written to it");
    }
    if (operand.writes >= 0) {
      if (s.kept) fault(name + " was there before: an evaluation must not change it");
      if (operand.writes != s.version + 1) {
        fault(fmt::format("{}: expected to write version {}, found {}", name, s.version + 1,
                          operand.writes));
      }
      if (const Operand* other = clash(op, operand); other != nullptr) {
        fault(fmt::format("{} shares its storage with operand '{}'", name, other->role));
      }
    }
    ordered(op, operand, owner);
  }

  /// Another operand on the storage that `written` writes, unless the op table lets them share.
  const Operand* clash(const Op& op, const Operand& written) const {
    const OpRule& rule = op_rule(op.kind);
    for (const Operand& other : op.operands) {
      if (&other == &written ||
          storage_of(trace_, other.buffer) != storage_of(trace_, written.buffer)) {
        continue;
      }
      const bool may_share = other.role == rule.shares_from && written.role == rule.shares_to;
      if (!may_share) return &other;
    }
    return nullptr;
  }

  /// The op's stream must have seen the allocation, the last write and, to write, every access.
  void ordered(const Op& op, const Operand& operand, std::size_t owner) {
    const std::size_t stream = op.stream.index();
    const Clock& clock = clocks_[stream];
    const State& s = states_[owner];
    const std::string name = fmt::format("{} = {}", operand.role, name_of(operand.buffer));
    if (stream != 0 && clock[0] < s.alloc_tick) {
      fault(name + " was allocated after the last point that this stream waited for");
    }
    if (s.writer != stream && clock[s.writer] < s.write_tick) {
      fault(fmt::format("{} was written on stream {}: expected a wait for it", name, s.writer));
    }
    if (operand.writes < 0) return;
    for (std::size_t t = 0; t < streams_; ++t) {
      if (t != stream && access(owner, t) > clock[t]) {
        fault(fmt::format("{} is in use on stream {}: expected a wait before writing", name, t));
      }
    }
  }

  void finish(const Op& op, const Operand& operand) {
    const std::size_t stream = op.stream.index();
    const std::size_t owner = storage_of(trace_, operand.buffer).index();
    access(owner, stream) = ticks_[stream];
    if (operand.writes < 0) return;
    State& s = states_[owner];
    s.version = operand.writes;
    s.written = true;
    s.writer = stream;
    s.write_tick = ticks_[stream];
  }

  const Trace& trace_;
  Findings& findings_;
  std::size_t streams_;
  std::vector<State> states_;
  std::vector<Tick> accesses_;  // buffer x stream: tick of the last access
  std::vector<int> runs_;
  std::vector<Tick> ticks_;
  std::vector<Clock> clocks_;
  std::unordered_map<std::int64_t, Clock> events_;
  std::map<Space, Occupied> occupied_;
  std::size_t at_ = 0;
  const char* section_ = "";
  bool in_eval_ = false;
  std::string place_;
};

/// Either all buffers that the program allocates in a space are placed, or none.
void check_placed(const Trace& trace, Findings& findings) {
  std::map<Space, std::pair<BufferId, BufferId>> seen;  // first placed, first not placed
  const auto look = [&](const std::vector<Instruction>& lines) {
    for (const Instruction& line : lines) {
      if (line.kind != InstructionKind::alloc) continue;
      const Buffer& b = trace[line.buffer()];
      auto& [placed, loose] = seen[b.space];
      (b.offset_bytes >= 0 ? placed : loose) = line.buffer();
    }
  };
  for (const auto* section : sections_of(trace.program)) look(*section);
  for (const auto& [space, pair] : seen) {
    if (!pair.first.valid() || !pair.second.valid()) continue;
    findings.add(fmt::format("space {} of rank {}", to_string(space.kind), space.rank),
                 fmt::format("expected all buffers to be placed or none, found '{}' placed and "
                             "'{}' not",
                             trace[pair.first].name, trace[pair.second].name));
  }
}

/// A section that may run any number of times: it leaves live what it found live.
void check_repeated(const Trace& trace, Checker& checker, const std::vector<Instruction>& lines,
                    const char* name, Findings& findings) {
  const std::map<std::int32_t, bool> live_in = checker.live();
  checker.section(lines, name);
  const std::map<std::int32_t, bool> live_out = checker.live();
  const auto differ = [&](std::int32_t row, const std::string& what) {
    findings.add(fmt::format("end of {}", name),
                 fmt::format("buffer {} '{}' {}: the {} could not be repeated", row,
                             trace.buffers[static_cast<std::size_t>(row)].name, what, name));
  };
  for (const auto& [row, written] : live_in) {
    const auto out = live_out.find(row);
    if (out == live_out.end()) {
      differ(row, "is live at its begin but not at its end");
    } else if (written && !out->second) {
      differ(row, "has lost its content");
    }
  }
  for (const auto& [row, written] : live_out) {
    if (!live_in.contains(row)) differ(row, "is live at its end but not at its begin");
  }
}

void check_one(const Trace& trace, Findings& findings) {
  if (std::string fault = index_fault(trace); !fault.empty()) return findings.add("trace", fault);
  if (trace.program.body.empty()) {
    return findings.add("program", "expected a program with a body (level 2), found none");
  }
  Checker checker(trace, findings);
  checker.section(trace.program.init, "init");
  check_repeated(trace, checker, trace.program.body, "body", findings);
  if ((trace.meta.eval_every > 0) != !trace.program.eval.empty()) {
    findings.add("meta", "expected eval_every above 0 with a section eval, and 0 without");
  }
  checker.keep_live();
  check_repeated(trace, checker, trace.program.eval, "eval", findings);
  checker.give_up_live();
  checker.section(trace.program.final, "final");
  for (const auto& [row, written] : checker.live()) {
    findings.add("final", fmt::format("buffer {} '{}' is never freed", row,
                                      trace.buffers[static_cast<std::size_t>(row)].name));
  }
  check_placed(trace, findings);
}

/// Collectives of one rank, per group, in issue order: what must be equal on all its ranks.
using Sequences = std::map<std::vector<std::int32_t>, std::vector<std::string>>;

/// "all_gather, sequence 1, order rank, 12 f32"
std::string call_text(const Trace& trace, const Op& op) {
  const Attribute* order = find_attribute(op, "order");
  const Attribute* sequence = find_attribute(op, "sequence");
  const Buffer& x = trace[op.operands[0].buffer];
  std::string text =
      fmt::format("{}, sequence {}{}, order {}, {} {}", to_string(op.kind), sequence->integer,
                  sequence->per_step == 0 ? "" : fmt::format(" + {} step", sequence->per_step),
                  order->text, element_count(x), to_string(x.dtype));
  if (op.kind != OpKind::all_to_all) return text;
  return text + fmt::format(" as [{}], split {}, join {}", fmt::join(x.shape, ", "),
                            integer_at(op, "split", 0), integer_at(op, "join", 0));
}

/// Adds the collectives of one section; each group counts its own from 0.
void add_collectives(const Trace& trace, const std::vector<Instruction>& lines,
                     const std::string& place, Sequences& out, Findings& findings) {
  std::map<std::vector<std::int32_t>, std::int64_t> next;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].kind != InstructionKind::run) continue;
    const Op& op = trace[lines[i].op()];
    if (find_attribute(op, "group") == nullptr || !op_error(trace, op).empty()) continue;
    const auto& ranks = trace.groups[static_cast<std::size_t>(integer_at(op, "group", 0))].ranks;
    const std::int64_t expected = next[ranks]++;
    const Attribute* sequence = find_attribute(op, "sequence");
    if (sequence->integer != expected || sequence->per_step != 0) {
      findings.add(fmt::format("{}[{}] run op {} '{}'", place, i, lines[i].index, op.name),
                   fmt::format("expected sequence {} in its group and section, found {}", expected,
                               sequence->integer));
    }
    out[ranks].push_back(call_text(trace, op));
  }
}

void compare(const std::vector<std::string>& a, const std::vector<std::string>& b,
             const std::string& place, Findings& findings) {
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const std::string& left = i < a.size() ? a[i] : "nothing";
    const std::string& right = i < b.size() ? b[i] : "nothing";
    if (left == right) continue;
    findings.add(place, fmt::format("collective {}: expected {}, found {}", i, left, right));
    return;
  }
}

/// The sequences of every rank against those of the first rank of the group.
void compare_ranks(const std::map<std::int32_t, Sequences>& by_rank, Findings& findings) {
  std::set<std::vector<std::int32_t>> groups;
  for (const auto& [rank, sequences] : by_rank) {
    for (const auto& [group, calls] : sequences) groups.insert(group);
  }
  const auto calls_of = [&by_rank](std::int32_t rank, const std::vector<std::int32_t>& group) {
    const auto it = by_rank.at(rank).find(group);
    return it == by_rank.at(rank).end() ? std::vector<std::string>{} : it->second;
  };
  for (const std::vector<std::int32_t>& group : groups) {
    for (std::int32_t rank : group) {
      const std::string place = fmt::format("ranks {} and {}", group[0], rank);
      if (!by_rank.contains(rank)) {
        findings.add(fmt::format("rank {}", rank), "expected a trace of every rank of the group");
      } else if (by_rank.contains(group[0])) {
        compare(calls_of(group[0], group), calls_of(rank, group), place, findings);
      }
    }
  }
}

}  // namespace

std::vector<Finding> check(const Trace& trace, std::size_t limit) {
  Findings findings(limit);
  check_one(trace, findings);
  return std::move(findings.list);
}

std::vector<Finding> check_ranks(std::span<const Trace> ranks, std::size_t limit) {
  Findings findings(limit);
  std::map<std::int32_t, Sequences> by_rank;
  for (const Trace& trace : ranks) {
    const std::string name = fmt::format("rank {}: ", trace.meta.rank);
    for (Finding& f : check(trace, limit)) findings.add(name + f.place, f.message);
    const auto [it, fresh] = by_rank.try_emplace(trace.meta.rank);
    if (!fresh) findings.add(name, "expected one trace per rank");
    if (!index_fault(trace).empty()) continue;  // check() named it
    const Program& p = trace.program;
    add_collectives(trace, p.init, name + "init", it->second, findings);
    add_collectives(trace, p.body, name + "body", it->second, findings);
    add_collectives(trace, p.eval, name + "eval", it->second, findings);
    add_collectives(trace, p.final, name + "final", it->second, findings);
  }
  compare_ranks(by_rank, findings);
  return std::move(findings.list);
}

void require_legal(const Trace& trace, const std::string& file) {
  const std::vector<Finding> findings = check(trace, 1);
  if (findings.empty()) return;
  throw InputError(InputError::Parts{.file = file,
                                     .place = findings[0].place,
                                     .expected = "a legal program",
                                     .found = findings[0].message});
}

}  // namespace tidemark
