#include "sim/body_writer.h"

#include <algorithm>
#include <utility>

namespace tidemark {
namespace {

constexpr StreamId k_compute{0};

Instruction line_of(InstructionKind kind, std::int32_t row) {
  return {kind, row};
}

/// Time of one copy: latency + exact bytes / declared bandwidth; 0 when nothing is declared.
std::int64_t copy_ns(const Stream& stream, std::int64_t size_bytes) {
  if (stream.link_bytes_per_s <= 0) return stream.latency_ns;
  const double seconds = static_cast<double>(size_bytes) / stream.link_bytes_per_s;
  return stream.latency_ns + static_cast<std::int64_t>(seconds * 1e9 + 0.5);
}

}  // namespace

BodyWriter::BodyWriter(const Trace& source, const Dataflow& flow)
    : flow_(flow), buffer_copies_(source.buffers.size(), 0), op_copies_(source.ops.size(), 0) {
  out_.meta = source.meta;
  out_.layers = source.layers;
  out_.streams = source.streams;
  out_.groups = source.groups;
  out_.buffers = source.buffers;
  out_.ops = source.ops;
  out_.program.init = source.program.init;
  out_.program.eval = source.program.eval;
  out_.program.final = source.program.final;
  out_.steps = source.steps;
  out_.digests = source.digests;
  if (out_.streams.empty()) out_.streams.push_back({.name = "compute"});
  for (std::size_t row = 0; row < out_.buffers.size(); ++row) {
    out_.buffers[row].offset_bytes = -1;
    out_.buffers[row].origin = BufferId{row};
    current_.emplace_back(row);
  }
  for (std::size_t row = 0; row < out_.ops.size(); ++row) out_.ops[row].origin = OpId{row};
}

void BodyWriter::at(DecisionId decision, OpId place) {
  decision_ = decision;
  place_ = place;
  if (decision.valid() && offloads_.size() <= decision.index()) {
    offloads_.resize(decision.index() + 1);
  }
}

void BodyWriter::run(OpId id) {
  Line line{.op = id, .touches = {}};
  for (Operand& operand : out_.ops[id.index()].operands) {
    operand.buffer = current_[operand.buffer.index()];
    line.touches.push_back(storage_of(out_, operand.buffer));
  }
  lines_.push_back(std::move(line));
}

void BodyWriter::clone(OpId id, const std::vector<BufferId>& wanted) {
  Op op = out_.ops[id.index()];
  op.operands.clear();
  Line line{.op = OpId{out_.ops.size()}, .touches = {}};
  // The original has been renamed already; instances of other copies lead back by their origin.
  for (Operand operand : out_.ops[id.index()].operands) {
    const BufferId origin = out_[operand.buffer].origin;
    const bool is_wanted = std::find(wanted.begin(), wanted.end(), origin) != wanted.end();
    operand.buffer = operand.reads >= 0 ? current_[origin.index()] : add_buffer(origin, "~");
    if (operand.reads < 0) {
      out_.buffers[operand.buffer.index()].category = Category::recomputed_activation;
    }
    if (is_wanted && operand.reads < 0) current_[origin.index()] = operand.buffer;
    line.touches.push_back(storage_of(out_, operand.buffer));
    op.operands.push_back(std::move(operand));
  }
  op.phase = out_[place_].phase;
  op.origin = id;
  op.copy = ++op_copies_[id.index()];
  op.decision = decision_;
  op.name += "~" + std::to_string(op.copy);
  out_.ops.push_back(std::move(op));
  lines_.push_back(std::move(line));
}

BufferId BodyWriter::add_buffer(BufferId origin, const char* suffix) {
  Buffer buffer = out_[origin];
  buffer.copy = ++buffer_copies_[origin.index()];
  buffer.name += suffix + std::to_string(buffer.copy);
  buffer.origin = origin;
  buffer.decision = decision_;
  out_.buffers.push_back(std::move(buffer));
  return BufferId{out_.buffers.size() - 1};
}

Op& BodyWriter::add_op(OpKind kind, const std::string& name, StreamId stream) {
  Op op;
  op.name = name;
  op.kind = kind;
  op.layer = out_[offload().source].layer;
  op.phase = out_[place_].phase;
  op.stream = stream;
  op.micro_batch = out_[place_].micro_batch;
  op.duration_ns = 0;
  op.time_source = TimeSource::modelled;
  op.decision = decision_;
  out_.ops.push_back(std::move(op));
  return out_.ops.back();
}

void BodyWriter::add_event(OpKind kind, StreamId stream, std::int64_t event,
                           std::vector<BufferId> touches) {
  const bool records = kind == OpKind::record_event;
  Op& op = add_op(kind, (records ? "record " : "wait ") + std::to_string(event), stream);
  Attribute attribute;
  attribute.name = "event";
  attribute.integer = event;
  op.attributes.push_back(attribute);
  lines_.push_back({OpId{out_.ops.size() - 1}, std::move(touches)});
}

void BodyWriter::add_copy(StreamId stream, BufferId from, BufferId to) {
  Op& op = add_op(OpKind::copy, "copy to " + out_[to].name, stream);
  op.operands = {{"src", from, 0, -1}, {"dst", to, -1, 0}};
  op.duration_ns = copy_ns(out_[stream], out_[from].size_bytes);
  lines_.push_back({OpId{out_.ops.size() - 1}, {from, to}});
}

/// The compute stream says that both sides are ready, the copy runs, its end is recorded. The
/// target is allocated before the record: whoever had its bytes before is done by then.
void BodyWriter::move(StreamId stream, BufferId from, BufferId to, std::int64_t done_event) {
  const std::int64_t ready = next_event_++;
  add_event(OpKind::record_event, k_compute, ready, {from, to});
  add_event(OpKind::wait_event, stream, ready, {});
  add_copy(stream, from, to);
  add_event(OpKind::record_event, stream, done_event, {});
}

StreamId BodyWriter::stream_of(StreamKind kind, const char* name) {
  for (std::size_t row = 0; row < out_.streams.size(); ++row) {
    if (out_.streams[row].kind == kind) return StreamId{row};
  }
  out_.streams.push_back({.name = name, .kind = kind});
  return StreamId{out_.streams.size() - 1};
}

void BodyWriter::store(BufferId buffer) {
  Offload& o = offload();
  o.source = buffer;
  o.device = current_[buffer.index()];
  o.host = add_buffer(buffer, "~host");
  out_.buffers[o.host.index()].space.kind = SpaceKind::host_pinned;
  o.stored_event = next_event_++;
  move(stream_of(StreamKind::device_to_host, "device to host"), o.device, o.host, o.stored_event);
}

void BodyWriter::release() {
  const Offload& o = offload();
  add_event(OpKind::wait_event, k_compute, o.stored_event, {o.device});
}

void BodyWriter::fetch() {
  Offload& o = offload();
  o.fetched = add_buffer(o.source, "~");
  o.fetched_event = next_event_++;
  move(stream_of(StreamKind::host_to_device, "host to device"), o.host, o.fetched, o.fetched_event);
}

void BodyWriter::arrive() {
  const Offload& o = offload();
  add_event(OpKind::wait_event, k_compute, o.fetched_event, {o.fetched, o.host});
  current_[o.source.index()] = o.fetched;
}

/// Versions count the writes of each instance in issue order; version 0 is the content at the begin
/// of the body. Whether an op reads and writes is kept from the source.
void BodyWriter::number_versions() {
  std::vector<std::int32_t> version(out_.buffers.size(), 0);
  for (const Line& line : lines_) {
    Op& op = out_.ops[line.op.index()];
    for (Operand& operand : op.operands) {
      const std::int32_t now = version[storage_of(out_, operand.buffer).index()];
      if (operand.reads >= 0) operand.reads = now;
      if (operand.writes >= 0) operand.writes = now + 1;
    }
    for (const Operand& operand : op.operands) {
      if (operand.writes < 0) continue;
      version[storage_of(out_, operand.buffer).index()] = operand.writes;
    }
  }
}

void BodyWriter::write_body() {
  const auto moves = [this](BufferId id) {
    const BufferId origin = out_[id].origin;
    return id != origin || flow_[origin].local;
  };
  std::vector<std::size_t> last(out_.buffers.size(), 0);
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    for (const BufferId id : lines_[i].touches) last[id.index()] = i;
  }
  std::vector<bool> live(out_.buffers.size(), false);
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    for (const BufferId id : lines_[i].touches) {
      if (live[id.index()] || !moves(id)) continue;
      live[id.index()] = true;
      out_.program.body.push_back(line_of(InstructionKind::alloc, id.value));
    }
    out_.program.body.push_back(line_of(InstructionKind::run, lines_[i].op.value));
    for (const BufferId id : lines_[i].touches) {
      if (!live[id.index()] || last[id.index()] != i) continue;
      live[id.index()] = false;
      out_.program.body.push_back(line_of(InstructionKind::free, id.value));
    }
  }
}

Trace BodyWriter::finish() {
  number_versions();
  write_body();
  return std::move(out_);
}

}  // namespace tidemark
