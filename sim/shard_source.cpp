#include "sim/shard_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/op_table.h"
#include "traces/error.h"

namespace tidemark {
namespace {

[[noreturn]] void refuse(const std::string& place, const std::string& expected,
                         const std::string& found) {
  throw InputError(InputError::Parts{.place = place, .expected = expected, .found = found});
}

void require_plain(const Trace& source) {
  const char* const wanted = "a program to shard (level 2)";
  if (source.meta.level < 2 || source.program.body.empty()) {
    refuse("shard", wanted, fmt::format("level {}", source.meta.level));
  }
  if (source.meta.rank_count > 1) {
    refuse("shard", "the trace of one rank", fmt::format("one of {}", source.meta.rank_count));
  }
  if (!source.decisions.empty() || source.streams.size() > 1) {
    refuse("shard", "a program without decisions: shard first, then plan the ranks",
           fmt::format("{} decisions", source.decisions.size()));
  }
  const auto view =
      std::ranges::find_if(source.buffers, [](const Buffer& b) { return b.storage.valid(); });
  if (view != source.buffers.end()) {
    refuse("buffer '" + view->name + "'", "a program without views", "a view");
  }
}

std::vector<OpId> ops_of(const std::vector<Instruction>& section) {
  std::vector<OpId> out;
  for (const Instruction& line : section) {
    if (line.kind == InstructionKind::run) out.push_back(line.op());
  }
  return out;
}

std::vector<BufferId> persistent_of(const Trace& source) {
  std::vector<BufferId> out;
  for (const Instruction& line : source.program.init) {
    if (line.kind == InstructionKind::alloc) out.push_back(line.buffer());
    if (line.kind == InstructionKind::free) std::erase(out, line.buffer());
  }
  return out;
}

/// Backward through init: what is made for a weight, or for what is made for it.
void find_made(const Trace& source, ShardSource& out) {
  std::vector<std::int32_t> leads_to(source.buffers.size(), -1);  // by owning buffer
  out.init_of.assign(out.init.size(), -1);
  for (std::size_t i = out.init.size(); i-- > 0;) {
    const Op& op = source[out.init[i]];
    std::int32_t& row = out.init_of[i];
    for (const Operand& operand : op.operands) {
      const std::size_t owner = storage_of(source, operand.buffer).index();
      row = std::max({row, out.weight_of[owner], out.state_of[owner], leads_to[owner]});
    }
    const bool of_statistic =
        std::ranges::find(out.statistics, op.operands[0].buffer) != out.statistics.end();
    if (row < 0 && of_statistic) continue;
    if (row < 0) refuse("op '" + op.name + "'", "an op that makes a weight or a state", "another");
    for (const Operand& operand : op.operands) {
      leads_to[storage_of(source, operand.buffer).index()] = row;
    }
  }
}

void find_weights(const Trace& source, ShardSource& out) {
  for (auto* rows : {&out.weight_of, &out.gradient_of, &out.state_of}) {
    rows->assign(source.buffers.size(), -1);
  }
  for (const OpId id : out.body) {
    const Op& op = source[id];
    if (!is_update(op.kind)) continue;
    const auto row = static_cast<std::int32_t>(out.weights.size());
    TrainedWeight w{.weight = op.operands[0].buffer,
                    .gradient = op.operands[1].buffer,
                    .states = {},
                    .elements = element_count(source[op.operands[0].buffer])};
    if (out.weight_of[w.weight.index()] >= 0) {
      refuse("op '" + op.name + "'", "one update per weight", "a second one");
    }
    out.weight_of[w.weight.index()] = row;
    out.gradient_of[w.gradient.index()] = row;
    for (std::size_t i = 2; i < op.operands.size(); ++i) {
      w.states.push_back(op.operands[i].buffer);
      out.state_of[op.operands[i].buffer.index()] = row;
    }
    out.weights.push_back(std::move(w));
  }
  if (out.weights.empty()) refuse("shard", "a training run", "a body without updates of weights");
}

/// True when training does nothing with the buffer but to average over batches.
bool is_statistic(const Trace& source, const ShardSource& out, BufferId id) {
  return std::ranges::all_of(out.body, [&](OpId op) {
    const auto uses = [id](const Operand& operand) { return operand.buffer == id; };
    return source[op].kind == OpKind::batch_norm_update ||
           std::ranges::none_of(source[op].operands, uses);
  });
}

/// Micro-batches must not depend on each other but through gradients.
void find_statistics(const Trace& source, ShardSource& out) {
  for (const BufferId id : out.persistent) {
    if (out.weight_of[id.index()] >= 0 || out.state_of[id.index()] >= 0) continue;
    if (is_statistic(source, out, id)) {
      out.statistics.push_back(id);
      continue;
    }
    refuse(
        "buffer '" + source[id].name + "'",
        "micro-batches that share nothing but weights, gradients, optimizer state and statistics",
        "state that lives from one to the next");
  }
}

void require_known_optimizer(const Trace& source, const ShardSource& out, bool is_rank) {
  for (const OpId id : out.body) {
    const Op& op = source[id];
    const bool plain = is_update(op.kind) || op.kind == OpKind::sum_of_squares ||
                       op.kind == OpKind::clip_factor || op.kind == OpKind::scale_by;
    const bool sums = is_meeting(op) || op.kind == OpKind::add || op.kind == OpKind::fill;
    const bool known = plain || (is_rank && sums);
    if (op.phase == Phase::optimizer && !known) {
      refuse("op '" + op.name + "'", "an update or clipping in the optimizer",
             std::string(to_string(op.kind)));
    }
  }
  for (const OpId id : out.init) {
    for (const Operand& operand : source[id].operands) {
      const bool fills = source[id].kind == OpKind::fill;
      if (out.state_of[operand.buffer.index()] < 0 || fills) continue;
      refuse("op '" + source[id].name + "'", "optimizer state that begins with one value",
             std::string(to_string(source[id].kind)));
    }
  }
  if (!ops_of(source.program.final).empty()) {
    refuse("program.final", "no ops", fmt::format("{}", ops_of(source.program.final).size()));
  }
}

ShardSource source_of(const Trace& source, bool is_rank) {
  ShardSource out;
  out.init = ops_of(source.program.init);
  out.body = ops_of(source.program.body);
  out.eval = ops_of(source.program.eval);
  out.persistent = persistent_of(source);
  find_weights(source, out);
  find_statistics(source, out);
  require_known_optimizer(source, out, is_rank);
  find_made(source, out);
  for (const OpId id : out.body) {
    out.micro_batches = std::max<std::int64_t>(out.micro_batches, source[id].micro_batch + 1);
  }
  return out;
}

}  // namespace

bool is_update(OpKind kind) {
  return kind == OpKind::sgd_update || kind == OpKind::momentum_update ||
         kind == OpKind::adam_update || kind == OpKind::adamw_update;
}

bool is_meeting(const Op& op) {
  return find_attribute(op, "group") != nullptr;
}

ShardSource shard_source_of(const Trace& source) {
  require_plain(source);
  return source_of(source, false);
}

ShardSource rank_source_of(const Trace& rank) {
  return source_of(rank, true);
}

}  // namespace tidemark
