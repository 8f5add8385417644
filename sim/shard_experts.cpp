#include "sim/shard_experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/op_table.h"
#include "traces/error.h"

namespace tidemark {
namespace {

[[noreturn]] void refuse(const std::string& place, const std::string& expected,
                         const std::string& found) {
  throw InputError(InputError::Parts{.place = place, .expected = expected, .found = found});
}

/// Where the rows of experts lie: with the rank that routed the tokens, [E,S,C], or with the owners
/// of the experts, [E/R,R S,C] on R ranks.
enum class Side : std::uint8_t { tokens, owners };

constexpr std::size_t at(Side side) {
  return static_cast<std::size_t>(side);
}

/// A buffer that holds rows of experts.
struct ExpertRows {
  bool used = false;                 // it is one
  std::array<bool, 2> on{};          // by side: some op works on it there
  Side made_on = Side::tokens;       // by its first op
  std::array<BufferId, 2> rows{};    // by side: of the new trace
  std::array<bool, 2> is_current{};  // by side: it holds the last version
};

bool is_linear(OpKind kind) {
  return kind == OpKind::linear_forward || kind == OpKind::linear_backward_data ||
         kind == OpKind::linear_backward_weight;
}

/// What may stand between two linear layers of experts, and behind them when their hidden units are
/// split.
bool works_by_row(OpKind kind) {
  return kind == OpKind::swiglu_forward || kind == OpKind::swiglu_backward ||
         kind == OpKind::all_reduce;
}

bool moves_rows(OpKind kind) {
  return kind == OpKind::dispatch_forward || kind == OpKind::dispatch_backward ||
         kind == OpKind::combine_forward || kind == OpKind::combine_backward;
}

class ExpertWriter {
 public:
  ExpertWriter(const Trace& source, const ShardSource& from, RankProgram& program)
      : source_(source),
        from_(from),
        p_(program),
        experts_(source.buffers.size()),
        parts_(source.buffers.size()),
        made_(from.weights.size()),
        last_made_(from.weights.size()) {}

  void write() {
    find_rows();
    for (const BufferId id : from_.persistent) p_.persist(row_of(id));
    for (std::size_t i = 0; i < from_.init.size(); ++i) {
      if (!makes_state(i)) last_made_[row(from_.init_of[i])] = i;
    }
    for (std::size_t i = 0; i < from_.init.size(); ++i) init(i);
    for (const OpId id : from_.body) step(id, Pass::Section::body);
    for (const OpId id : from_.eval) step(id, Pass::Section::eval);
  }

 private:
  static std::size_t row(std::int32_t number) { return static_cast<std::size_t>(number); }

  // ---- what belongs to experts

  void find_rows() {
    bool any = false;
    for (const auto* section : {&from_.body, &from_.eval}) {
      for (const OpId id : *section) {
        if (!is_of_experts(source_[id])) continue;
        any = true;
        mark(source_[id]);
      }
    }
    if (!any) refuse("experts on several ranks", "a decoder with experts", "a program without");
    for (const auto* section : {&from_.body, &from_.eval}) {
      for (const OpId id : *section) use(source_[id]);
    }
  }

  /// The weight of a linear op, or its gradient.
  [[nodiscard]] static const Operand& weight_of(const Op& op) {
    const Operand* w = find_operand(op, "w");
    return w != nullptr ? *w : *find_operand(op, "dw");
  }

  [[nodiscard]] bool is_of_experts(const Op& op) const {
    return is_linear(op.kind) && tidemark::is_of_experts(source_[weight_of(op).buffer]);
  }

  void mark(const Op& op) {
    const BufferId w = weight_of(op).buffer;
    const std::int64_t count = source_[w].shape[0];
    if (count % p_.ranks() != 0) {
      refuse("experts on several ranks",
             fmt::format("a divisor of the {} experts of '{}'", count, source_[w].name),
             std::to_string(p_.ranks()));
    }
    for (const Operand& operand : op.operands) {
      if (operand.buffer != w) experts_[operand.buffer.index()].used = true;
    }
  }

  /// On which side an op works with the rows of experts; refuses what cannot.
  [[nodiscard]] Side side_of(const Op& op) const {
    if (moves_rows(op.kind)) return Side::tokens;
    if (is_of_experts(op) || works_by_row(op.kind)) return Side::owners;
    refuse("op '" + op.name + "'", "an op that can work on the experts of one rank",
           std::string(to_string(op.kind)));
  }

  void use(const Op& op) {
    for (const Operand& operand : op.operands) {
      ExpertRows& rows = experts_[operand.buffer.index()];
      if (!rows.used) continue;
      const Side side = side_of(op);
      if (!rows.on[0] && !rows.on[1]) rows.made_on = side;
      rows.on[at(side)] = true;
    }
  }

  // ---- rows

  /// Of a buffer that is not rows of experts: a weight of experts, its gradient and states in
  /// parts.
  BufferId row_of(BufferId of_source) {
    std::int32_t number = -1;
    for (const auto* rows : {&from_.weight_of, &from_.gradient_of, &from_.state_of}) {
      number = std::max(number, (*rows)[of_source.index()]);
    }
    if (number < 0 || !tidemark::is_of_experts(source_[from_.weights[row(number)].weight])) {
      return p_.kept(of_source);
    }
    BufferId& part = parts_[of_source.index()];
    if (!part.valid()) part = p_.split(of_source, 0);
    return part;
  }

