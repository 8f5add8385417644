#include "sim/collective_buckets.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ranges>
#include <set>
#include <tuple>
#include <utility>

#include "sim/lifetimes.h"
#include "sim/op_table.h"
#include "sim/program_builder.h"
#include "sim/shard.h"

namespace tidemark {
namespace {

/// Collectives of one kind, and where they stand in a step.
struct Family {
  OpKind kind = OpKind::all_gather;
  std::int64_t group = 0;
  bool in_optimizer = false;
  friend auto operator<=>(const Family&, const Family&) = default;
};

class Bucketing {
 public:
  Bucketing(const Trace& rank, const Buckets& buckets)
      : out_(rank), order_(order_of(rank)), buckets_(buckets), before_(used_rows()) {}

  Trace finish() {
    for (std::vector<OpId>* section : {&order_.body, &order_.eval}) {
      if (!buckets_.reshard_after_forward) keep_gathered(*section);
      sum_early(*section);
      if (!buckets_.by_block && buckets_.bytes == 0) continue;
      for (const Family& family : families_of(*section)) put_together(*section, family);
    }
    drop_unused_rows();
    assign_versions(out_, order_);
    out_.program = with_lifetimes(out_, order_);
    number_collectives(out_);
    return std::move(out_);
  }

 private:
  [[nodiscard]] BufferId owner(BufferId id) const { return storage_of(out_, id); }
  [[nodiscard]] BufferId owner(OpId op, std::string_view role) const {
    return owner(find_operand(out_[op], role)->buffer);
  }

  [[nodiscard]] bool gathers_weight(const Op& op) const {
    return op.kind == OpKind::all_gather &&
           out_[op.operands[0].buffer].category == Category::weight;
  }
  [[nodiscard]] bool sums_gradient(const Op& op) const {
    return (op.kind == OpKind::all_reduce || op.kind == OpKind::reduce_scatter) &&
           out_[op.operands[0].buffer].category == Category::gradient;
  }
  [[nodiscard]] bool touches(const Op& op, BufferId storage) const {
    return std::ranges::any_of(op.operands,
                               [&](const Operand& o) { return owner(o.buffer) == storage; });
  }

  // ---- weights that stay

  /// What is gathered a second time in a micro-batch is what was gathered first.
  void keep_gathered(std::vector<OpId>& section) {
    std::map<std::pair<BufferId, std::int32_t>, BufferId> first;  // by part and micro-batch
    std::map<BufferId, BufferId> instead;
    std::vector<OpId> kept;
    for (const OpId id : section) {
      Op& op = out_.ops[id.index()];
      for (Operand& operand : op.operands) {
        const auto other = instead.find(operand.buffer);
        if (other != instead.end()) operand.buffer = other->second;
      }
      if (gathers_weight(op) && op.phase != Phase::optimizer) {
        const auto [known, fresh] =
            first.emplace(std::pair{owner(id, "x"), op.micro_batch}, owner(id, "y"));
        if (!fresh) {
          replace(owner(id, "y"), known->second, instead);
          continue;
        }
      }
      kept.push_back(id);
    }
    section = std::move(kept);
  }

  /// Two owners and their views, which are alike.
  void replace(BufferId from, BufferId to, std::map<BufferId, BufferId>& instead) const {
    instead[from] = to;
    for (std::size_t row = 0; row < out_.buffers.size(); ++row) {
      const Buffer& view = out_.buffers[row];
      if (view.storage != from) continue;
      for (std::size_t other = 0; other < out_.buffers.size(); ++other) {
        const Buffer& same = out_.buffers[other];
        if (same.storage == to && same.storage_offset_bytes == view.storage_offset_bytes &&
            same.shape == view.shape) {
          instead[BufferId{row}] = BufferId{other};
        }
      }
    }
  }

  // ---- gradients as early as they are complete

