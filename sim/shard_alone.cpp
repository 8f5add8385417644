#include "sim/shard_alone.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/rank_program.h"

namespace tidemark {
namespace {

class AloneWriter {
 public:
  AloneWriter(const Trace& source, const ShardSource& from, RankProgram& program)
      : source_(source),
        from_(from),
        p_(program),
        of_share_(from.weights.size(),
                  std::vector<BufferId>(static_cast<std::size_t>(program.ranks()))),
        sums_(from.weights.size()) {}

  void write() {
    for (const OpId id : from_.init) keep(id, Pass::Section::init);
    for (const BufferId id : from_.persistent) p_.persist(p_.kept(id));
    for (const OpId id : from_.body) {
      source_[id].phase == Phase::optimizer ? optimizer(id) : micro_batch(id);
    }
    for (const OpId id : from_.eval) keep(id, Pass::Section::eval);
  }

 private:
  void keep(OpId id, Pass::Section section) {
    std::vector<BufferId> buffers;
    for (const Operand& operand : source_[id].operands) buffers.push_back(p_.kept(operand.buffer));
    p_.run(id, buffers, section);
  }

  [[nodiscard]] std::string suffix(std::int32_t share) const {
    return share == 0 ? "" : fmt::format(".of_rank{}", share);
  }

  void micro_batch(OpId id) {
    const std::int64_t each = from_.micro_batches / p_.ranks();
    const auto share = static_cast<std::int32_t>(source_[id].micro_batch / each);
    // All ranks take the running statistics of the first.
    if (share > 0 && source_[id].kind == OpKind::batch_norm_update) return;
    std::vector<BufferId> buffers;
    for (const Operand& operand : source_[id].operands) {
      const std::int32_t row = from_.gradient_of[operand.buffer.index()];
      if (row < 0) {
        buffers.push_back(p_.kept(operand.buffer));
        continue;
      }
      BufferId& mine = of_share_[static_cast<std::size_t>(row)][static_cast<std::size_t>(share)];
      if (!mine.valid()) mine = p_.like(operand.buffer, suffix(share));
      buffers.push_back(mine);
    }
    p_.run(id, buffers, Pass::Section::body);
  }

  /// ((g0 + g1) + g2) + ..., as the ranks add; the last sum has room for parts.
  const Whole& sum_of(std::int32_t row, OpId place) {
    Whole& sum = sums_[static_cast<std::size_t>(row)];
    if (sum.owner.valid()) return sum;
    const BufferId gradient = from_.weights[static_cast<std::size_t>(row)].gradient;
    const std::vector<BufferId>& shares = of_share_[static_cast<std::size_t>(row)];
    if (shares.size() == 1) return sum = {.owner = shares[0], .value = shares[0], .padding = {}};
    BufferId so_far = shares[0];
    for (std::size_t share = 1; share < shares.size(); ++share) {
      const std::string name = fmt::format(".sum{}", share);
      const bool last = share + 1 == shares.size();
      if (last) sum = p_.whole(gradient, name, p_.axis());
      const BufferId next = last ? sum.value : p_.like(gradient, name);
      p_.add(OpKind::add, source_[gradient].name + name,
             {{"a", so_far}, {"b", shares[share]}, {"y", next}}, place, Pass::Section::body);
      so_far = next;
    }
    p_.clear_padding(sum, place, Pass::Section::body);
    return sum;
  }

  void optimizer(OpId id) {
    const Op& op = source_[id];
    if (op.kind == OpKind::sum_of_squares) return norm_by_parts(id);
    if (op.kind == OpKind::clip_factor) add_norms(id);
    std::vector<BufferId> buffers;
    for (const Operand& operand : op.operands) {
      const std::int32_t row = from_.gradient_of[operand.buffer.index()];
      buffers.push_back(row >= 0 ? sum_of(row, id).value : current(operand.buffer));
    }
    p_.run(id, buffers, Pass::Section::body);
  }

  /// The sum over all norms once they are added.
  [[nodiscard]] BufferId current(BufferId of_source) {
    return of_source == norm_source_ && norm_.valid() ? norm_ : p_.kept(of_source);
  }

  void norm_by_parts(OpId id) {
    const Op& op = source_[id];
    const BufferId gradient = op.operands[0].buffer;
    const Whole& sum = sum_of(from_.gradient_of[gradient.index()], id);
    norm_source_ = op.operands[1].buffer;
    for (std::int32_t share = 0; share < p_.ranks(); ++share) {
      if (static_cast<std::size_t>(share) == norms_.size()) {
        norms_.push_back(p_.like(norm_source_, suffix(share)));
      }
      const BufferId part = p_.part(gradient, sum, fmt::format(".shard{}", share),
                                    {.index = share, .count = p_.ranks()});
      const BufferId norm = norms_[static_cast<std::size_t>(share)];
      if (share == 0) {
        p_.run(id, {part, norm}, Pass::Section::body, 1.0 / p_.ranks());
      } else {
        p_.add(OpKind::sum_of_squares, op.name + suffix(share), {{"x", part}, {"sum", norm}}, id,
               Pass::Section::body);
      }
    }
  }

  void add_norms(OpId place) {
    norm_ = norms_[0];
    for (std::size_t share = 1; share < norms_.size(); ++share) {
      const std::string name = fmt::format(".sum{}", share);
      const BufferId next = p_.like(norm_source_, name);
      p_.add(OpKind::add, source_[norm_source_].name + name,
             {{"a", norm_}, {"b", norms_[share]}, {"y", next}}, place, Pass::Section::body);
      norm_ = next;
    }
  }

  const Trace& source_;
  const ShardSource& from_;
  RankProgram& p_;
  std::vector<std::vector<BufferId>> of_share_;  // gradients, by row of from_.weights and share
  std::vector<Whole> sums_;                      // by row of from_.weights
  BufferId norm_source_;                         // row of the source
  std::vector<BufferId> norms_;                  // by share
  BufferId norm_;
};

}  // namespace

Trace shard_alone(const Trace& source, const ShardSource& from, std::int32_t ranks) {
  RankProgram program = RankProgram::alone(source, ranks);
  AloneWriter(source, from, program).write();
  return program.finish(fmt::format(", gradients of {} shares apart", ranks));
}

}  // namespace tidemark
