// Hand-made programs for tests: short names for the parts of a trace.
#pragma once

#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark::test {

inline Instruction alloc(int buffer) {
  return {InstructionKind::alloc, buffer};
}
inline Instruction release(int buffer) {
  return {InstructionKind::free, buffer};
}
inline Instruction run(int op) {
  return {InstructionKind::run, op};
}

inline Buffer buffer(const std::string& name, std::vector<std::int64_t> shape,
                     DType dtype = DType::f32) {
  Buffer b;
  b.name = name;
  b.dtype = dtype;
  b.size_bytes = size_bytes(dtype);
  for (std::int64_t extent : shape) b.size_bytes *= extent;
  b.shape = std::move(shape);
  return b;
}

/// `reads` and `writes` as in Operand.
inline Operand use(const std::string& role, int buffer, int reads, int writes = -1) {
  return {role, BufferId{static_cast<std::size_t>(buffer)}, reads, writes};
}

inline Attribute number(const std::string& name, std::int64_t integer, double real = 0) {
  return {name, integer, 0, real, ""};
}

inline Op op(OpKind kind, std::vector<Operand> operands, std::vector<Attribute> attributes = {}) {
  Op out;
  out.name = to_string(kind);
  out.kind = kind;
  out.operands = std::move(operands);
  out.attributes = std::move(attributes);
  return out;
}

inline Op on(int stream, Op op) {
  op.stream = StreamId{static_cast<std::size_t>(stream)};
  return op;
}

inline Op lasting(std::int64_t duration_ns, Op op) {
  op.duration_ns = duration_ns;
  return op;
}

inline Op fill(int y, int version) {
  return op(OpKind::fill, {use("y", y, -1, version)}, {number("value", 0, 1)});
}
inline Op relu(int x, int x_version, int y, int y_version) {
  return op(OpKind::relu_forward, {use("x", x, x_version), use("y", y, -1, y_version)});
}
inline Op record(int event) {
  return op(OpKind::record_event, {}, {number("event", event)});
}
inline Op wait(int event) {
  return op(OpKind::wait_event, {}, {number("event", event)});
}
inline Op copy(int src, int src_version, int dst, int dst_version) {
  return op(OpKind::copy, {use("src", src, src_version), use("dst", dst, -1, dst_version)});
}

}  // namespace tidemark::test
