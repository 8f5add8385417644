#include "sim/pipeline_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "sim/pipeline_replay.h"
#include "sim/pipeline_stages.h"
#include "sim/rank_program.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_most_pipeline_ranks = 1024;
constexpr double k_neutral = -0.0;  // x + -0 has the bits of x, also for x = 0

[[noreturn]] void refuse(const std::string& place, const std::string& expected,
                         const std::string& found) {
  throw InputError(InputError::Parts{.place = place, .expected = expected, .found = found});
}

Strategy strategy_of(const PipelineSplit& split, const ShardSource& from) {
  Strategy s;
  s.layout.pipeline = split.ranks;
  s.layout.virtual_stages = split.virtual_stages;
  s.schedule = split.schedule;
  s.stage_layers = split.stage_layers;
  s.batch.micro_batches = from.micro_batches;
  const bool interleaved = split.schedule == PipelineSchedule::interleaved;
  if (interleaved != (split.virtual_stages > 1)) {
    refuse("--chunks", interleaved ? "2 or more with interleaved" : "1 unless interleaved",
           std::to_string(split.virtual_stages));
  }
  if (interleaved && from.micro_batches % split.ranks != 0) {
    refuse("--ranks",
           fmt::format("a divisor of the {} micro-batches of a step, as interleaved needs",
                       from.micro_batches),
           std::to_string(split.ranks));
  }
  return s;
}

class PipelineWriter {
 public:
  PipelineWriter(const Trace& source, const ShardSource& from, const Strategy& strategy,
                 std::int32_t stride)
      : source_(source),
        from_(from),
        strategy_(strategy),
        ranks_(static_cast<std::int32_t>(strategy.layout.pipeline)),
        stages_(source, from, strategy),
        holders_(source.buffers.size()),
        readers_(source.buffers.size()),
        owners_(from.weights.size()) {
    for (std::int32_t rank = 0; rank < ranks_; ++rank) {
      programs_.emplace_back(
          source, RankAxis{.name = "pipeline", .index = rank, .count = ranks_, .stride = stride});
    }
    for (const auto* section : {&from.body, &from.eval}) {
      for (const OpId id : *section) note(id);
    }
  }

  std::vector<Trace> write() {
    persist();
    for (std::size_t i = 0; i < from_.init.size(); ++i) {
      for (const std::int32_t rank : owners(from_.init_of[i])) {
        on(rank).run(from_.init[i], kept(rank, from_.init[i]), Pass::Section::init);
      }
    }
    body();
    sum_shared_gradients();
    for (const OpId id : from_.body) {
      if (source_[id].phase == Phase::optimizer) optimizer(id);
    }
    section_ = Pass::Section::eval;
    holders_.assign(source_.buffers.size(), {});
    for (const OpId id : from_.eval) {
      if (source_[id].kind != OpKind::load_batch) run(id);
    }
    std::vector<Trace> out;
    for (RankProgram& p : programs_) {
      out.push_back(p.finish(
          fmt::format(", {} on {} pipeline ranks", to_string(strategy_.schedule), ranks_)));
    }
    return out;
  }

 private:
  [[nodiscard]] std::int32_t rank_of(OpId op) const {
    return static_cast<std::int32_t>(stages_.stage_of(op) % ranks_);
  }
  RankProgram& on(std::int32_t rank) { return programs_[static_cast<std::size_t>(rank)]; }
  std::set<std::int32_t>& owners(std::int32_t weight) {
    return owners_[static_cast<std::size_t>(weight)];
  }
  /// Row of the weight that the buffer is, or is the gradient or a state of; -1 = none.
  [[nodiscard]] std::int32_t weight_of(BufferId id) const {
    return std::max(
        {from_.weight_of[id.index()], from_.gradient_of[id.index()], from_.state_of[id.index()]});
  }

  /// Whose weights the op uses, who reads what, and what loads a batch.
  void note(OpId id) {
    const Op& op = source_[id];
    if (op.kind == OpKind::load_batch) {
      for (const Operand& operand : op.operands) loaded_by_[operand.buffer.value] = id;
    } else if (op.phase != Phase::optimizer) {
      for (const Operand& operand : op.operands) {
        if (const std::int32_t row = weight_of(operand.buffer); row >= 0) {
          owners(row).insert(rank_of(id));
        } else if (operand.reads >= 0) {
          readers_[operand.buffer.index()].try_emplace(rank_of(id), id);
        }
      }
    }
  }

