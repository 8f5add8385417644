#include "traces/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace tidemark {
namespace {

constexpr std::int64_t k_largest_bytes = std::int64_t{1} << 56;
constexpr std::int64_t k_largest_total = std::int64_t{1} << 62;  // bytes or ns of a whole trace
constexpr std::size_t k_most_streams = 64;  // the checker keeps a clock per stream and stream

/// Remembers the first fault only.
class Faults {
 public:
  void expect(bool holds, std::string_view table, std::size_t row, std::string_view what) {
    if (!holds && text.empty()) text = fmt::format("{}[{}]: expected {}", table, row, what);
  }

  template <class IdType, class Rows>
  void row_or_none(IdType id, const Rows& rows, std::string_view table, std::size_t row) {
    row_of(id.valid() ? id : IdType{}, rows, table, row, true);
  }

  template <class IdType, class Rows>
  void row_of(IdType id, const Rows& rows, std::string_view table, std::size_t row,
              bool none_allowed = false) {
    const bool holds = id.valid() ? id.index() < rows.size() : none_allowed;
    if (holds || !text.empty()) return;
    text =
        fmt::format("{}[{}]: expected an id below {}, found {}", table, row, rows.size(), id.value);
  }

  std::string text;
};

void layers(const Trace& t, Faults& f) {
  for (std::size_t i = 0; i < t.layers.size(); ++i) {
    const LayerId parent = t.layers[i].parent;
    f.expect(!parent.valid() || parent.index() < i, "layers", i, "a parent before it");
  }
}

void view(const Trace& t, std::size_t i, Faults& f) {
  const Buffer& b = t.buffers[i];
  if (!b.storage.valid() || b.storage.index() >= t.buffers.size()) return;
  const Buffer& owner = t[b.storage];
  f.expect(!owner.storage.valid(), "buffers", i, "a storage that is not a view itself");
  f.expect(b.storage_offset_bytes >= 0 && b.storage_offset_bytes <= owner.size_bytes &&
               b.size_bytes <= owner.size_bytes - b.storage_offset_bytes,
           "buffers", i, "a view inside its storage");
  f.expect(b.space == owner.space, "buffers", i, "a view in the space of its storage");
}

/// Adds to `total`, which stays within k_largest_total; false when it would not.
bool add_within(std::int64_t& total, std::int64_t more) {
  if (more > k_largest_total - total) return false;
  total += std::max<std::int64_t>(more, 0);
  return true;
}

/// True when the extents multiply to at most k_largest_bytes elements.
bool shape_fits(const Buffer& b) {
  std::int64_t bytes = size_bytes(b.dtype);
  for (std::int64_t extent : b.shape) {
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes)) return false;
  }
  return bytes <= k_largest_bytes;
}

bool shard_fits(const Buffer& b) {
  const Shard& s = b.shard;
  const auto dimensions = static_cast<std::int64_t>(b.shape.size());
  return s.count >= 1 && s.index >= 0 && s.index < s.count && s.padding_bytes >= 0 &&
         s.padding_bytes <= b.size_bytes && s.dimension >= 0 &&
         (s.count == 1 || s.dimension < std::max<std::int64_t>(dimensions, 1));
}

void buffers(const Trace& t, Faults& f) {
  std::int64_t total = 0;
  for (std::size_t i = 0; i < t.buffers.size(); ++i) {
    const Buffer& b = t.buffers[i];
    f.row_or_none(b.layer, t.layers, "buffers", i);
    f.row_or_none(b.storage, t.buffers, "buffers", i);
    f.row_or_none(b.shard.group, t.groups, "buffers", i);
    f.row_or_none(b.decision, t.decisions, "buffers", i);
    f.expect(b.size_bytes >= 0 && b.size_bytes <= k_largest_bytes, "buffers", i,
             "size_bytes in [0, 2^56]");
    f.expect(b.offset_bytes >= -1 && b.offset_bytes <= k_largest_bytes, "buffers", i,
             "offset_bytes in [-1, 2^56]");
    f.expect(shape_fits(b), "buffers", i, "a shape of at most 2^56 bytes");
    f.expect(b.alignment_bytes > 0, "buffers", i, "a positive alignment");
    f.expect(shard_fits(b), "buffers", i,
             "a shard index below its count, a dimension of the shape, padding inside the buffer");
    f.expect(add_within(total, b.size_bytes), "buffers", i, "at most 2^62 bytes in all");
    f.expect(b.storage.value != static_cast<std::int32_t>(i), "buffers", i,
             "a storage other than itself");
    view(t, i, f);
  }
}

void ops(const Trace& t, Faults& f) {
  std::int64_t total = 0;
  for (std::size_t i = 0; i < t.ops.size(); ++i) {
    const Op& op = t.ops[i];
    f.row_or_none(op.layer, t.layers, "ops", i);
    f.row_or_none(op.decision, t.decisions, "ops", i);
    f.row_of(op.stream, t.streams, "ops", i);
    f.expect(op.duration_ns >= -1 && add_within(total, op.duration_ns), "ops", i,
             "duration_ns from -1, at most 2^62 ns in all");
    for (const Operand& operand : op.operands) f.row_of(operand.buffer, t.buffers, "ops", i);
  }
}

