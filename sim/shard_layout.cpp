#include "sim/shard_layout.h"

#include <fmt/format.h>

#include <utility>

#include "sim/collective_stream.h"
#include "sim/pipeline_ranks.h"
#include "sim/rank_program.h"
#include "sim/shard_context.h"
#include "sim/shard_experts.h"
#include "sim/shard_share.h"
#include "sim/shard_source.h"
#include "sim/shard_states.h"
#include "sim/shard_tensor.h"
#include "sim/strategy_text.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_most_ranks = 1024;

const RankLayout& checked(const RankLayout& layout) {
  const Layout& l = layout.sizes;
  std::vector<std::string> lines;
  const auto require = [&](bool holds, const std::string& line) {
    if (!holds) lines.push_back("--layout " + line);
  };
  bool sane = true;
  for (const auto& [name, size] : {std::pair{"tp", l.tensor},
                                   {"pp", l.pipeline},
                                   {"vp", l.virtual_stages},
                                   {"dp", l.data},
                                   {"cp", l.context},
                                   {"ep", l.expert},
                                   {"etp", l.expert_tensor}}) {
    const bool fits = size >= 1 && size <= k_most_ranks;
    require(fits, fmt::format("{}: expected 1 to {}, found {}", name, k_most_ranks, size));
    sane = sane && fits;
  }
  if (sane) {
    const std::int64_t same = l.data * l.context;
    require(l.ranks() <= k_most_ranks,
            fmt::format("expected at most {} ranks, found {}", k_most_ranks, l.ranks()));
    require(l.shard >= 0 && (l.shard == 0 || same % l.shard == 0),
            fmt::format("shard: expected a divisor of the {} ranks with the same weights, found {}",
                        same, l.shard));
    require(l.shard == 0 || layout.states >= ShardStage::zero1,
            "shard: expected states that are shared (--shard zero1, zero2 or zero3), found data");
    require(same % l.expert == 0,
            fmt::format("ep: expected a divisor of the {} ranks with the same weights, found {}",
                        same, l.expert));
    require(l.shard % l.expert == 0,
            fmt::format("shard: expected a multiple of ep = {}, found {}", l.expert, l.shard));
    require(l.expert_tensor == 1 || l.expert_tensor == l.tensor,
            fmt::format("etp: expected tp = {}: experts are split as the layers are, found {}",
                        l.tensor, l.expert_tensor));
  }
  require(!l.sequence_parallel || l.tensor > 1, "sp: expected tp of 2 or more beside it");
  if (!lines.empty()) throw InputError(fmt::format("{}", fmt::join(lines, "\n")));
  return layout;
}

/// A rank's place in the mesh, but for the pipeline.
struct Place {
  std::int32_t data = 0;
  std::int32_t context = 0;
  std::int32_t tensor = 0;
};

class Mesh {
 public:
  Mesh(const Trace& source, const RankLayout& layout)
      : source_(source),
        layout_(checked(layout)),
        from_(shard_source_of(source)),
        data_(size(layout.sizes.data)),
        context_(size(layout.sizes.context)),
        tensor_(size(layout.sizes.tensor)),
        expert_(size(layout.sizes.expert)),
        pipeline_(size(layout.sizes.pipeline)) {}

