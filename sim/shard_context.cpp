#include "sim/shard_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sim/op_table.h"
#include "sim/token_share.h"
#include "traces/error.h"

namespace tidemark {
namespace {

[[noreturn]] void refuse(const std::string& place, const std::string& expected,
                         const std::string& found) {
  throw InputError(InputError::Parts{.place = place, .expected = expected, .found = found});
}

TokenShare share_of(const Trace& source, const RankAxis& axis) {
  const TokenGrid grid = token_grid_of(source);
  if (grid.tokens % axis.count != 0) {
    refuse("--layout cp", fmt::format("a divisor of the {} tokens of a sequence", grid.tokens),
           fmt::format("{} ranks", axis.count));
  }
  const std::int64_t tokens = grid.tokens / axis.count;
  return {.whole = grid,
          .part = {grid.sequences, tokens},
          .sequence = 0,
          .position = axis.index * tokens};
}

class ContextWriter {
 public:
  ContextWriter(const Trace& source, const ShardSource& from, RankProgram& program,
                const TokenShare& share)
      : source_(source), from_(from), p_(program), share_(share), rows_(source.buffers.size()) {}

  void write() {
    for (const BufferId id : from_.persistent) p_.persist(p_.kept(id));
    for (const OpId id : from_.init) whole(id, Pass::Section::init);
    for (const OpId id : from_.body) step(id, Pass::Section::body);
    for (const OpId id : from_.eval) step(id, Pass::Section::eval);
    if (!attends_) refuse("--layout cp", "a decoder", "a program without attention");
  }

 private:
  void whole(OpId id, Pass::Section section) {
    std::vector<BufferId> buffers;
    for (const Operand& operand : source_[id].operands) buffers.push_back(p_.kept(operand.buffer));
    p_.run(id, buffers, section);
  }

  void step(OpId id, Pass::Section section) {
    const Op& op = source_[id];
    if (op.phase == Phase::optimizer || op.kind == OpKind::report_loss) return whole(id, section);
    if (!works_by_token(op.kind) && !works_in_block(op.kind)) {
      refuse("--layout cp, op '" + op.name + "'", "an op that works on each token by itself",
             std::string(to_string(op.kind)));
    }
    const bool attends = is_attention(op.kind);
    const BufferId keys = attends ? gathered_keys(id, section) : BufferId{};
    std::vector<BufferId> rows;
    for (const Operand& operand : op.operands) rows.push_back(row_of(op, operand, rows));
    p_.run(id, rows, section, 1.0 / p_.ranks());
    set_share(p_.last(), source_, share_);
    if (attends) attend(id, keys, section);
    if (op.kind == OpKind::softmax_cross_entropy_forward) {
      const BufferId loss = p_.kept(find_operand(op, "loss")->buffer);
      p_.meet(OpKind::all_reduce, p_[loss].name + ".all_reduce", {{"x", loss}}, id, section);
    }
  }

  /// The row of this rank; `before` are those of the operands before it.
  BufferId row_of(const Op& op, const Operand& operand, const std::vector<BufferId>& before) {
    if (operand.role == "bf16_factors") return p_.factors(op, operand.buffer, before);
    const bool scores = is_attention(op.kind) && !has_row_per_token(op, operand);
    if (!scores && !has_row_per_token(op, operand)) return p_.kept(operand.buffer);
    BufferId& row = rows_[operand.buffer.index()];
    if (row.valid()) return row;
    const Buffer& buffer = source_[operand.buffer];
    return row = p_.resized(operand.buffer,
                            scores ? score_shape(op, operand) : share_shape(buffer, share_));
  }