void section(const Trace& t, const std::vector<Instruction>& lines, std::string_view name,
             Faults& f) {
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::size_t rows =
        lines[i].kind == InstructionKind::run ? t.ops.size() : t.buffers.size();
    f.expect(lines[i].index >= 0 && static_cast<std::size_t>(lines[i].index) < rows, name, i,
             fmt::format("an index below {}", rows));
  }
}

void events(const Trace& t, Faults& f) {
  bool in_step = false;
  for (std::size_t i = 0; i < t.events.size(); ++i) {
    const Event& e = t.events[i];
    const auto row = static_cast<std::size_t>(e.index);
    const bool of_buffer = e.kind == EventKind::alloc || e.kind == EventKind::free ||
                           e.kind == EventKind::free_requested;
    const bool of_op = e.kind == EventKind::op_begin || e.kind == EventKind::op_end;
    f.expect(e.time_ns >= 0 && e.time_ns <= k_largest_total, "events", i, "time_ns in [0, 2^62]");
    f.expect(!of_buffer || (e.index >= 0 && row < t.buffers.size()), "events", i, "a buffer row");
    f.expect(!of_op || (e.index >= 0 && row < t.ops.size()), "events", i, "an op row");
    f.expect(
        e.stream == 0 || (e.stream > 0 && static_cast<std::size_t>(e.stream) < t.streams.size()),
        "events", i, "a stream row");
    f.expect(e.pool >= 0, "events", i, "a pool from 0");
    f.expect(i == 0 || e.time_ns >= t.events[i - 1].time_ns, "events", i,
             "a time not before the previous event");
    f.expect(e.kind != EventKind::step_end || in_step, "events", i, "a step_begin before step_end");
    f.expect(e.kind != EventKind::step_begin || !in_step, "events", i,
             "a step_end before the next step_begin");
    if (e.kind == EventKind::step_begin) in_step = true;
    if (e.kind == EventKind::step_end) in_step = false;
  }
}

void streams(const Trace& t, Faults& f) {
  f.expect(t.streams.size() <= k_most_streams, "streams", k_most_streams, "at most 64 streams");
  for (std::size_t i = 0; i < t.streams.size(); ++i) {
    const Stream& s = t.streams[i];
    f.expect(std::isfinite(s.link_bytes_per_s) && s.link_bytes_per_s >= 0 && s.latency_ns >= 0,
             "streams", i, "a rate and a latency that are not negative");
  }
}

void groups(const Trace& t, Faults& f) {
  for (std::size_t i = 0; i < t.groups.size(); ++i) {
    const std::vector<std::int32_t>& ranks = t.groups[i].ranks;
    const bool ascend =
        std::ranges::adjacent_find(ranks, std::ranges::greater_equal()) == ranks.end();
    f.expect(!ranks.empty() && ranks.front() >= 0 && ascend, "groups", i,
             "ranks that ascend from 0");
  }
}

void others(const Trace& t, Faults& f) {
  f.expect(t.meta.level >= 0 && t.meta.level <= 2, "meta", 0, "a level from 0 to 2");
  f.expect(t.meta.rank >= 0 && t.meta.rank < t.meta.rank_count, "meta", 0,
           "a rank below rank_count");
  f.expect(t.meta.eval_every >= 0, "meta", 0, "an eval_every that is not negative");
  f.expect(t.streams.empty() || t.streams[0].kind == StreamKind::compute, "streams", 0,
           "the compute stream");
  for (std::size_t i = 0; i < t.decisions.size(); ++i) {
    f.row_or_none(t.decisions[i].buffer, t.buffers, "decisions", i);
    f.row_or_none(t.decisions[i].until, t.ops, "decisions", i);
    f.row_or_none(t.decisions[i].release_before, t.ops, "decisions", i);
    f.row_or_none(t.decisions[i].fetch_before, t.ops, "decisions", i);
  }
  for (std::size_t i = 0; i < t.digests.size(); ++i) {
    f.row_of(t.digests[i].buffer, t.buffers, "digests", i);
  }
}

}  // namespace

std::string index_fault(const Trace& trace) {
  Faults faults;
  layers(trace, faults);
  streams(trace, faults);
  groups(trace, faults);
  buffers(trace, faults);
  ops(trace, faults);
  section(trace, trace.program.init, "program.init", faults);
  section(trace, trace.program.body, "program.body", faults);
  section(trace, trace.program.eval, "program.eval", faults);
  section(trace, trace.program.final, "program.final", faults);
  events(trace, faults);
  others(trace, faults);
  return faults.text;
}

}  // namespace tidemark