  /// A sum, and what clears the padding before it, move behind the last op that adds to the
  /// gradient.
  void sum_early(std::vector<OpId>& section) {
    std::vector<std::vector<OpId>> behind(section.size());
    std::vector<bool> moved(section.size(), false);
    for (std::size_t i = 0; i < section.size(); ++i) {
      if (!sums_gradient(out_[section[i]])) continue;
      const BufferId gradient = owner(section[i], "x");
      std::vector<std::size_t> together{i};
      std::size_t at = i;
      while (at-- > 0) {
        const Op& before = out_[section[at]];
        if (!touches(before, gradient)) continue;
        if (before.kind != OpKind::fill) break;
        together.push_back(at);
      }
      if (at > i || is_meeting(out_[section[at]])) continue;  // the sum of sums stays behind them
      for (const std::size_t one : std::views::reverse(together)) {
        moved[one] = true;
        behind[at].push_back(section[one]);
        out_.ops[section[one].index()].phase = out_[section[at]].phase;
        out_.ops[section[one].index()].micro_batch = out_[section[at]].micro_batch;
      }
    }
    std::vector<OpId> next;
    for (std::size_t i = 0; i < section.size(); ++i) {
      if (!moved[i]) next.push_back(section[i]);
      next.insert(next.end(), behind[i].begin(), behind[i].end());
    }
    section = std::move(next);
  }

  static bool is_meeting(const Op& op) { return find_attribute(op, "group") != nullptr; }

  // ---- buckets

  [[nodiscard]] Family family_of(const Op& op) const {
    return {op.kind, integer_at(op, "group", 0),
            gathers_weight(op) && op.phase == Phase::optimizer};
  }

  [[nodiscard]] std::vector<Family> families_of(const std::vector<OpId>& section) const {
    std::vector<Family> out;
    for (const OpId id : section) {
      if (!gathers_weight(out_[id]) && !sums_gradient(out_[id])) continue;
      const Family family = family_of(out_[id]);
      if (std::ranges::find(out, family) == out.end()) out.push_back(family);
    }
    return out;
  }

  [[nodiscard]] LayerId block_of(LayerId layer) const {
    while (layer.valid() && out_[layer].parent.valid()) layer = out_[layer].parent;
    return layer;
  }

  /// What may share a bucket, but for its size.
  [[nodiscard]] auto key_of(const Op& op) const {
    const Buffer& x = out_[op.operands[0].buffer];
    return std::tuple(x.dtype, op.phase, op.micro_batch,
                      buckets_.by_block ? block_of(x.layer) : LayerId{});
  }

  /// Positions of the collectives of each bucket.
  [[nodiscard]] std::vector<std::vector<std::size_t>> buckets_of(const std::vector<OpId>& section,
                                                                 const Family& family) const {
    std::vector<std::vector<std::size_t>> out;
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < section.size(); ++i) {
      const Op& op = out_[section[i]];
      if ((!gathers_weight(op) && !sums_gradient(op)) || family_of(op) != family) continue;
      const bool full = !buckets_.by_block && bytes >= buckets_.bytes;
      if (out.empty() || full || key_of(out_[section[out.back()[0]]]) != key_of(op)) {
        out.emplace_back();
        bytes = 0;
      }
      out.back().push_back(i);
      bytes += out_[op.operands.back().buffer].size_bytes;
    }
    std::erase_if(out, [](const auto& bucket) { return bucket.size() < 2; });
    return out;
  }

