#include "gui/lifetimes.h"

#include <algorithm>

namespace tidemark {
namespace {

constexpr std::size_t k_fan_out = 16;

/// Calls `use(buffer, row of the span)` once per distinct storage of each span, in span order.
template <class Use>
void for_each_use(const Trace& trace, const Timeline& timeline, Use use) {
  std::vector<BufferId> seen;
  for (std::size_t row = 0; row < timeline.spans.size(); ++row) {
    const OpId op = timeline.spans[row].op;
    if (!op.valid()) continue;
    seen.clear();
    for (const Operand& operand : trace[op].operands) {
      const BufferId storage = storage_of(trace, operand.buffer);
      if (std::find(seen.begin(), seen.end(), storage) != seen.end()) continue;
      seen.push_back(storage);
      use(storage, row);
    }
  }
}

}  // namespace

AliveIndex::AliveIndex(const Trace& trace, const Timeline& timeline) {
  constexpr std::size_t k_none = std::numeric_limits<std::size_t>::max();
  std::vector<std::size_t> open(trace.buffers.size(), k_none);
  for (std::size_t i = 0; i < timeline.changes.size(); ++i) {
    const MemoryChange& change = timeline.changes[i];
    std::size_t& row = open[change.buffer.index()];
    if (change.delta_bytes >= 0) {
      row = lifetimes_.size();
      lifetimes_.push_back({.buffer = change.buffer,
                            .bytes = change.delta_bytes,
                            .alloc_change = static_cast<std::int64_t>(i)});
    } else if (row != k_none) {
      lifetimes_[row].free_change = static_cast<std::int64_t>(i);
      row = k_none;
    }
  }
  std::vector<std::int64_t> level;
  level.reserve(lifetimes_.size());
  for (const Lifetime& lifetime : lifetimes_) level.push_back(lifetime.free_change);
  while (level.size() > 1) {
    std::vector<std::int64_t> above((level.size() + k_fan_out - 1) / k_fan_out, 0);
    for (std::size_t i = 0; i < level.size(); ++i) {
      above[i / k_fan_out] = std::max(above[i / k_fan_out], level[i]);
    }
    latest_free_.push_back(std::move(level));
    level = std::move(above);
  }
  if (!level.empty()) latest_free_.push_back(std::move(level));
}

void AliveIndex::collect(const Query& query, std::size_t level, std::size_t node,
                         std::vector<std::size_t>& found) const {
  if (latest_free_[level][node] <= query.change) return;
  if (level == 0) {
    if (node < query.row_end) found.push_back(node);
    return;
  }
  const std::size_t child_end = std::min((node + 1) * k_fan_out, latest_free_[level - 1].size());
  std::size_t rows_per_child = 1;
  for (std::size_t l = 1; l < level; ++l) rows_per_child *= k_fan_out;
  for (std::size_t child = node * k_fan_out; child < child_end; ++child) {
    if (child * rows_per_child >= query.row_end) break;
    collect(query, level - 1, child, found);
  }
}

std::vector<std::size_t> AliveIndex::alive_after(std::int64_t change) const {
  std::vector<std::size_t> found;
  if (lifetimes_.empty() || change < 0) return found;
  const auto end = std::upper_bound(
      lifetimes_.begin(), lifetimes_.end(), change,
      [](std::int64_t at, const Lifetime& lifetime) { return at < lifetime.alloc_change; });
  const Query query{.change = change,
                    .row_end = static_cast<std::size_t>(end - lifetimes_.begin())};
  collect(query, latest_free_.size() - 1, 0, found);
  std::sort(found.begin(), found.end(), [this](std::size_t a, std::size_t b) {
    const Lifetime& x = lifetimes_[a];
    const Lifetime& y = lifetimes_[b];
    return x.bytes != y.bytes ? x.bytes > y.bytes : x.buffer < y.buffer;
  });
  return found;
}

UseIndex::UseIndex(const Trace& trace, const Timeline& timeline)
    : timeline_(timeline), first_use_(trace.buffers.size() + 1, 0) {
  for_each_use(trace, timeline,
               [this](BufferId buffer, std::size_t) { ++first_use_[buffer.index() + 1]; });
  for (std::size_t i = 1; i < first_use_.size(); ++i) first_use_[i] += first_use_[i - 1];
  span_.resize(first_use_.back());
  std::vector<std::size_t> next(first_use_.begin(), first_use_.end() - 1);
  for_each_use(trace, timeline, [this, &next](BufferId buffer, std::size_t row) {
    span_[next[buffer.index()]++] = static_cast<std::int32_t>(row);
  });
}

std::span<const std::int32_t> UseIndex::uses(BufferId buffer, std::int64_t begin_ns,
                                             std::int64_t end_ns) const {
  const auto at = [this](std::size_t i) { return span_.begin() + static_cast<std::ptrdiff_t>(i); };
  const auto before = [this](std::int32_t row, std::int64_t time_ns) {
    return timeline_.spans[static_cast<std::size_t>(row)].begin_ns < time_ns;
  };
  const auto all_begin = at(first_use_[buffer.index()]);
  const auto all_end = at(first_use_[buffer.index() + 1]);
  const auto first = std::lower_bound(all_begin, all_end, begin_ns, before);
  const auto last = std::lower_bound(first, all_end, end_ns, before);
  return {first, last};
}

}  // namespace tidemark
