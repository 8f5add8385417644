#include "random_trace.h"

namespace tidemark::test {
namespace {

Space random_space(Draw& draw) {
  return {draw.of<SpaceKind>(), static_cast<std::int32_t>(draw.between(0, 3))};
}

std::vector<std::int64_t> random_shape(Draw& draw) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(draw.between(0, 4)));
  for (std::int64_t& extent : shape) extent = draw.between(0, 100);
  return shape;
}

Buffer random_buffer(Draw& draw, const Trace& t) {
  Buffer b;
  b.name = draw.text();
  b.layer = draw.row_or_none<LayerId>(t.layers.size());
  b.category = draw.of<Category>();
  b.space = random_space(draw);
  b.dtype = draw.of<DType>();
  b.shape = random_shape(draw);
  b.size_bytes = draw.between(0, std::int64_t{1} << 40);
  b.alignment_bytes = draw.between(1, 4096);
  b.offset_bytes = draw.between(-1, std::int64_t{1} << 40);
  b.shard.group = draw.row_or_none<GroupId>(t.groups.size());
  b.shard.count = static_cast<std::int32_t>(draw.between(1, 8));
  b.shard.index = static_cast<std::int32_t>(draw.between(0, b.shard.count - 1));
  b.shard.padding_bytes = draw.between(0, b.size_bytes);
  b.origin = draw.row_or_none<BufferId>(1000);
  b.copy = static_cast<std::int32_t>(draw.between(0, 3));
  if (t.buffers.empty() || draw.chance(70)) return b;
  const auto owner = draw.row<BufferId>(t.buffers.size());
  if (t[owner].storage.valid()) return b;
  b.storage = owner;  // a view
  b.space = t[owner].space;
  b.size_bytes = draw.between(0, t[owner].size_bytes);
  b.storage_offset_bytes = draw.between(0, t[owner].size_bytes - b.size_bytes);
  b.shard.padding_bytes = 0;
  return b;
}

Op random_op(Draw& draw, const Trace& t) {
  Op op;
  op.name = draw.text();
  op.kind = draw.of<OpKind>();
  op.layer = draw.row_or_none<LayerId>(t.layers.size());
  op.phase = draw.of<Phase>();
  op.stream = draw.row<StreamId>(t.streams.size());
  op.micro_batch = static_cast<std::int32_t>(draw.between(0, 4));
  for (std::int64_t i = draw.between(0, 4); i > 0 && !t.buffers.empty(); --i) {
    op.operands.push_back({draw.text(), draw.row<BufferId>(t.buffers.size()),
                           static_cast<std::int32_t>(draw.between(-1, 9)),
                           static_cast<std::int32_t>(draw.between(-1, 9))});
  }
  for (std::int64_t i = draw.between(0, 3); i > 0; --i) {
    op.attributes.push_back({draw.text(), draw.any(), draw.any(), draw.real(), draw.text()});
  }
  op.duration_ns = draw.between(-1, 1'000'000'000);
  op.time_source = draw.of<TimeSource>();
  op.origin = draw.row_or_none<OpId>(1000);
  op.copy = static_cast<std::int32_t>(draw.between(0, 3));
  return op;
}

std::vector<Instruction> random_lines(Draw& draw, const Trace& t, std::int64_t size) {
  std::vector<Instruction> lines;
  for (std::int64_t i = draw.between(0, size); i > 0; --i) {
    const auto kind = draw.of<InstructionKind>();
    const std::size_t rows = kind == InstructionKind::run ? t.ops.size() : t.buffers.size();
    if (rows > 0) lines.push_back({kind, draw.row<OpId>(rows).value});
  }
  return lines;
}

Event random_event(Draw& draw, const Trace& t, std::int64_t time_ns) {
  Event e;
  e.kind = draw.of<EventKind>();
  while (e.kind == EventKind::step_begin || e.kind == EventKind::step_end) {
    e.kind = draw.of<EventKind>();
  }
  e.time_ns = time_ns;
  if (e.kind == EventKind::alloc || e.kind == EventKind::free ||
      e.kind == EventKind::free_requested) {
    e.index = draw.row<BufferId>(t.buffers.size()).value;
  }
  if (e.kind == EventKind::op_begin || e.kind == EventKind::op_end) {
    e.index = draw.row<OpId>(t.ops.size()).value;
  }
  e.address_bytes = draw.any();
  e.size_bytes = draw.any();
  return e;
}

void add_rows(Draw& draw, Trace& t, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    const auto above = draw.row_or_none<LayerId>(t.layers.size());
    t.layers.push_back({draw.text(), draw.text(), above});
  }
  t.streams = {{"compute", StreamKind::compute, 0, 0},
               {draw.text(), draw.of<StreamKind>(), 1.5e10, draw.between(0, 9000)}};
  t.groups = {{draw.text(), {0, 1, 5}}, {draw.text(), {2}}};
  for (std::int64_t i = 0; i < size; ++i) t.buffers.push_back(random_buffer(draw, t));
  for (std::int64_t i = 0; i < size; ++i) t.ops.push_back(random_op(draw, t));
  t.program = {random_lines(draw, t, size), random_lines(draw, t, size),
               random_lines(draw, t, size), random_lines(draw, t, size)};
  t.meta.eval_every = draw.between(0, 1000);
  for (std::int64_t i = draw.between(0, 3); i > 0; --i) {
    t.decisions.push_back({draw.of<DecisionKind>(), draw.row_or_none<BufferId>(t.buffers.size()),
                           draw.row_or_none<OpId>(t.ops.size()), OpId{}, OpId{}, draw.text()});
  }
  for (Buffer& b : t.buffers) b.decision = draw.row_or_none<DecisionId>(t.decisions.size());
  std::int64_t time_ns = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    t.events.push_back(random_event(draw, t, time_ns += draw.between(0, 1000)));
    t.steps.push_back({static_cast<std::int32_t>(i), draw.any(), draw.any(), draw.real(),
                       draw.chance(50), draw.real(), draw.chance(50), draw.any()});
    t.digests.push_back(
        {static_cast<std::int32_t>(i), draw.row<BufferId>(t.buffers.size()), draw.any()});
  }
}

}  // namespace