  /// Of what has a row, or several, for each query and head: probabilities [B,H,T,T], their
  /// log-sum-exps [B,H,T], or room for k_flash_rows rows of them or, in backward, for all.
  [[nodiscard]] std::vector<std::int64_t> score_shape(const Op& op, const Operand& operand) const {
    std::vector<std::int64_t> shape = source_[operand.buffer].shape;
    const bool room_of_all = op.kind == OpKind::attention_backward && operand.role == "workspace";
    if (operand.role != "workspace") {
      shape[2] = share_.part.tokens;
    } else if (room_of_all) {
      shape[0] = share_.part.tokens;
    } else {
      shape[shape.size() - 2] = std::min(k_flash_rows, share_.part.tokens);
    }
    return shape;
  }

  // ---- attention

  /// C channels of queries, keys or values.
  [[nodiscard]] std::int64_t channels_of(const Op& op) const {
    return column_count(source_[find_operand(op, "qkv")->buffer]) / 3;
  }

  /// Keys and values of this rank's tokens, [B,T/R,2C].
  BufferId own_keys(BufferId of_source, std::int64_t channels, const std::string& suffix) {
    return p_.exchanged(of_source, {share_.part.sequences, share_.part.tokens, 2 * channels},
                        suffix);
  }
  /// And those of all ranks, [R,B,T/R,2C].
  BufferId all_keys(BufferId of_source, std::int64_t channels, const std::string& suffix) {
    return p_.exchanged(
        of_source, {p_.ranks(), share_.part.sequences, share_.part.tokens, 2 * channels}, suffix);
  }

  BufferId gathered_keys(OpId id, Pass::Section section) {
    attends_ = true;
    const Op& op = source_[id];
    const Operand* qkv = find_operand(op, "qkv");
    const std::int64_t channels = channels_of(op);
    const BufferId own = own_keys(qkv->buffer, channels, ".kv");
    const BufferId all = all_keys(qkv->buffer, channels, ".kv.gathered");
    p_.add(OpKind::slice_columns, p_[own].name, {{"x", row_of(op, *qkv, {})}, {"y", own}}, id,
           section, {integer("first", channels)});
    p_.last().layer = op.layer;
    p_.meet(OpKind::all_gather, p_[all].name, {{"x", own}, {"y", all}}, id, section);
    p_.last().layer = op.layer;
    return all;
  }

  /// The attention that was added last looks at these keys. Its gradients of them go to the ranks
  /// that have their tokens.
  void attend(OpId id, BufferId keys, Pass::Section section) {
    const Op& op = source_[id];
    Op& here = p_.last();
    insert_behind(here, "qkv", {"kv", keys, -1, -1});
    here.attributes.push_back(integer("position", share_.position));
    const Operand* made = find_operand(op, "dqkv");
    if (made == nullptr) return;
    const std::int64_t channels = channels_of(op);
    const BufferId all = all_keys(made->buffer, channels, ".dkv");
    insert_behind(here, "dqkv", {"dkv", all, -1, -1});
    const BufferId own = own_keys(made->buffer, channels, ".dkv.sum");
    p_.meet(OpKind::reduce_scatter, p_[own].name, {{"x", all}, {"y", own}}, id, section);
    p_.last().layer = op.layer;
    p_.add(OpKind::insert_columns, p_[own].name + ".insert",
           {{"x", own}, {"y", rows_[made->buffer.index()]}}, id, section,
           {integer("first", channels)});
    p_.last().layer = op.layer;
  }

  static void insert_behind(Op& op, std::string_view role, Operand operand) {
    const auto at = std::ranges::find(op.operands, role, &Operand::role);
    op.operands.insert(at + 1, std::move(operand));
  }

  const Trace& source_;
  const ShardSource& from_;
  RankProgram& p_;
  TokenShare share_;
  std::vector<BufferId> rows_;  // by buffer of which this rank has its tokens
  bool attends_ = false;
};

}  // namespace

Trace shard_context(const Trace& source, const ShardSource& from, RankAxis axis) {
  const TokenShare share = share_of(source, axis);
  const std::int32_t ranks = axis.count;
  RankProgram program(source, std::move(axis));
  ContextWriter(source, from, program, share).write();
  return program.finish(fmt::format(", context parallel on {} ranks", ranks));
}

}  // namespace tidemark
