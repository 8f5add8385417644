#include "sim/shard.h"

#include <map>

#include "sim/shard_alone.h"
#include "sim/shard_layout.h"
#include "sim/shard_share.h"
#include "sim/shard_source.h"

namespace tidemark {

std::vector<Trace> shard(const Trace& source, ShardStage stage, std::int32_t ranks) {
  if (stage == ShardStage::none) {
    const ShardSource from = shard_source_of(source);
    require_shares(from, ranks);
    return {shard_alone(source, from, ranks)};
  }
  RankLayout layout{.states = stage};
  (stage == ShardStage::tensor ? layout.sizes.tensor : layout.sizes.data) = ranks;
  return shard_layout(source, layout);
}

void number_collectives(Trace& trace) {
  for (const auto* section : sections_of(trace.program)) {
    std::map<std::int64_t, std::int64_t> next;  // by group
    for (const Instruction& line : *section) {
      if (line.kind != InstructionKind::run) continue;
      for (Attribute& attribute : trace.ops[line.op().index()].attributes) {
        if (attribute.name != "sequence") continue;
        attribute.integer = next[integer_at(trace[line.op()], "group", 0)]++;
      }
    }
  }
}

}  // namespace tidemark
