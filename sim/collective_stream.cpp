#include "sim/collective_stream.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "sim/lifetimes.h"
#include "sim/program_builder.h"
#include "sim/shard.h"

namespace tidemark {
namespace {

constexpr StreamId k_compute{0};

/// A collective with what copies its bucket together before, and apart behind it.
struct Exchange {
  std::vector<OpId> before;
  OpId op;
  std::vector<OpId> behind;
  bool gathers_early = false;  // its inputs are there since the begin of the section
  bool sums = false;
};

/// One line of a section: an op, or an exchange.
struct Item {
  OpId op;
  std::optional<std::size_t> exchange;
};

class Overlap {
 public:
  Overlap(const Trace& rank, std::int32_t prefetch)
      : out_(rank), order_(order_of(rank)), prefetch_(static_cast<std::size_t>(prefetch)) {}

  Trace finish() {
    find_buckets();
    find_groups();
    if (!groups_.empty()) {
      out_.streams.push_back({.name = "collectives", .kind = StreamKind::communication});
      stream_ = StreamId{out_.streams.size() - 1};
      for (auto* section : {&order_.init, &order_.body, &order_.eval, &order_.final}) {
        rewrite(*section);
      }
    }
    assign_versions(out_, order_);
    out_.program = with_lifetimes(out_, order_, touches_);
    number_collectives(out_);
    return std::move(out_);
  }

 private:
  [[nodiscard]] BufferId owner(BufferId id) const { return storage_of(out_, id); }

  [[nodiscard]] bool is_ours(const Op& op) const {
    return find_attribute(op, "group") != nullptr && groups_.contains(integer_at(op, "group", 0));
  }

  [[nodiscard]] bool is_state(BufferId id) const {
    const Category category = out_[id].category;
    return category == Category::weight || category == Category::gradient;
  }

  /// Flat buffers into which weights or gradients are copied.
  void find_buckets() {
    for (const Op& op : out_.ops) {
      if (op.kind != OpKind::copy || !is_state(owner(op.operands[0].buffer))) continue;
      const BufferId flat = owner(op.operands[1].buffer);
      if (out_[flat].category == Category::communication) buckets_.insert(flat);
    }
  }

  [[nodiscard]] bool has_state(const Op& op) const {
    const BufferId x = op.operands[0].buffer;
    return is_state(x) || buckets_.contains(owner(x));
  }

  /// Those that gather weights or sum gradients. A group stands on one stream with all it does.
  void find_groups() {
    for (const OpId id : order_.body) {
      const Op& op = out_[id];
      if (find_attribute(op, "group") == nullptr) continue;
      const bool exchanges = op.kind == OpKind::all_gather || op.kind == OpKind::all_reduce ||
                             op.kind == OpKind::reduce_scatter;
      if (exchanges && has_state(op)) groups_.insert(integer_at(op, "group", 0));
    }
  }

  [[nodiscard]] bool copies(OpId id, std::size_t operand, BufferId flat) const {
    const Op& op = out_[id];
    return op.kind == OpKind::copy && owner(op.operands[operand].buffer) == flat;
  }

  [[nodiscard]] Exchange exchange_of(OpId id) const {
    const Op& op = out_[id];
    Exchange out{.before = {}, .op = id, .behind = {}};
    if (!has_state(op)) return out;
    out.gathers_early = op.kind == OpKind::all_gather && op.phase != Phase::optimizer;
    out.sums = op.kind == OpKind::all_reduce || op.kind == OpKind::reduce_scatter;
    return out;
  }

  [[nodiscard]] std::vector<Item> items_of(const std::vector<OpId>& section) {
    std::vector<Item> items;
    for (std::size_t i = 0; i < section.size(); ++i) {
      if (!is_ours(out_[section[i]])) {
        items.push_back({section[i], {}});
        continue;
      }
      Exchange exchange = exchange_of(section[i]);
      const std::vector<Operand>& operands = out_[section[i]].operands;
      while (!items.empty() && !items.back().exchange &&
             copies(items.back().op, 1, owner(operands.front().buffer))) {
        exchange.before.insert(exchange.before.begin(), items.back().op);
        items.pop_back();
      }
      while (i + 1 < section.size() && copies(section[i + 1], 0, owner(operands.back().buffer))) {
        exchange.behind.push_back(section[++i]);
      }
      if (exchange.gathers_early) early_.push_back(exchanges_.size());
      items.push_back({{}, exchanges_.size()});
      exchanges_.push_back(std::move(exchange));
    }
    return items;
  }

