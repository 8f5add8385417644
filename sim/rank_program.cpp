#include "sim/rank_program.h"

#include <algorithm>
#include <numeric>

#include "sim/op_table.h"
#include "sim/shard.h"

namespace tidemark {

RankProgram::RankProgram(const Trace& source, RankAxis axis)
    : source_(source), axis_(std::move(axis)), kept_(source.buffers.size()) {
  out_.meta = source.meta;
  out_.layers = source.layers;
  out_.streams = source.streams;
  out_.groups = source.groups;
  if (out_.streams.empty()) out_.streams.push_back({.name = "compute"});
  if (axis_.placed) return;
  const std::int32_t further = axis_.stride * axis_.index;
  out_.meta.rank += further;
  out_.meta.rank_count *= axis_.count;
  for (Group& group : out_.groups) {
    for (std::int32_t& rank : group.ranks) rank += further;
  }
}

RankProgram RankProgram::alone(const Trace& source, std::int32_t ranks) {
  RankProgram out(source, {.count = ranks, .placed = true});
  out.alone_ = true;
  return out;
}

std::int64_t RankProgram::group_of(const RankAxis& axis, const std::string& name,
                                   const std::vector<std::int32_t>& indices) {
  Group group{.name = name, .ranks = {}};
  for (const std::int32_t index : indices) {
    group.ranks.push_back(out_.meta.rank + axis.stride * (index - axis.index));
  }
  const auto same = std::ranges::find(out_.groups, group.ranks, &Group::ranks);
  const std::int64_t row = same - out_.groups.begin();
  if (same == out_.groups.end()) out_.groups.push_back(std::move(group));
  return row;
}

std::int64_t RankProgram::group_of(const RankAxis& axis) {
  std::vector<std::int32_t> indices(static_cast<std::size_t>(axis.count));
  std::iota(indices.begin(), indices.end(), 0);
  return group_of(axis, axis.name, indices);
}

Shard RankProgram::shard_along(const RankAxis& axis) {
  GroupId group;
  if (!alone_) group = GroupId{static_cast<std::size_t>(group_of(axis))};
  return {.group = group, .index = axis.index, .count = axis.count};
}

BufferId RankProgram::add_row(Buffer buffer, BufferId origin) {
  buffer.space.rank = out_.meta.rank;
  buffer.offset_bytes = -1;
  buffer.origin = origin;
  buffer.copy = 0;
  out_.buffers.push_back(std::move(buffer));
  return BufferId{out_.buffers.size() - 1};
}

BufferId RankProgram::kept(BufferId of_source) {
  if (const BufferId known = kept_[of_source.index()]; known.valid()) return known;
  const BufferId storage = source_[of_source].storage;
  return kept_[of_source.index()] = storage.valid() ? view(of_source, kept(storage))
                                                    : add_row(source_[of_source], of_source);
}

BufferId RankProgram::view(BufferId of_source, BufferId owner) {
  Buffer buffer = source_[of_source];
  buffer.storage = owner;
  return add_row(std::move(buffer), of_source);
}

BufferId RankProgram::like(BufferId of_source, const std::string& suffix) {
  Buffer buffer = source_[of_source];
  buffer.name += suffix;
  return add_row(std::move(buffer), of_source);
}

Whole RankProgram::whole(BufferId of_source, const std::string& suffix, const RankAxis& axis) {
  const Buffer& source = source_[of_source];
  const std::int64_t elements = element_count(source);
  const std::int64_t padded = part_of(elements, axis.count) * axis.count;
  if (padded == elements) {
    const BufferId row = like(of_source, suffix);
    return {.owner = row, .value = row, .padding = {}};
  }
  const std::int64_t element_bytes = size_bytes(source.dtype);
  Buffer owner = source;
  owner.name += suffix + ".padded";
  owner.shape = {padded};
  owner.size_bytes = padded * element_bytes;
  Whole out;
  out.owner = add_row(owner, of_source);
  out.value = like(of_source, suffix);
  out_.buffers[out.value.index()].storage = out.owner;
  Buffer padding = source;
  padding.name += suffix + ".padding";
  padding.shape = {padded - elements};
  padding.size_bytes = (padded - elements) * element_bytes;
  padding.storage = out.owner;
  padding.storage_offset_bytes = elements * element_bytes;
  padding.category = Category::communication;  // it is there so that parts are equal
  out.padding = add_row(padding, of_source);
  return out;
}

BufferId RankProgram::part(BufferId of_source, const Whole& whole, const std::string& suffix,
                           const RankAxis& axis) {
  const Buffer& source = source_[of_source];
  const std::int64_t elements = element_count(source);
  const std::int64_t count = part_of(elements, axis.count);
  const std::int64_t beyond = std::max<std::int64_t>(0, count * (axis.index + 1) - elements);
  const std::int64_t element_bytes = size_bytes(source.dtype);
  Buffer buffer = source;
  buffer.name += suffix;
  buffer.shape = {count};
  buffer.size_bytes = count * element_bytes;
  buffer.shard = shard_along(axis);
  buffer.shard.padding_bytes = std::min(beyond, count) * element_bytes;
  if (whole.owner.valid()) {
    buffer.storage = whole.owner;
    buffer.storage_offset_bytes = axis.index * buffer.size_bytes;
  }
  return add_row(buffer, of_source);
}

BufferId RankProgram::split(BufferId of_source, int dimension) {
  Buffer buffer = source_[of_source];
  std::int64_t& extent = buffer.shape.at(static_cast<std::size_t>(dimension));
  extent /= ranks();
  buffer.size_bytes = element_count(buffer) * size_bytes(buffer.dtype);
  buffer.shard = shard_along(axis_);
  buffer.shard.dimension = dimension;
  return add_row(std::move(buffer), of_source);
}

BufferId RankProgram::resized(BufferId of_source, std::vector<std::int64_t> shape) {
  Buffer buffer = source_[of_source];
  buffer.shape = std::move(shape);
  buffer.size_bytes = element_count(buffer) * size_bytes(buffer.dtype);
  return add_row(std::move(buffer), of_source);
}

BufferId RankProgram::exchanged(BufferId of_source, std::vector<std::int64_t> shape,
                                const std::string& suffix) {
  const BufferId row = resized(of_source, std::move(shape));
  out_.buffers[row.index()].name += suffix;
  out_.buffers[row.index()].category = Category::communication;
  return row;
}

BufferId RankProgram::factors(const Op& op, BufferId of_source,
                              const std::vector<BufferId>& before) {
  std::int64_t elements = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const std::string& role = op.operands[i].role;
    const bool is_factor = role == "x" || role == "w" || role == "dy";
    const bool has_own = role == "dy" && find_operand(op, "bf16_dy") != nullptr;
    const Buffer& factor = out_[before[i]];
    if (is_factor && !has_own && factor.dtype != DType::bf16) elements += element_count(factor);
  }
  return resized(of_source, {elements});
}