Trace random_trace(std::uint64_t seed, std::int64_t size) {
  Draw draw(seed);
  Trace t;
  t.meta = {.kind = draw.of<TraceKind>(),
            .level = static_cast<std::int32_t>(draw.between(0, 2)),
            .title = draw.text(),
            .config_json = draw.text(),
            .tool = draw.text(),
            .command = draw.text(),
            .backend = draw.text(),
            .allocator = draw.text(),
            .device = draw.text(),
            .device_memory_bytes = draw.any(),
            .rank = static_cast<std::int32_t>(draw.between(0, 7)),
            .rank_count = 8,
            .data_digest = draw.text(),
            .source = draw.text()};
  t.plan.method = draw.text();
  t.plan.budget_bytes = draw.any();
  add_rows(draw, t, size);
  t.arenas = {{random_space(draw), draw.any(), draw.any(), draw.any()}};
  t.health.dropped_events = draw.between(0, 9);
  return t;
}

Trace full_trace() {
  Trace t;
  t.meta.kind = TraceKind::measured;
  t.meta.level = 2;
  t.meta.title = "full";
  t.meta.rank_count = 2;
  t.plan = {.method = "greedy", .budget_bytes = 4096, .height_bytes = 1024};
  t.ranks = {{0, "a.tmk"}, {1, "b.tmk"}};
  t.layers = {{"net", "group", {}}, {"net.linear", "linear", LayerId{0}}};
  t.streams = {{.name = "compute"}, {"fetch", StreamKind::host_to_device, 1e10, 500}};
  t.groups = {{"all", {0, 1}}};
  Buffer w;
  w.name = "w";
  w.layer = LayerId{1};
  w.category = Category::weight;
  w.shape = {4, 2};
  w.size_bytes = 32;
  w.offset_bytes = 256;
  w.origin = BufferId{0};
  Buffer view = w;
  view.name = "w.part";
  view.shape = {4};
  view.size_bytes = 16;
  view.storage = BufferId{0};
  view.storage_offset_bytes = 16;
  view.shard = {.group = GroupId{0}, .index = 1, .count = 2, .dimension = 0, .padding_bytes = 4};
  view.offset_bytes = -1;
  view.decision = DecisionId{0};
  t.buffers = {w, view};
  Op op;
  op.name = "w.init";
  op.kind = OpKind::fill;
  op.layer = LayerId{1};
  op.phase = Phase::init;
  op.operands = {{"y", BufferId{0}, -1, 1}};
  op.attributes = {{"value", 0, 0, 0.5, ""}, {"t", 1, 1, 0, "text"}};
  op.duration_ns = 1500;
  op.time_source = TimeSource::measured;
  t.ops = {op};
  t.program = {{{InstructionKind::alloc, 0}, {InstructionKind::run, 0}},
               {{InstructionKind::alloc, 1}},
               {{InstructionKind::free, 0}},
               {{InstructionKind::run, 0}}};
  t.meta.eval_every = 10;
  t.decisions = {{DecisionKind::offload, BufferId{1}, OpId{0}, OpId{0}, OpId{0}, "it waits"}};
  t.events = {{EventKind::alloc, 10, 0, 256, 256},
              {EventKind::op_begin, 20, 0, -1, 0},
              {EventKind::op_end, 30, 0, -1, 0}};
  t.steps = {{0, 100, 90, 2.5, true, 1.25, true, 40}};
  t.digests = {{0, BufferId{0}, -7}};
  t.arenas = {{{SpaceKind::host_pinned, 0}, 8192, 1024, 512}};
  t.health.unmatched_frees = 3;
  return t;
}

}  // namespace tidemark::test