  void put_together(std::vector<OpId>& section, const Family& family) {
    const bool first = family.kind == OpKind::all_gather && !family.in_optimizer;
    std::map<std::size_t, std::vector<std::size_t>> at;  // by where its collective will stand
    std::set<std::size_t> members;
    for (const std::vector<std::size_t>& bucket : buckets_of(section, family)) {
      at[first ? bucket.front() : bucket.back()] = bucket;
      members.insert(bucket.begin(), bucket.end());
    }
    std::vector<OpId> next, later;  // later: what needs a sum that is to come
    std::set<BufferId> awaited;     // what a member behind us uses, and ops in later
    for (std::size_t i = 0; i < section.size(); ++i) {
      if (const auto bucket = at.find(i); bucket != at.end()) {
        std::vector<OpId> together;
        for (const std::size_t one : bucket->second) together.push_back(section[one]);
        add_bucket(together, next);
        next.insert(next.end(), later.begin(), later.end());
        later.clear();
        awaited.clear();
        continue;
      }
      const Op& op = out_[section[i]];
      const bool member = members.contains(i);
      const bool waits = std::ranges::any_of(
          op.operands, [&](const Operand& o) { return awaited.contains(owner(o.buffer)); });
      if (!first && (member || waits)) {
        for (const Operand& operand : op.operands) awaited.insert(owner(operand.buffer));
      }
      if (member) continue;
      (waits ? later : next).push_back(section[i]);
    }
    next.insert(next.end(), later.begin(), later.end());
    section = std::move(next);
  }

  /// One collective for several; ops go to the end of `next`.
  void add_bucket(const std::vector<OpId>& together, std::vector<OpId>& next) {
    const OpId first = together.front();
    const Op head = out_[first];
    const std::int64_t ranks =
        std::ssize(out_.groups[static_cast<std::size_t>(integer_at(head, "group", 0))].ranks);
    const std::string name =
        fmt::format("{}.bucket{}", out_[head.operands[0].buffer].name, bucket_count_++);
    const bool gathers = head.kind == OpKind::all_gather;
    const bool in_place = head.kind == OpKind::all_reduce;
    std::vector<std::int64_t> counts;  // elements of the smaller side of each
    for (const OpId id : together) {
      counts.push_back(element_count(out_[small_side(out_[id])]));
    }
    std::int64_t sum = 0;
    for (const std::int64_t count : counts) sum += count;
    const BufferId small = add_flat(head, name + (gathers ? ".in" : ".out"), sum);
    const BufferId large =
        in_place ? small : add_flat(head, name + (gathers ? ".out" : ".in"), ranks * sum);
    const BufferId in = gathers ? small : large;
    const BufferId out = gathers ? large : small;
    copy_all(together, counts, in, gathers || in_place ? 1 : ranks, true, next);
    Op op = head;
    op.name = name + "." + std::string(to_string(head.kind));
    op.operands = {{"x", in, -1, -1}};
    if (!in_place) op.operands.push_back({"y", out, -1, -1});
    op.duration_ns = -1;
    op.time_source = TimeSource::none;
    next.push_back(add_op(std::move(op)));
    copy_all(together, counts, out, gathers ? ranks : 1, false, next);
  }

  [[nodiscard]] static BufferId small_side(const Op& op) {
    return op.operands[op.kind == OpKind::reduce_scatter ? 1 : 0].buffer;
  }

  /// Between a flat buffer, which has the parts of one rank behind each other, and the operands.
  void copy_all(const std::vector<OpId>& together, const std::vector<std::int64_t>& counts,
                BufferId flat, std::int64_t ranks, bool to_flat, std::vector<OpId>& next) {
    const std::int64_t sum = element_count(out_[flat]) / ranks;
    std::int64_t first = 0;
    for (std::size_t i = 0; i < together.size(); ++i) {
      const Op member = out_[together[i]];
      const BufferId whole = (to_flat ? member.operands.front() : member.operands.back()).buffer;
      for (std::int64_t rank = 0; rank < ranks; ++rank) {
        const BufferId there = add_view(flat, rank * sum + first, counts[i]);
        const BufferId here = ranks == 1 ? whole : add_view(whole, rank * counts[i], counts[i]);
        Op copy;
        copy.name = fmt::format("{}.{}", member.name, to_flat ? "copy_in" : "copy_out");
        copy.kind = OpKind::copy;
        copy.layer = member.layer;
        copy.phase = member.phase;
        copy.micro_batch = member.micro_batch;
        copy.operands = {{"src", to_flat ? here : there, -1, -1},
                         {"dst", to_flat ? there : here, -1, -1}};
        next.push_back(add_op(std::move(copy)));
      }
      first += counts[i];
    }
  }