  /// The ranks at this place, one per stage of the pipeline.
  [[nodiscard]] std::vector<Trace> ranks_at(const Place& at) const {
    const RankAxis data{
        .name = "data_parallel", .index = at.data, .count = data_, .stride = tensor_ * context_};
    const RankAxis context{
        .name = "context_parallel", .index = at.context, .count = context_, .stride = tensor_};
    const RankAxis same{.name = "data_parallel",
                        .index = at.context + context_ * at.data,
                        .count = context_ * data_,
                        .stride = tensor_,
                        .placed = true};
    Trace rank = source_;
    bool fresh = true;
    const auto replace = [&](Trace next) {
      if (!std::exchange(fresh, false)) lead_to_source(rank, next);
      rank = std::move(next);
    };
    if (data_ > 1 || layout_.sizes.ranks() == 1) replace(shard_share(source_, from_, data));
    if (context_ > 1) replace(shard_context(rank, rank_source_of(rank), context));
    if (tensor_ > 1) {
      replace(shard_tensor(rank, rank_source_of(rank), at.tensor, tensor_,
                           layout_.sizes.sequence_parallel));
    }
    if (expert_ > 1) {
      RankAxis experts = same;
      experts.name = "expert_parallel";
      experts.index %= expert_;
      experts.count = expert_;
      replace(shard_experts(rank, rank_source_of(rank), experts));
    }
    std::vector<Trace> out;
    if (pipeline_ > 1) {
      out = stages_of(rank);
      if (!fresh) {
        for (Trace& stage : out) lead_to_source(rank, stage);
      }
    } else {
      out.push_back(std::move(rank));
    }
    if (data_ * context_ == 1) return out;
    for (Trace& stage : out) {
      const StatesSplit split{.stage = layout_.states,
                              .axis = same,
                              .shard = size(layout_.sizes.shard),
                              .experts = expert_};
      Trace next = shard_states(stage, rank_source_of(stage), split);
      lead_to_source(stage, next);
      stage = exchanging(std::move(next));
    }
    return out;
  }

  [[nodiscard]] std::vector<Trace> all() const {
    std::vector<Trace> out(static_cast<std::size_t>(layout_.sizes.ranks()));
    for (Place at; at.data < data_; ++at.data) {
      for (at.context = 0; at.context < context_; ++at.context) {
        for (at.tensor = 0; at.tensor < tensor_; ++at.tensor) {
          for (Trace& rank : ranks_at(at)) {
            const auto number = static_cast<std::size_t>(rank.meta.rank);
            out[number] = std::move(rank);
          }
        }
      }
    }
    return out;
  }

 private:
  static std::int32_t size(std::int64_t count) { return static_cast<std::int32_t>(count); }

  [[nodiscard]] std::vector<Trace> stages_of(const Trace& rank) const {
    return shard_pipeline(rank, rank_source_of(rank),
                          {.ranks = pipeline_,
                           .schedule = layout_.schedule,
                           .virtual_stages = layout_.sizes.virtual_stages,
                           .stage_layers = layout_.stage_layers},
                          tensor_ * context_ * data_);
  }

  [[nodiscard]] Trace exchanging(Trace rank) const {
    const StateExchange& exchange = layout_.exchange;
    if (exchange.buckets != Buckets{}) rank = put_in_buckets(rank, exchange.buckets);
    if (exchange.prefetch) rank = overlap_collectives(rank, *exchange.prefetch);
    return rank;
  }

  /// Rows of `next` come from `middle`: says from which of the source those came.
  static void lead_to_source(const Trace& middle, Trace& next) {
    for (Buffer& buffer : next.buffers) buffer.origin = middle[buffer.origin].origin;
    for (Op& op : next.ops) {
      if (op.origin.valid()) op.origin = middle[op.origin].origin;
    }
    next.meta.source = middle.meta.source;
  }

  const Trace& source_;
  const RankLayout& layout_;
  ShardSource from_;
  std::int32_t data_;
  std::int32_t context_;
  std::int32_t tensor_;
  std::int32_t expert_;
  std::int32_t pipeline_;
};

}  // namespace

std::string to_text(const RankLayout& layout) {
  std::string out = layout_text(layout.sizes);
  if (out.empty()) return "one rank";
  if (layout.sizes.data * layout.sizes.context > 1)
    out += fmt::format(" {}", to_string(layout.states));
  if (layout.sizes.pipeline > 1) out += fmt::format(" {}", to_string(layout.schedule));
  return out;
}

std::vector<Trace> shard_layout(const Trace& source, const RankLayout& layout) {
  return Mesh(source, layout).all();
}

std::vector<Trace> shard_layout_first(const Trace& source, const RankLayout& layout) {
  return Mesh(source, layout)
      .ranks_at({.context = static_cast<std::int32_t>(layout.sizes.context) - 1});
}

}  // namespace tidemark
