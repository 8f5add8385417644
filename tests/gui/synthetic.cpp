#include "tests/gui/synthetic.h"

#include <fmt/format.h>

#include <utility>

namespace tidemark::test {
namespace {

/// The buffers and ops of one layer of the training trace.
struct LayerParts {
  LayerId layer;
  BufferId weight, moments, gradient, activation, again, temporary, workspace;
  OpId init, forward, recompute, backward, update;
};

LayerParts make_layer(Sketch& sketch, int number, std::int64_t unit_bytes) {
  const std::string name =
      fmt::format("block{}.{}", number / 2, number % 2 == 0 ? "attention" : "mlp");
  LayerParts p;
  p.layer = sketch.layer(name);
  const auto buffer = [&](const char* suffix, Category category, std::int64_t units) {
    return sketch.buffer(name + suffix, p.layer, category, units * unit_bytes);
  };
  p.weight = buffer(".weight", Category::weight, 4);
  p.moments = buffer(".moments", Category::optimizer_state, 8);
  p.gradient = buffer(".weight.gradient", Category::gradient, 4);
  p.activation = buffer(".y", Category::activation, 9 + number % 3);
  p.again = buffer(".y.again", Category::recomputed_activation, 9 + number % 3);
  p.temporary = buffer(".dy", Category::temporary, 5);
  p.workspace = buffer(".workspace", Category::workspace, 3);
  const auto op = [&](const char* suffix, Phase phase, std::initializer_list<BufferId> operands) {
    const OpId id = sketch.op(name + suffix, p.layer, phase);
    for (const BufferId operand : operands) sketch.operand(id, operand);
    return id;
  };
  p.init = op(".init", Phase::init, {p.weight, p.moments});
  p.forward = op(".forward", Phase::forward, {p.weight, p.activation, p.workspace});
  p.recompute = op(".recompute", Phase::backward, {p.weight, p.again});
  p.backward =
      op(".backward", Phase::backward, {p.weight, p.activation, p.again, p.gradient, p.temporary});
  p.update = op(".update", Phase::optimizer, {p.weight, p.gradient, p.moments});
  return p;
}

void forward(Sketch& sketch, const LayerParts& p, bool drop) {
  sketch.alloc(p.activation);
  sketch.alloc(p.workspace);
  sketch.run(p.forward, 900'000);
  sketch.free(p.workspace);
  if (drop) sketch.free(p.activation);
}

void backward(Sketch& sketch, const LayerParts& p, bool dropped) {
  if (dropped) {
    sketch.alloc(p.again);
    sketch.run(p.recompute, 800'000);
  }
  sketch.alloc(p.temporary);
  sketch.alloc(p.gradient);
  sketch.run(p.backward, 1'700'000);
  sketch.free(p.temporary);
  sketch.free(dropped ? p.again : p.activation);
}

}  // namespace

BufferId Sketch::buffer(const std::string& name, LayerId layer, Category category,
                        std::int64_t bytes) {
  Buffer& buffer = trace.buffers.emplace_back();
  buffer.name = name;
  buffer.layer = layer;
  buffer.category = category;
  buffer.size_bytes = bytes;
  return BufferId{trace.buffers.size() - 1};
}

LayerId Sketch::layer(const std::string& name) {
  trace.layers.push_back({.name = name, .kind = "linear", .parent = {}});
  return LayerId{trace.layers.size() - 1};
}

OpId Sketch::op(const std::string& name, LayerId layer, Phase phase) {
  Op op;
  op.name = name;
  op.layer = layer;
  op.phase = phase;
  trace.ops.push_back(op);
  return OpId{trace.ops.size() - 1};
}

void Sketch::operand(OpId op, BufferId buffer) {
  trace.ops[op.index()].operands.push_back({.role = "x", .buffer = buffer, .reads = 0});
}

void Sketch::run(OpId op, std::int64_t duration_ns) {
  event(EventKind::op_begin, op.value);
  now_ns_ += duration_ns;
  event(EventKind::op_end, op.value);
}

void Sketch::event(EventKind kind, std::int32_t index) {
  trace.events.push_back({.kind = kind, .time_ns = now_ns_, .index = index});
}

ViewRange random_range(std::mt19937& random, ViewRange within) {
  const auto span = static_cast<std::uint32_t>(within.span());
  const auto draw = [&] { return within.begin + static_cast<std::int64_t>(random() % span); };
  const std::int64_t a = draw();
  const std::int64_t b = draw();
  return {std::min(a, b), std::max(a, b) + 1};
}

Trace random_trace(const RandomSpec& spec) {
  std::mt19937 random(spec.seed);
  const auto below = [&random](std::int64_t n) { return static_cast<std::int64_t>(random()) % n; };
  Sketch sketch;
  const LayerId layer = sketch.layer("layer");
  const OpId op = sketch.op("layer.forward", layer, Phase::forward);
  std::vector<BufferId> live;
  std::vector<BufferId> dead;
  for (std::int64_t i = 0; i < spec.change_count; ++i) {
    if (below(2) == 0) sketch.wait(below(spec.most_pause_ns + 1));
    if (below(8) == 0) sketch.run(op, below(5));
    const auto aim = static_cast<std::size_t>(20 + 15 * (i / 200 % 3));
    if (live.size() > aim || (!live.empty() && below(3) == 0)) {
      std::swap(live[static_cast<std::size_t>(below(static_cast<std::int64_t>(live.size())))],
                live.back());
      sketch.free(live.back());
      dead.push_back(live.back());
      live.pop_back();
    } else if (!dead.empty() && below(2) == 0) {  // the same buffer lives again
      live.push_back(dead.back());
      dead.pop_back();
      sketch.alloc(live.back());
    } else {
      const auto category = static_cast<Category>(below(k_category_count));
      live.push_back(sketch.buffer(fmt::format("b{}", i), layer, category, 256 * (1 + below(99))));
      sketch.operand(op, live.back());
      sketch.alloc(live.back());
    }
  }
  sketch.trace.ops[op.index()].operands.resize(
      std::min<std::size_t>(sketch.trace.ops[op.index()].operands.size(), 50));
  return sketch.trace;
}

Trace training_trace(const TrainingSpec& spec) {
  Sketch sketch;
  Meta& meta = sketch.trace.meta;
  meta.kind = spec.recompute ? TraceKind::planned : TraceKind::recorded;
  meta.level = 1;
  meta.title = "gpt2-tiny batch 4 sequence 32 adamw";
  meta.backend = "cpu";
  const LayerId data = sketch.layer("data");
  const BufferId tokens = sketch.buffer("tokens", data, Category::input, 2 * spec.unit_bytes);
  const OpId load = sketch.op("data.load", data, Phase::forward);
  sketch.operand(load, tokens);
  std::vector<LayerParts> parts;
  for (int i = 0; i < spec.layer_count; ++i) {
    parts.push_back(make_layer(sketch, i, spec.unit_bytes));
    sketch.alloc(parts.back().weight);
    sketch.alloc(parts.back().moments);
    sketch.run(parts.back().init, 400'000);
  }
  for (int step = 0; step < spec.step_count; ++step) {
    sketch.begin_step(step);
    sketch.alloc(tokens);
    sketch.run(load, 300'000);
    const auto dropped = [&spec](int i) { return spec.recompute && i % 2 == 1; };
    for (int i = 0; i < spec.layer_count; ++i) {
      forward(sketch, parts[static_cast<std::size_t>(i)], dropped(i));
    }
    for (int i = spec.layer_count; i-- > 0;) {
      backward(sketch, parts[static_cast<std::size_t>(i)], dropped(i));
    }
    for (const LayerParts& p : parts) {
      sketch.run(p.update, 250'000);
      sketch.free(p.gradient);
    }
    sketch.free(tokens);
    sketch.wait(500'000);
    sketch.end_step(step);
  }
  return sketch.trace;
}

RunPtr run_of(Trace trace) {
  if (!trace.events.empty()) return std::make_shared<const Run>("synthetic.tmk", std::move(trace));
  RunTimeline nothing = RunRecording(trace, 0).finish(trace.events);
  return std::make_shared<const Run>("synthetic.tmk", std::move(trace), std::move(nothing));
}

ViewState state_of(RunPtr run) {
  ViewState state;
  state.run = std::move(run);
  state.range = limits_of(state);
  return state;
}

}  // namespace tidemark::test
