// The fields of every row type, once. The binary columns, the JSON text form and their tests are
// made from these lists. Names are frozen: they are what is stored; new fields are appended.
#pragma once

#include <type_traits>

#include "traces/live_set.h"
#include "traces/trace.h"

namespace tidemark {

/// `visit(name, &Row::member)` for every field of Row, in order.
template <class Row>
struct Fields;

#define TIDEMARK_FIELD(member) visit(#member, &Row::member)
#define TIDEMARK_FIELDS(type, ...)              \
  template <>                                   \
  struct Fields<type> {                         \
    using Row = type;                           \
    template <class Visit>                      \
    static constexpr void each(Visit&& visit) { \
      __VA_ARGS__;                              \
    }                                           \
  }

TIDEMARK_FIELDS(Space, TIDEMARK_FIELD(kind), TIDEMARK_FIELD(rank));
TIDEMARK_FIELDS(Layer, TIDEMARK_FIELD(name), TIDEMARK_FIELD(kind), TIDEMARK_FIELD(parent));
TIDEMARK_FIELDS(Stream, TIDEMARK_FIELD(name), TIDEMARK_FIELD(kind),
                TIDEMARK_FIELD(link_bytes_per_s), TIDEMARK_FIELD(latency_ns));
TIDEMARK_FIELDS(Group, TIDEMARK_FIELD(name), TIDEMARK_FIELD(ranks));
TIDEMARK_FIELDS(Shard, TIDEMARK_FIELD(group), TIDEMARK_FIELD(index), TIDEMARK_FIELD(count),
                TIDEMARK_FIELD(dimension), TIDEMARK_FIELD(padding_bytes));
TIDEMARK_FIELDS(Buffer, TIDEMARK_FIELD(name), TIDEMARK_FIELD(layer), TIDEMARK_FIELD(category),
                TIDEMARK_FIELD(space), TIDEMARK_FIELD(dtype), TIDEMARK_FIELD(shape),
                TIDEMARK_FIELD(size_bytes), TIDEMARK_FIELD(alignment_bytes),
                TIDEMARK_FIELD(storage), TIDEMARK_FIELD(storage_offset_bytes),
                TIDEMARK_FIELD(shard), TIDEMARK_FIELD(offset_bytes), TIDEMARK_FIELD(origin),
                TIDEMARK_FIELD(copy), TIDEMARK_FIELD(decision));
TIDEMARK_FIELDS(Operand, TIDEMARK_FIELD(role), TIDEMARK_FIELD(buffer), TIDEMARK_FIELD(reads),
                TIDEMARK_FIELD(writes));
TIDEMARK_FIELDS(Attribute, TIDEMARK_FIELD(name), TIDEMARK_FIELD(integer), TIDEMARK_FIELD(per_step),
                TIDEMARK_FIELD(real), TIDEMARK_FIELD(text));
TIDEMARK_FIELDS(Op, TIDEMARK_FIELD(name), TIDEMARK_FIELD(kind), TIDEMARK_FIELD(layer),
                TIDEMARK_FIELD(phase), TIDEMARK_FIELD(stream), TIDEMARK_FIELD(micro_batch),
                TIDEMARK_FIELD(operands), TIDEMARK_FIELD(attributes), TIDEMARK_FIELD(duration_ns),
                TIDEMARK_FIELD(time_source), TIDEMARK_FIELD(origin), TIDEMARK_FIELD(copy),
                TIDEMARK_FIELD(decision));
TIDEMARK_FIELDS(Instruction, TIDEMARK_FIELD(kind), TIDEMARK_FIELD(index));
TIDEMARK_FIELDS(Decision, TIDEMARK_FIELD(kind), TIDEMARK_FIELD(buffer), TIDEMARK_FIELD(until),
                TIDEMARK_FIELD(release_before), TIDEMARK_FIELD(fetch_before),
                TIDEMARK_FIELD(reason));
TIDEMARK_FIELDS(Event, TIDEMARK_FIELD(kind), TIDEMARK_FIELD(time_ns), TIDEMARK_FIELD(index),
                TIDEMARK_FIELD(address_bytes), TIDEMARK_FIELD(size_bytes), TIDEMARK_FIELD(stream),
                TIDEMARK_FIELD(pool));
TIDEMARK_FIELDS(StepRecord, TIDEMARK_FIELD(step), TIDEMARK_FIELD(wall_ns), TIDEMARK_FIELD(cpu_ns),
                TIDEMARK_FIELD(loss), TIDEMARK_FIELD(has_loss), TIDEMARK_FIELD(eval_loss),
                TIDEMARK_FIELD(has_eval_loss), TIDEMARK_FIELD(eval_wall_ns));
TIDEMARK_FIELDS(Digest, TIDEMARK_FIELD(step), TIDEMARK_FIELD(buffer), TIDEMARK_FIELD(hash));
TIDEMARK_FIELDS(ArenaRecord, TIDEMARK_FIELD(space), TIDEMARK_FIELD(capacity_bytes),
                TIDEMARK_FIELD(high_water_bytes), TIDEMARK_FIELD(peak_live_bytes),
                TIDEMARK_FIELD(most_used_bytes));
TIDEMARK_FIELDS(RankFile, TIDEMARK_FIELD(rank), TIDEMARK_FIELD(file));
TIDEMARK_FIELDS(PlanRecord, TIDEMARK_FIELD(method), TIDEMARK_FIELD(budget_bytes),
                TIDEMARK_FIELD(height_bytes), TIDEMARK_FIELD(peak_bytes), TIDEMARK_FIELD(step_ns),
                TIDEMARK_FIELD(keep_all_step_ns), TIDEMARK_FIELD(bound_step_ns),
                TIDEMARK_FIELD(bound_budget_bytes));
TIDEMARK_FIELDS(Health, TIDEMARK_FIELD(dropped_events), TIDEMARK_FIELD(unmatched_frees),
                TIDEMARK_FIELD(damaged_blocks), TIDEMARK_FIELD(skipped_blocks),
                TIDEMARK_FIELD(truncated_bytes), TIDEMARK_FIELD(complete));
TIDEMARK_FIELDS(Meta, TIDEMARK_FIELD(kind), TIDEMARK_FIELD(level), TIDEMARK_FIELD(title),
                TIDEMARK_FIELD(config_json), TIDEMARK_FIELD(tool), TIDEMARK_FIELD(command),
                TIDEMARK_FIELD(backend), TIDEMARK_FIELD(allocator), TIDEMARK_FIELD(device),
                TIDEMARK_FIELD(device_memory_bytes), TIDEMARK_FIELD(rank),
                TIDEMARK_FIELD(rank_count), TIDEMARK_FIELD(data_digest), TIDEMARK_FIELD(source),
                TIDEMARK_FIELD(eval_every));
TIDEMARK_FIELDS(LiveBuffer, TIDEMARK_FIELD(buffer), TIDEMARK_FIELD(address_bytes),
                TIDEMARK_FIELD(size_bytes), TIDEMARK_FIELD(since_ns));
TIDEMARK_FIELDS(LiveSnapshot, TIDEMARK_FIELD(first_event), TIDEMARK_FIELD(time_ns),
                TIDEMARK_FIELD(buffers));
TIDEMARK_FIELDS(IndexRow, TIDEMARK_FIELD(type), TIDEMARK_FIELD(at), TIDEMARK_FIELD(rows),
                TIDEMARK_FIELD(first_row), TIDEMARK_FIELD(begin_ns), TIDEMARK_FIELD(end_ns));
#undef TIDEMARK_FIELDS
#undef TIDEMARK_FIELD

template <class T>
concept RowType = requires {
  typename Fields<T>::Row;
};

/// Every table of a trace: `visit("buffers", trace.buffers)`, in file order. Works on const too.
/// Single rows (meta, plan, health) are visited as themselves, the program by its sections.
template <class AnyTrace, class Visit>
void each_table(AnyTrace& trace, Visit&& visit) {
  visit("meta", trace.meta);
  visit("plan", trace.plan);
  visit("ranks", trace.ranks);
  visit("layers", trace.layers);
  visit("streams", trace.streams);
  visit("groups", trace.groups);
  visit("buffers", trace.buffers);
  visit("ops", trace.ops);
  visit("init", trace.program.init);
  visit("body", trace.program.body);
  visit("eval", trace.program.eval);
  visit("final", trace.program.final);
  visit("decisions", trace.decisions);
  visit("steps", trace.steps);
  visit("digests", trace.digests);
  visit("arenas", trace.arenas);
  visit("events", trace.events);
  visit("health", trace.health);
}

}  // namespace tidemark
