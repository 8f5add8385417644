// A program with an offload, written by hand: an activation of an MLP goes to the host after
// forward and comes back for backward, each way on its own stream.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "sim/lifetimes.h"
#include "tests/profiler/programs.h"

namespace tidemark::test {

class OffloadWriter {
 public:
  explicit OffloadWriter(Trace trace) : trace_(std::move(trace)) {
    trace_.streams.resize(1);
    trace_.streams.push_back({.name = "out", .kind = StreamKind::device_to_host});
    trace_.streams.push_back({.name = "in", .kind = StreamKind::host_to_device});
  }

  /// `buffer` leaves after op `last_use` and is back for op `until`.
  Trace offload(const std::string& buffer, const std::string& last_use, const std::string& until) {
    const BufferId device = buffer_named(trace_, buffer);
    const BufferId host = add_buffer(device, ".host", SpaceKind::host_pinned);
    const BufferId back = add_buffer(device, ".back", SpaceKind::device);
    std::vector<Instruction> body;
    bool fetched = false;
    for (const Instruction& line : trace_.program.body) {
      if (is_run_of(line, until)) {
        body.push_back({InstructionKind::alloc, back.value});
        transfer(body, host, back, 2);
        body.push_back({InstructionKind::free, host.value});
        fetched = true;
      }
      const bool frees = line.kind == InstructionKind::free && line.buffer() == device;
      body.push_back(frees ? Instruction{InstructionKind::free, back.value} : line);
      if (fetched && line.kind == InstructionKind::run) read_instead(line.op(), device, back);
      if (is_run_of(line, last_use)) {
        body.push_back({InstructionKind::alloc, host.value});
        transfer(body, device, host, 1);
        body.push_back({InstructionKind::free, device.value});
      }
    }
    trace_.program.body = std::move(body);
    assign_versions(trace_, schedule());
    return trace_;
  }

 private:
  [[nodiscard]] bool is_run_of(const Instruction& line, const std::string& name) const {
    return line.kind == InstructionKind::run && trace_[line.op()].name == name;
  }

  BufferId add_buffer(BufferId like, const std::string& ending, SpaceKind kind) {
    Buffer buffer = trace_[like];
    buffer.name += ending;
    buffer.space.kind = kind;
    buffer.origin = like;
    buffer.copy = 1;
    trace_.buffers.push_back(buffer);
    return BufferId{trace_.buffers.size() - 1};
  }

  void read_instead(OpId op, BufferId from, BufferId to) {
    for (Operand& operand : trace_.ops[op.index()].operands) {
      if (operand.buffer == from) operand.buffer = to;
    }
  }

  /// compute: record a; stream: wait a, copy, record b; compute: wait b
  void transfer(std::vector<Instruction>& body, BufferId from, BufferId to, std::size_t stream) {
    order(body, OpKind::record_event, 0, next_event_);
    order(body, OpKind::wait_event, stream, next_event_);
    Op copy = op(OpKind::copy, stream, trace_[from].name + " to " + trace_[to].name);
    copy.operands = {{.role = "src", .buffer = from, .reads = 0, .writes = -1},
                     {.role = "dst", .buffer = to, .reads = -1, .writes = 0}};
    add(body, copy);
    order(body, OpKind::record_event, stream, next_event_ + 1);
    order(body, OpKind::wait_event, 0, next_event_ + 1);
    next_event_ += 2;
  }

  void order(std::vector<Instruction>& body, OpKind kind, std::size_t stream, std::int64_t event) {
    Op ordering = op(kind, stream, std::string(to_string(kind)) + std::to_string(event));
    Attribute attribute;
    attribute.name = "event";
    attribute.integer = event;
    ordering.attributes.push_back(attribute);
    add(body, ordering);
  }

  [[nodiscard]] static Op op(OpKind kind, std::size_t stream, const std::string& name) {
    Op out;
    out.name = name;
    out.kind = kind;
    out.layer = LayerId{std::size_t{0}};
    out.stream = StreamId{stream};
    return out;
  }

  void add(std::vector<Instruction>& body, const Op& op) {
    trace_.ops.push_back(op);
    body.push_back({InstructionKind::run, static_cast<std::int32_t>(trace_.ops.size()) - 1});
  }

  [[nodiscard]] OpOrder schedule() const {
    const auto ops_of = [](const std::vector<Instruction>& section) {
      std::vector<OpId> ops;
      for (const Instruction& line : section) {
        if (line.kind == InstructionKind::run) ops.push_back(line.op());
      }
      return ops;
    };
    return {.init = ops_of(trace_.program.init),
            .body = ops_of(trace_.program.body),
            .final = ops_of(trace_.program.final),
            .persistent = {}};
  }

  Trace trace_;
  std::int64_t next_event_ = 0;
};

/// small_mlp with the first activation offloaded.
inline Trace offloaded_mlp() {
  return OffloadWriter(build_program(small_mlp()))
      .offload("relu0.y", "linear1.forward", "linear1.backward_weight");
}

}  // namespace tidemark::test