  void persist() {
    for (const BufferId id : from_.persistent) {
      for (const std::int32_t rank : owners(weight_of(id))) on(rank).persist(on(rank).kept(id));
    }
  }

  std::vector<BufferId> kept(std::int32_t rank, OpId id) {
    std::vector<BufferId> out;
    for (const Operand& operand : source_[id].operands)
      out.push_back(on(rank).kept(operand.buffer));
    return out;
  }

  [[nodiscard]] double duration(const std::vector<OpId>& ops) const {
    double sum = 0;
    for (const OpId id : ops)
      sum += static_cast<double>(std::max<std::int64_t>(1, source_[id].duration_ns));
    return sum;
  }

  const std::vector<OpId>& ops_of(std::int64_t rank, const PipelineEvent& e) const {
    const StagePasses& p = stages_.passes(e.chunk * ranks_ + rank, e.micro_batch);
    return e.pass == PipelinePass::forward    ? p.forward
           : e.pass == PipelinePass::backward ? p.backward
                                              : p.weights;
  }

  /// All events of all ranks in the order of their begin, and in it, at their end, the messages
  /// with what they made: so ranks that meet do so in one order, and none waits in a circle.
  void body() {
    std::vector<StageTime> times;
    for (std::int64_t stage = 0; stage < stages_.count(); ++stage) {
      const StagePasses& p = stages_.passes(stage, 0);
      times.push_back({duration(p.forward), duration(p.backward), duration(p.weights)});
    }
    const PipelineTime replayed = replay_pipeline(strategy_, times);
    struct Item {
      double ns = 0;
      bool begins = false;  // else messages, which go first at the same time
      const std::vector<OpId>* ops = nullptr;
    };
    std::vector<Item> items;
    for (std::int32_t rank = 0; rank < ranks_; ++rank) {
      const std::vector<double>& begin_ns = replayed.begin_ns[static_cast<std::size_t>(rank)];
      std::size_t i = 0;
      for (const PipelineEvent& e : schedule_events(strategy_, rank)) {
        const std::vector<OpId>& ops = ops_of(rank, e);
        items.push_back({begin_ns[i], true, &ops});
        items.push_back({begin_ns[i++] + duration(ops), false, &ops});
      }
    }
    std::ranges::stable_sort(items, [](const Item& x, const Item& y) {
      return std::pair(x.ns, x.begins) < std::pair(y.ns, y.begins);
    });
    for (const Item& item : items) {
      for (const OpId id : *item.ops) item.begins ? run(id) : send(id);
    }
  }

  /// What the op made goes to all who will read it.
  void send(OpId id) {
    for (const Operand& operand : source_[id].operands) {
      if (operand.writes < 0 || weight_of(operand.buffer) >= 0) continue;
      for (const auto& [rank, place] : readers_[operand.buffer.index()]) {
        fetch(operand.buffer, rank, place);
      }
    }
  }

  void run(OpId id) {
    const std::int32_t rank = rank_of(id);
    const Op& op = source_[id];
    for (const Operand& operand : op.operands) {
      if (operand.reads >= 0 && weight_of(operand.buffer) < 0) fetch(operand.buffer, rank, id);
    }
    on(rank).run(id, kept(rank, id), section_);
    for (const Operand& operand : op.operands) {
      if (operand.writes >= 0) holders_[operand.buffer.index()] = {rank};
    }
  }

  /// What `rank` reads in op `place` and does not have yet.
  void fetch(BufferId id, std::int32_t rank, OpId place) {
    if (source_[id].storage.valid()) return fetch(source_[id].storage, rank, place);
    std::set<std::int32_t>& holders = holders_[id.index()];
    if (holders.contains(rank)) return;
    if (const auto load = loaded_by_.find(id.value); load != loaded_by_.end()) {
      on(rank).run(load->second, kept(rank, load->second), section_);
      for (const Operand& operand : source_[load->second].operands) {
        holders_[operand.buffer.index()].insert(rank);
      }
      return;
    }
    const Buffer& value = source_[id];
    if (holders.empty() || (value.dtype != DType::f32 && value.dtype != DType::f64)) {
      refuse("buffer '" + value.name + "'", "a value of f32 or f64 between stages",
             std::string(to_string(value.dtype)));
    }
    const std::int32_t from = *holders.begin();
    const std::vector<std::int32_t> pair{std::min(from, rank), std::max(from, rank)};
    const auto meet = [&](std::int32_t one, const char* word, std::int32_t other) {
      on(one).meet_some("messages", pair, OpKind::all_reduce,
                        fmt::format("{}.{}_rank{}", value.name, word, other),
                        {{"x", on(one).kept(id)}}, place, section_);
    };
    on(rank).add(OpKind::fill, value.name + ".await", {{"y", on(rank).kept(id)}}, place, section_,
                 {real("value", k_neutral)});
    meet(from, "to", rank);
    meet(rank, "from", from);
    holders.insert(rank);
  }