  OpId add_op(Op op) {
    out_.ops.push_back(std::move(op));
    return OpId{out_.ops.size() - 1};
  }

  BufferId add_row(Buffer buffer) {
    out_.buffers.push_back(std::move(buffer));
    return BufferId{out_.buffers.size() - 1};
  }

  BufferId add_flat(const Op& near, const std::string& name, std::int64_t elements) {
    const Buffer& like = out_[near.operands[0].buffer];
    Buffer flat;
    flat.name = name;
    flat.layer = like.layer;
    flat.category = Category::communication;
    flat.space = like.space;
    flat.dtype = like.dtype;
    flat.shape = {elements};
    flat.size_bytes = elements * size_bytes(like.dtype);
    flat.origin = like.origin;
    return add_row(std::move(flat));
  }

  BufferId add_view(BufferId of, std::int64_t first, std::int64_t elements) {
    Buffer view = out_[of];
    view.name += fmt::format("[{}..{}]", first, first + elements);
    view.category = Category::communication;  // it is there for a moment, to be copied
    view.shape = {elements};
    view.size_bytes = elements * size_bytes(view.dtype);
    view.storage_offset_bytes += first * size_bytes(view.dtype);
    view.storage = owner(of);
    view.shard = {};
    return add_row(std::move(view));
  }

  // ---- rows

  struct Used {
    std::vector<bool> ops;
    std::vector<bool> buffers;
  };

  [[nodiscard]] Used used_rows() const {
    Used out{std::vector<bool>(out_.ops.size(), false),
             std::vector<bool>(out_.buffers.size(), false)};
    for (const auto* section : {&order_.init, &order_.body, &order_.eval, &order_.final}) {
      for (const OpId id : *section) {
        out.ops[id.index()] = true;
        for (const Operand& operand : out_[id].operands) {
          out.buffers[operand.buffer.index()] = true;
          out.buffers[owner(operand.buffer).index()] = true;
        }
      }
    }
    return out;
  }

  /// Collectives that went into buckets, and what nothing uses any more.
  void drop_unused_rows() {
    Used now = used_rows();
    for (std::size_t row = 0; row < before_.buffers.size(); ++row) {
      const BufferId storage = out_.buffers[row].storage;
      const bool stands = !storage.valid() || now.buffers[storage.index()];
      if (!before_.buffers[row] && stands) now.buffers[row] = true;
    }
    const std::vector<std::size_t> op_rows = compact(out_.ops, now.ops);
    const std::vector<std::size_t> buffer_rows = compact(out_.buffers, now.buffers);
    for (Buffer& buffer : out_.buffers) {
      if (buffer.storage.valid()) buffer.storage = BufferId{buffer_rows[buffer.storage.index()]};
    }
    for (Op& op : out_.ops) {
      for (Operand& o : op.operands) o.buffer = BufferId{buffer_rows[o.buffer.index()]};
    }
    for (BufferId& id : order_.persistent) id = BufferId{buffer_rows[id.index()]};
    for (auto* section : {&order_.init, &order_.body, &order_.eval, &order_.final}) {
      for (OpId& id : *section) id = OpId{op_rows[id.index()]};
    }
  }

  /// Keeps the rows that are used; returns where each is now.
  template <class Row>
  static std::vector<std::size_t> compact(std::vector<Row>& rows, const std::vector<bool>& used) {
    std::vector<std::size_t> now(rows.size(), 0);
    std::size_t next = 0;
    for (std::size_t row = 0; row < rows.size(); ++row) {
      if (!used[row]) continue;
      now[row] = next;
      if (next != row) rows[next] = std::move(rows[row]);
      ++next;
    }
    rows.resize(next);
    return now;
  }

  Trace out_;
  OpOrder order_;
  Buckets buckets_;
  Used before_;  // rows of the source
  int bucket_count_ = 0;
};

}  // namespace

Trace put_in_buckets(const Trace& rank, const Buckets& buckets) {
  return Bucketing(rank, buckets).finish();
}

}  // namespace tidemark
