#include "sim/program_builder.h"

#include <algorithm>

#include "sim/op_table.h"

namespace tidemark {

Attribute integer(std::string name, std::int64_t value) {
  Attribute a;
  a.name = std::move(name);
  a.integer = value;
  return a;
}

Attribute per_step(std::string name, std::int64_t first, std::int64_t step) {
  Attribute a = integer(std::move(name), first);
  a.per_step = step;
  return a;
}

Attribute real(std::string name, double value) {
  Attribute a;
  a.name = std::move(name);
  a.real = value;
  return a;
}

Attribute text(std::string name, std::string_view value) {
  Attribute a;
  a.name = std::move(name);
  a.text = value;
  return a;
}

LayerId ProgramBuilder::layer(const std::string& name, const std::string& kind) {
  trace_.layers.push_back({name, kind, group_});
  return LayerId{trace_.layers.size() - 1};
}

void ProgramBuilder::group(const std::string& name, const std::string& kind) {
  group_ = layer(name, kind);
}

void ProgramBuilder::end_group() {
  group_ = trace_[group_].parent;
}

void ProgramBuilder::micro_batch(std::int32_t index) {
  begin({.micro_batch = index, .ending = index > 0 ? "@" + std::to_string(index) : ""});
}

void ProgramBuilder::at(LayerId layer, Phase phase) {
  layer_ = layer;
  phase_ = phase == Phase::forward ? pass_.forward : phase;
}

BufferId ProgramBuilder::value(const std::string& name, Category category,
                               std::vector<std::int64_t> shape) {
  return value(name, category, std::move(shape), options_.dtype);
}

BufferId ProgramBuilder::value(const std::string& name, Category category,
                               std::vector<std::int64_t> shape, DType dtype) {
  Buffer b;
  b.name = name + pass_.ending;
  b.layer = layer_;
  b.category = category;
  b.dtype = dtype;
  b.shape = std::move(shape);
  b.size_bytes = element_count(b) * size_bytes(dtype);
  b.origin = BufferId{trace_.buffers.size()};
  trace_.buffers.push_back(std::move(b));
  return BufferId{trace_.buffers.size() - 1};
}

BufferId ProgramBuilder::persistent(LayerId layer, const std::string& name, Category category,
                                    std::vector<std::int64_t> shape, DType dtype) {
  layer_ = layer;
  const BufferId id = value(name, category, std::move(shape), dtype);
  schedule_.persistent.push_back(id);
  return id;
}

BufferId ProgramBuilder::persistent(LayerId layer, const std::string& name, Category category,
                                    std::vector<std::int64_t> shape, double fill) {
  const BufferId id = persistent(layer, name, category, std::move(shape), options_.dtype);
  phase_ = Phase::init;
  run(OpKind::fill, name + ".init", {{"y", id}}, {real("value", fill)});
  return id;
}

Parameter ProgramBuilder::parameter(LayerId layer, const std::string& name,
                                    std::vector<std::int64_t> shape, double deviation,
                                    double fill) {
  Parameter p;
  p.weight = persistent(layer, name, Category::weight, shape, options_.dtype);
  if (options_.gradients) {
    p.gradient = value(name + ".gradient", Category::gradient, std::move(shape));
  }
  phase_ = Phase::init;
  // The row that the weight has with gradients: without them a seed gives the same weights.
  const std::int64_t without = options_.gradients ? 0 : std::ssize(parameters_);
  const std::int64_t key = p.weight.value + without;
  if (deviation > 0) {
    run(OpKind::random_normal, name + ".init", {{"y", p.weight}},
        {real("deviation", deviation), integer("seed", seed()), integer("key", key)});
  } else {
    run(OpKind::fill, name + ".init", {{"y", p.weight}}, {real("value", fill)});
  }
  parameters_.push_back(p);
  return p;
}

BufferId ProgramBuilder::state(BufferId weight, const std::string& suffix) {
  const LayerId layer = layer_;
  const Phase phase = phase_;
  const BufferId id = persistent(layer_of(weight), name_of(weight) + "." + suffix,
                                 Category::optimizer_state, trace_[weight].shape, 0.0);
  at(layer, phase);
  return id;
}

std::vector<Use> ProgramBuilder::with_bf16_factors(const std::string& name, std::vector<Use> uses) {
  const bool dy_is_rounded = std::ranges::find(uses, "bf16_dy", &Use::first) != uses.end();
  std::int64_t elements = 0;
  for (std::size_t i = 0; i < 2; ++i) {  // of every linear kind the first two are the factors
    const Buffer& factor = trace_[uses[i].second];
    const bool done = factor.dtype == DType::bf16 || (uses[i].first == "dy" && dy_is_rounded);
    if (!done) elements += element_count(factor);
  }
  if (elements == 0) return uses;
  uses.emplace_back("bf16_factors",
                    value(name + ".bf16_factors", Category::workspace, {elements}, DType::bf16));
  return uses;
}

BufferId ProgramBuilder::factor_of(const std::string& name, BufferId dy) {
  if (trace_[dy].dtype == factor_type()) return dy;
  return value(name + ".bf16_dy", Category::temporary, trace_[dy].shape, DType::bf16);
}

std::vector<OpId>& ProgramBuilder::section() {
  if (phase_ == Phase::init || pass_.section == Pass::Section::init) return schedule_.init;
  return pass_.section == Pass::Section::eval ? schedule_.eval : schedule_.body;
}

OpId ProgramBuilder::run(OpKind kind, const std::string& name, const std::vector<Use>& uses,
                         std::vector<Attribute> attributes) {
  const bool linear = kind == OpKind::linear_forward || kind == OpKind::linear_backward_data ||
                      kind == OpKind::linear_backward_weight;
  Op op;
  op.name = name + pass_.ending;
  op.micro_batch = pass_.micro_batch;
  op.kind = kind;
  op.layer = layer_;
  op.phase = phase_;
  const std::vector<Use> all =
      linear && options_.bf16_products ? with_bf16_factors(name, uses) : uses;
  for (const auto& [role, buffer] : all) op.operands.push_back({role, buffer, -1, -1});
  op.attributes = std::move(attributes);
  const OpId id{trace_.ops.size()};
  op.origin = id;
  trace_.ops.push_back(std::move(op));
  section().push_back(id);
  return id;
}

Trace ProgramBuilder::finish() {
  assign_versions(trace_, schedule_);
  trace_.program = with_lifetimes(trace_, schedule_);
  return std::exchange(trace_, {});
}

}  // namespace tidemark