  void sum_shared_gradients() {
    for (std::size_t row = 0; row < from_.weights.size(); ++row) {
      if (owners_[row].size() < 2) continue;
      const BufferId gradient = from_.weights[row].gradient;
      const auto update = std::ranges::find_if(from_.body, [&](OpId id) {
        return is_update(source_[id].kind) && source_[id].operands[1].buffer == gradient;
      });
      const std::vector<std::int32_t> ranks(owners_[row].begin(), owners_[row].end());
      for (const std::int32_t rank : ranks) {
        on(rank).meet_some("shared weights", ranks, OpKind::all_reduce,
                           source_[gradient].name + ".all_reduce", {{"x", on(rank).kept(gradient)}},
                           *update, Pass::Section::body);
      }
    }
  }

  /// A norm over all gradients is summed over ranks, each weight by its first rank.
  /// What is done with a weight is done where it is; its norm, of which there is one, on one of
  /// its ranks. What is left is for norms: every rank does it.
  void optimizer(OpId id) {
    const Op& op = source_[id];
    const BufferId first = op.operands[0].buffer;
    if (const std::int32_t row = weight_of(first); row >= 0) {
      const bool once = op.kind == OpKind::sum_of_squares;
      for (const std::int32_t rank : owners(row)) {
        if (once && rank != *owners(row).begin()) continue;
        on(rank).run(id, kept(rank, id), Pass::Section::body);
        if (once) has_norm_.emplace(rank, op.operands[1].buffer);
      }
      return;
    }
    for (std::int32_t rank = 0; rank < ranks_; ++rank) {
      for (const Operand& operand : op.operands) {
        const bool fresh = has_norm_.emplace(rank, operand.buffer).second;
        if (!fresh || operand.reads < 0) continue;  // else no weight here has a part in it
        on(rank).add(OpKind::fill, source_[operand.buffer].name + ".none",
                     {{"y", on(rank).kept(operand.buffer)}}, id, Pass::Section::body,
                     {real("value", 0)});
      }
      if (op.kind == OpKind::clip_factor) {
        on(rank).meet(OpKind::all_reduce, source_[first].name + ".all_reduce",
                      {{"x", on(rank).kept(first)}}, id, Pass::Section::body);
      }
      on(rank).run(id, kept(rank, id), Pass::Section::body);
    }
  }

  const Trace& source_;
  const ShardSource& from_;
  const Strategy& strategy_;
  std::int32_t ranks_;
  PipelineStages stages_;
  std::vector<RankProgram> programs_;
  std::vector<std::set<std::int32_t>> holders_;  // by buffer of the source: ranks with its value
  std::vector<std::map<std::int32_t, OpId>> readers_;     // by buffer: ranks, by their first op
  std::vector<std::set<std::int32_t>> owners_;            // by row of from_.weights
  std::map<std::int32_t, OpId> loaded_by_;                // by row of buffers
  std::set<std::pair<std::int32_t, BufferId>> has_norm_;  // rank and row of the source
  Pass::Section section_ = Pass::Section::body;
};

}  // namespace

std::vector<Trace> shard_pipeline(const Trace& source, const ShardSource& from,
                                  const PipelineSplit& split, std::int32_t stride) {
  if (split.ranks < 2 || split.ranks > k_most_pipeline_ranks) {
    refuse("--ranks", fmt::format("2 to {}", k_most_pipeline_ranks), std::to_string(split.ranks));
  }
  if (!from.statistics.empty()) {
    refuse("a pipeline", "a model without running statistics (batch norm)",
           "'" + source[from.statistics[0]].name + "'");
  }
  const Strategy strategy = strategy_of(split, from);
  return PipelineWriter(source, from, strategy, stride).write();
}

}  // namespace tidemark
