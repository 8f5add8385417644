#include "sim/shard_share.h"

#include <fmt/format.h>

#include "traces/error.h"

namespace tidemark {

void require_shares(const ShardSource& from, std::int32_t ranks) {
  if (ranks >= 1 && from.micro_batches % ranks == 0) return;
  throw InputError(InputError::Parts{
      .place = "--ranks (dp of --layout)",
      .expected = fmt::format("a divisor of the {} micro-batch{} of a step (profile --accumulate)",
                              from.micro_batches, from.micro_batches == 1 ? "" : "es"),
      .found = std::to_string(ranks)});
}

Trace shard_share(const Trace& source, const ShardSource& from, const RankAxis& axis) {
  require_shares(from, axis.count);
  const auto each = static_cast<std::int32_t>(from.micro_batches / axis.count);
  RankProgram p(source, axis);
  const auto run = [&](OpId id, Pass::Section section) {
    std::vector<BufferId> buffers;
    for (const Operand& operand : source[id].operands) buffers.push_back(p.kept(operand.buffer));
    p.run(id, buffers, section);
  };
  const auto run_share = [&](const std::vector<OpId>& ops, Pass::Section section) {
    std::vector<OpId> first;  // ops of the first share
    std::size_t next = 0;
    for (const OpId id : ops) {
      const Op& op = source[id];
      if (op.phase == Phase::optimizer) {
        run(id, section);
        continue;
      }
      if (op.micro_batch < each) first.push_back(id);
      if (op.micro_batch / each != axis.index) continue;
      run(id, section);
      p.last().micro_batch %= each;
      const Op& like = source[first[next++]];
      p.last().duration_ns = like.duration_ns;
      p.last().time_source = like.time_source;
    }
  };
  for (const BufferId id : from.persistent) p.persist(p.kept(id));
  for (const OpId id : from.init) run(id, Pass::Section::init);
  run_share(from.body, Pass::Section::body);
  run_share(from.eval, Pass::Section::eval);
  return p.finish("");
}

}  // namespace tidemark