  void rewrite(std::vector<OpId>& section) {
    exchanges_.clear();
    early_.clear();
    under_way_.clear();
    next_early_ = 0;
    const std::vector<Item> items = items_of(section);
    done_event_.assign(exchanges_.size(), -1);
    section_ = &section;
    section.clear();
    std::size_t used = 0;  // of early_
    for (const Item& item : items) {
      if (!item.exchange) {
        finish_for(item.op);
        section.push_back(item.op);
        continue;
      }
      const Exchange& exchange = exchanges_[*item.exchange];
      if (exchange.gathers_early) {
        issue_early(++used);
        finish(*item.exchange);
        issue_early(used + prefetch_);
        continue;
      }
      if (exchange.sums) finish_sums();
      issue(*item.exchange);
      if (!exchange.sums) finish(*item.exchange);
    }
    while (!under_way_.empty()) finish(under_way_.front());
  }

  /// Gathers up to the `count`-th.
  void issue_early(std::size_t count) {
    for (; next_early_ < std::min(count, early_.size()); ++next_early_) issue(early_[next_early_]);
  }

  void issue(std::size_t row) {
    const Exchange& exchange = exchanges_[row];
    for (const OpId id : exchange.before) {
      finish_for(id);
      section_->push_back(id);
    }
    finish_for(exchange.op);
    const std::int64_t ready = next_event_++;
    done_event_[row] = next_event_++;
    add_event(OpKind::record_event, k_compute, ready, exchange.op, true);
    add_event(OpKind::wait_event, stream_, ready, exchange.op, false);
    out_.ops[exchange.op.index()].stream = stream_;
    section_->push_back(exchange.op);
    add_event(OpKind::record_event, stream_, done_event_[row], exchange.op, false);
    under_way_.push_back(row);
  }

  void finish(std::size_t row) {
    const Exchange& exchange = exchanges_[row];
    add_event(OpKind::wait_event, k_compute, done_event_[row], exchange.op, true);
    std::erase(under_way_, row);
    for (const OpId id : exchange.behind) section_->push_back(id);
  }

  void finish_sums() {
    const std::vector<std::size_t> under_way = under_way_;
    for (const std::size_t row : under_way) {
      if (exchanges_[row].sums) finish(row);
    }
  }

  /// What is under way on something that `id` uses, and would disturb or see half done.
  void finish_for(OpId id) {
    const std::vector<std::size_t> under_way = under_way_;
    for (const std::size_t row : under_way) {
      if (collide(out_[id], exchanges_[row])) finish(row);
    }
  }

  [[nodiscard]] bool collide(const Op& op, const Exchange& exchange) const {
    const auto meets = [&](const Operand& a, const Operand& b) {
      return owner(a.buffer) == owner(b.buffer) && (a.writes >= 0 || b.writes >= 0);
    };
    const auto any = [&](OpId other) {
      return std::ranges::any_of(op.operands, [&](const Operand& a) {
        return std::ranges::any_of(out_[other].operands,
                                   [&](const Operand& b) { return meets(a, b); });
      });
    };
    return any(exchange.op) || std::ranges::any_of(exchange.behind, any);
  }

  /// In the name, layer and phase of `near`. `keeps`: alive what that works on.
  void add_event(OpKind kind, StreamId stream, std::int64_t event, OpId near, bool keeps) {
    const Op& of = out_[near];
    Op op;
    op.name = (kind == OpKind::record_event ? "record " : "wait ") + std::to_string(event);
    op.kind = kind;
    op.layer = of.layer;
    op.phase = of.phase;
    op.stream = stream;
    op.micro_batch = of.micro_batch;
    op.attributes.push_back(integer("event", event));
    op.duration_ns = 0;
    op.time_source = TimeSource::modelled;
    std::vector<BufferId> touched;
    for (const Operand& operand : of.operands) touched.push_back(operand.buffer);
    out_.ops.push_back(std::move(op));
    section_->push_back(OpId{out_.ops.size() - 1});
    touches_.resize(out_.ops.size());
    if (keeps) touches_.back() = std::move(touched);
  }

  Trace out_;
  OpOrder order_;
  std::size_t prefetch_;
  std::set<std::int64_t> groups_;  // rows
  std::set<BufferId> buckets_;
  StreamId stream_;
  Touches touches_;
  std::int64_t next_event_ = 0;
  // Of the section that is written:
  std::vector<OpId>* section_ = nullptr;
  std::vector<Exchange> exchanges_;
  std::vector<std::size_t> early_;        // rows of exchanges_, in the order of use
  std::size_t next_early_ = 0;            // of early_, not yet issued
  std::vector<std::size_t> under_way_;    // in the order of issue
  std::vector<std::int64_t> done_event_;  // by exchange
};

}  // namespace

Trace overlap_collectives(const Trace& rank, std::int32_t prefetch) {
  return Overlap(rank, prefetch).finish();
}

}  // namespace tidemark