  BufferId row_on(Side side, BufferId of_source) {
    ExpertRows& expert = experts_[of_source.index()];
    BufferId& out = expert.rows[at(side)];
    if (out.valid()) return out;
    std::vector<std::int64_t> shape = source_[of_source].shape;
    if (side == Side::owners) {
      shape.at(0) /= p_.ranks();
      shape.at(1) *= p_.ranks();
    }
    const bool is_sent = side == expert.made_on && expert.on[0] && expert.on[1];
    out = is_sent ? p_.exchanged(of_source, std::move(shape), ".sent")
                  : p_.resized(of_source, std::move(shape));
    return out;
  }

  // ---- ops

  [[nodiscard]] bool makes_state(std::size_t position) const {
    return from_.state_of[source_[from_.init[position]].operands[0].buffer.index()] >= 0;
  }

  /// Weights are made whole, and this rank keeps its experts.
  void init(std::size_t position) {
    const OpId id = from_.init[position];
    const std::int32_t number = from_.init_of[position];
    const BufferId weight = from_.weights[row(number)].weight;
    const bool of_experts = tidemark::is_of_experts(source_[weight]);
    if (!of_experts || makes_state(position)) {
      std::vector<BufferId> buffers;
      for (const Operand& operand : source_[id].operands) buffers.push_back(row_of(operand.buffer));
      return p_.run(id, buffers, Pass::Section::init, of_experts ? 1.0 / p_.ranks() : 1);
    }
    BufferId& made = made_[row(number)];
    if (!made.valid()) made = p_.like(weight, ".of_all");
    std::vector<BufferId> buffers;
    for (const Operand& operand : source_[id].operands) {
      const BufferId of_source = operand.buffer;
      buffers.push_back(of_source == weight                    ? made
                        : source_[of_source].storage == weight ? p_.view(of_source, made)
                                                               : p_.kept(of_source));
    }
    p_.run(id, buffers, Pass::Section::init);
    if (last_made_[row(number)] != position) return;
    const std::int64_t rows = row_count(source_[weight]) / p_.ranks();
    const BufferId mine = p_.rows(made, rows * p_.rank(), rows, ".mine");
    p_.add(OpKind::copy, source_[weight].name + ".keep", {{"src", mine}, {"dst", row_of(weight)}},
           id, Pass::Section::init);
  }

  void step(OpId id, Pass::Section section) {
    const Op& op = source_[id];
    std::vector<BufferId> buffers;
    for (const Operand& operand : op.operands) {
      ExpertRows& expert = experts_[operand.buffer.index()];
      if (operand.role == "bf16_factors" && is_of_experts(op)) {
        buffers.push_back(p_.factors(op, operand.buffer, buffers));
      } else if (expert.used) {
        const Side side = side_of(op);
        if (operand.reads >= 0 && !expert.is_current[at(side)]) {
          exchange(operand.buffer, side, id, section);
        }
        if (operand.writes >= 0) expert.is_current = {};
        expert.is_current[at(side)] = true;
        buffers.push_back(row_on(side, operand.buffer));
      } else {
        buffers.push_back(row_of(operand.buffer));
      }
    }
    const bool on_part =
        op.phase == Phase::optimizer && parts_[op.operands[0].buffer.index()].valid();
    p_.run(id, buffers, section, on_part ? 1.0 / p_.ranks() : 1);
  }

  /// The slots of an expert go to its owner, or what it made of them to the ranks of the tokens.
  void exchange(BufferId of_source, Side to, OpId place, Pass::Section section) {
    const Side from = to == Side::tokens ? Side::owners : Side::tokens;
    const BufferId x = row_on(from, of_source);
    const BufferId y = row_on(to, of_source);
    p_.meet(OpKind::all_to_all, source_[of_source].name + ".all_to_all", {{"x", x}, {"y", y}},
            place, section);
    const bool out = to == Side::owners;
    for (const Attribute& a : {integer("split", out ? 0 : 1), integer("join", out ? 1 : 0)}) {
      p_.last().attributes.push_back(a);
    }
  }

  const Trace& source_;
  const ShardSource& from_;
  RankProgram& p_;
  std::vector<ExpertRows> experts_;     // by buffer
  std::vector<BufferId> parts_;         // by buffer: the part of a weight, gradient or state
  std::vector<BufferId> made_;          // by row of from_.weights: all experts, in init
  std::vector<std::size_t> last_made_;  // the same: position in init
};

}  // namespace

bool is_of_experts(const Buffer& weight) {
  return weight.shape.size() == 3;
}

std::int64_t experts_of(const Trace& source) {
  std::int64_t most = 0;
  for (const Op& op : source.ops) {
    if (op.kind != OpKind::linear_forward) continue;
    const Buffer& weight = source[find_operand(op, "w")->buffer];
    if (is_of_experts(weight)) most = std::max(most, weight.shape[0]);
  }
  return most;
}

Trace shard_experts(const Trace& rank, const ShardSource& from, const RankAxis& axis) {
  RankProgram program(rank, axis);
  ExpertWriter(rank, from, program).write();
  return program.finish(fmt::format(", experts on {} ranks", axis.count));
}

}  // namespace tidemark
