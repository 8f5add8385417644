// A run of two steps, drawn (time to the right, one letter per allocation):
//
//   init   w w w w w w w w      w weight 1024 B of layer a.x
//   step     g g h     g g h    g activation 512 B of layer a.y, h temporary 300 B of layer a.y
//
// Layers: a (a group), a.x and a.y (leaves).
#pragma once

#include "traces/trace.h"

namespace tidemark::test {

inline BufferId add_buffer(Trace& t, const std::string& name, std::size_t layer, Category category,
                           std::int64_t size_bytes) {
  Buffer b;
  b.name = name;
  b.layer = LayerId{layer};
  b.category = category;
  b.dtype = DType::u8;
  b.shape = {size_bytes};
  b.size_bytes = size_bytes;
  t.buffers.push_back(b);
  return BufferId{t.buffers.size() - 1};
}

inline void add_event(Trace& t, EventKind kind, std::int64_t time_ns, std::int32_t index) {
  Event e;
  e.kind = kind;
  e.time_ns = time_ns;
  e.index = index;
  t.events.push_back(e);
}

inline Trace two_layers() {
  Trace t;
  t.meta.title = "two layers";
  t.meta.level = 1;
  t.streams.resize(1);
  t.layers = {{"a", "group", {}}, {"a.x", "linear", LayerId{0}}, {"a.y", "relu", LayerId{0}}};
  const BufferId w = add_buffer(t, "w", 1, Category::weight, 1024);
  const BufferId g = add_buffer(t, "g", 2, Category::activation, 512);
  const BufferId h = add_buffer(t, "h", 2, Category::temporary, 300);  // counts as 512
  for (Phase phase : {Phase::init, Phase::forward, Phase::backward}) {
    Op op;
    op.name = to_string(phase);
    op.phase = phase;
    op.duration_ns = 10;
    t.ops.push_back(op);
  }
  add_event(t, EventKind::alloc, 0, w.value);
  add_event(t, EventKind::op_begin, 1, 0);
  add_event(t, EventKind::op_end, 9, 0);
  for (std::int32_t step : {0, 1}) {
    const std::int64_t begin_ns = 100 * (step + 1);
    add_event(t, EventKind::step_begin, begin_ns, step);
    add_event(t, EventKind::alloc, begin_ns, g.value);
    add_event(t, EventKind::op_begin, begin_ns + 1, 1);
    add_event(t, EventKind::op_end, begin_ns + 11, 1);
    add_event(t, EventKind::alloc, begin_ns + 20, h.value);
    add_event(t, EventKind::op_begin, begin_ns + 21, 2);
    add_event(t, EventKind::op_end, begin_ns + 31, 2);
    add_event(t, EventKind::free, begin_ns + 40, g.value);
    add_event(t, EventKind::free, begin_ns + 40, h.value);
    add_event(t, EventKind::step_end, begin_ns + 50, step);
  }
  add_event(t, EventKind::free, 300, w.value);
  return t;
}

}  // namespace tidemark::test
