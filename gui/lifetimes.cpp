#include "gui/lifetimes.h"

#include <algorithm>

namespace tidemark {
namespace {

constexpr std::size_t k_fan_out = 16;
constexpr AliveIndex::ChangeRow k_never = std::numeric_limits<AliveIndex::ChangeRow>::max();

/// Calls `use(buffer, op row)` once per distinct storage of each op.
template <class Use>
void for_each_use(const Trace& trace, Use use) {
  std::vector<BufferId> seen;
  for (std::size_t op = 0; op < trace.ops.size(); ++op) {
    seen.clear();
    for (const Operand& operand : trace.ops[op].operands) {
      const BufferId storage = storage_of(trace, operand.buffer);
      if (std::find(seen.begin(), seen.end(), storage) != seen.end()) continue;
      seen.push_back(storage);
      use(storage.index(), static_cast<std::int32_t>(op));
    }
  }
}

}  // namespace

AliveIndex::AliveIndex(const ChangeColumns& changes, std::size_t buffer_count) : changes_(changes) {
  std::vector<ChangeRow> open(buffer_count, k_never);  // row of the lifetime
  FlatArray<ChangeRow>& free = arrays_.latest_free.emplace_back();
  free.reserve(changes.size());
  arrays_.alloc.reserve(changes.size());
  for (std::size_t i = 0; i < changes.size(); ++i) {
    ChangeRow& row = open[changes.buffer_row(i)];
    if (!changes.is_free(i)) {
      row = static_cast<ChangeRow>(arrays_.alloc.size());
      arrays_.alloc.push_back(static_cast<ChangeRow>(i));
      free.push_back(k_never);
    } else if (row != k_never) {
      free.owned_rows()[row] = static_cast<ChangeRow>(i);
      row = k_never;
    }
  }
  build_levels();
}

AliveIndex::AliveIndex(const ChangeColumns& changes, Arrays arrays)
    : changes_(changes), arrays_(std::move(arrays)) {}

void AliveIndex::build_levels() {
  while (arrays_.latest_free.back().size() > 1) {
    const FlatArray<ChangeRow>& below = arrays_.latest_free.back();
    FlatArray<ChangeRow> above;
    above.reserve((below.size() + k_fan_out - 1) / k_fan_out);
    for (std::size_t i = 0; i < below.size(); i += k_fan_out) {
      above.push_back(*std::max_element(below.begin() + i,
                                        below.begin() + std::min(i + k_fan_out, below.size())));
    }
    arrays_.latest_free.push_back(std::move(above));
  }
}

Lifetime AliveIndex::lifetime(std::size_t row) const {
  const ChangeRow alloc = arrays_.alloc[row];
  const ChangeRow free = arrays_.latest_free[0][row];
  Lifetime life{.buffer = changes_.buffer(alloc),
                .bytes = changes_.delta_bytes(alloc),
                .alloc_change = alloc};
  if (free != k_never) life.free_change = free;
  return life;
}

void AliveIndex::collect(const Query& query, std::size_t level, std::size_t node,
                         std::vector<std::size_t>& found) const {
  if (arrays_.latest_free[level][node] <= query.change) return;
  if (level == 0) {
    if (node < query.row_end) found.push_back(node);
    return;
  }
  const std::size_t child_end =
      std::min((node + 1) * k_fan_out, arrays_.latest_free[level - 1].size());
  std::size_t rows_per_child = 1;
  for (std::size_t l = 1; l < level; ++l) rows_per_child *= k_fan_out;
  for (std::size_t child = node * k_fan_out; child < child_end; ++child) {
    if (child * rows_per_child >= query.row_end) break;
    collect(query, level - 1, child, found);
  }
}

std::size_t AliveIndex::begun_until(std::int64_t change) const {
  if (change < 0) return 0;
  const auto* end =
      std::upper_bound(arrays_.alloc.begin(), arrays_.alloc.end(), static_cast<ChangeRow>(change));
  return static_cast<std::size_t>(end - arrays_.alloc.begin());
}

std::vector<std::size_t> AliveIndex::alive_between(std::int64_t first, std::int64_t last) const {
  std::vector<std::size_t> found;
  if (arrays_.alloc.empty() || last < 0) return found;
  const Query query{.change = static_cast<ChangeRow>(std::max<std::int64_t>(first, 0)),
                    .row_end = begun_until(last)};
  collect(query, arrays_.latest_free.size() - 1, 0, found);
  return found;
}

std::vector<std::size_t> AliveIndex::alive_after(std::int64_t change) const {
  if (change < 0) return {};
  struct Candidate {
    std::int64_t bytes;
    std::size_t buffer;
    std::size_t row;
  };
  std::vector<Candidate> candidates;
  for (const std::size_t row : alive_between(change, change)) {
    const ChangeRow alloc = arrays_.alloc[row];
    candidates.push_back({changes_.delta_bytes(alloc), changes_.buffer_row(alloc), row});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.buffer < b.buffer;
  });
  std::vector<std::size_t> rows;
  rows.reserve(candidates.size());
  for (const Candidate& candidate : candidates) rows.push_back(candidate.row);
  return rows;
}

/// `each(add)` calls add(key, row) for all entries, the same each time.
template <class Each>
UseIndex::Lists UseIndex::lists_of(std::size_t key_count, Each each) {
  Lists lists{.first = std::vector<std::size_t>(key_count + 1, 0), .rows = {}};
  each([&lists](std::size_t key, std::int32_t) { ++lists.first[key + 1]; });
  for (std::size_t i = 1; i < lists.first.size(); ++i) lists.first[i] += lists.first[i - 1];
  lists.rows.resize(lists.first.back());
  std::vector<std::size_t> next(lists.first.begin(), lists.first.end() - 1);
  each([&](std::size_t key, std::int32_t row) { lists.rows[next[key]++] = row; });
  return lists;
}

UseIndex::UseIndex(const Trace& trace, const std::vector<OpSpan>& spans)
    : spans_(spans),
      ops_of_buffer_(
          lists_of(trace.buffers.size(), [&trace](auto add) { for_each_use(trace, add); })),
      spans_of_op_(lists_of(trace.ops.size(), [&spans](auto add) {
        for (std::size_t row = 0; row < spans.size(); ++row) {
          if (spans[row].op.valid()) add(spans[row].op.index(), static_cast<std::int32_t>(row));
        }
      })) {}

std::vector<std::int32_t> UseIndex::uses(BufferId buffer, std::int64_t begin_ns,
                                         std::int64_t end_ns) const {
  const auto before = [this](std::int32_t row, std::int64_t time_ns) {
    return spans_[static_cast<std::size_t>(row)].begin_ns < time_ns;
  };
  std::vector<std::int32_t> found;
  for (std::size_t i = ops_of_buffer_.first[buffer.index()];
       i < ops_of_buffer_.first[buffer.index() + 1]; ++i) {
    const auto op = static_cast<std::size_t>(ops_of_buffer_.rows[i]);
    const auto at = [this](std::size_t row) {
      return spans_of_op_.rows.begin() + static_cast<std::ptrdiff_t>(row);
    };
    const auto end = at(spans_of_op_.first[op + 1]);
    const auto first = std::lower_bound(at(spans_of_op_.first[op]), end, begin_ns, before);
    found.insert(found.end(), first, std::lower_bound(first, end, end_ns, before));
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace tidemark