BufferId RankProgram::rows(BufferId matrix, std::int64_t first, std::int64_t count,
                           const std::string& suffix) {
  Buffer buffer = out_[matrix];
  const std::int64_t columns = buffer.shape.size() > 1 ? column_count(buffer) : 1;
  const std::int64_t row_bytes = columns * size_bytes(buffer.dtype);
  buffer.name += suffix;
  buffer.category = Category::communication;  // it is there for a moment, to be copied
  buffer.shape = buffer.shape.size() > 1 ? std::vector{count, columns} : std::vector{count};
  buffer.size_bytes = count * row_bytes;
  buffer.shard = {};
  buffer.storage = matrix;
  buffer.storage_offset_bytes = first * row_bytes;
  return add_row(buffer, buffer.origin);
}

std::vector<OpId>& RankProgram::ops_of(Pass::Section section) {
  if (section == Pass::Section::init) return schedule_.init;
  return section == Pass::Section::body ? schedule_.body : schedule_.eval;
}

void RankProgram::run(OpId of_source, const std::vector<BufferId>& buffers, Pass::Section section,
                      double work_share) {
  Op op = source_[of_source];
  for (std::size_t i = 0; i < buffers.size(); ++i) op.operands[i].buffer = buffers[i];
  op.origin = of_source;
  op.copy = 0;
  if (work_share != 1 && op.duration_ns > 0) {
    op.duration_ns = static_cast<std::int64_t>(static_cast<double>(op.duration_ns) * work_share);
    op.time_source = TimeSource::modelled;
  }
  out_.ops.push_back(std::move(op));
  ops_of(section).push_back(OpId{out_.ops.size() - 1});
}

void RankProgram::add(OpKind kind, const std::string& name, const std::vector<Use>& uses,
                      OpId place, Pass::Section section, std::vector<Attribute> attributes) {
  const Op& near = source_[place];
  Op op;
  op.name = name;
  op.kind = kind;
  op.layer = uses.empty() ? near.layer : out_[uses[0].second].layer;
  op.phase = near.phase;
  op.micro_batch = near.micro_batch;
  for (const auto& [role, buffer] : uses) op.operands.push_back({role, buffer, -1, -1});
  op.attributes = std::move(attributes);
  out_.ops.push_back(std::move(op));
  ops_of(section).push_back(OpId{out_.ops.size() - 1});
}

void RankProgram::meet_along(const RankAxis& axis, OpKind kind, const std::string& name,
                             const std::vector<Use>& uses, OpId place, Pass::Section section) {
  add(kind, name, uses, place, section,
      {integer("group", group_of(axis)), integer("sequence", 0), text("order", "rank")});
}

void RankProgram::meet_some(const std::string& group, const std::vector<std::int32_t>& indices,
                            OpKind kind, const std::string& name, const std::vector<Use>& uses,
                            OpId place, Pass::Section section) {
  add(kind, name, uses, place, section,
      {integer("group", group_of(axis_, group, indices)), integer("sequence", 0),
       text("order", "rank")});
}

void RankProgram::clear_padding(const Whole& whole, OpId place, Pass::Section section) {
  if (!whole.padding.valid()) return;
  add(OpKind::fill, out_[whole.padding].name + ".clear", {{"y", whole.padding}}, place, section,
      {real("value", 0)});
}

Trace RankProgram::finish(const std::string& stage) {
  assign_versions(out_, schedule_);
  out_.program = with_lifetimes(out_, schedule_);
  number_collectives(out_);
  out_.meta.kind = TraceKind::planned;
  out_.meta.source = source_.meta.title;
  out_.meta.title += stage;
  return std::move(out_);
}

}  // namespace tidemark
