// What a kernel gets: one op, its operands as resolved pointers, and the shapes in the trace.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "sim/op_table.h"
#include "traces/trace.h"

namespace tidemark {

class Dataset;
class ThreadPool;

/// One execution of one op. A kernel is a deterministic function of its operands, its attributes
/// and `step`: it reads nothing else, depends on no address, and writes every byte of an operand
/// that it declares as written.
struct KernelCall {
  const Trace& trace;
  const Op& op;
  std::int64_t step = 0;                 // 0-based, for attributes that are expressions of it
  std::span<std::byte* const> pointers;  // one per row of op.operands
  const Dataset* data = nullptr;         // only load_batch needs it
  ThreadPool* pool = nullptr;  // parts of a kernel may run on it (parts.h); null: one thread

  /// Row of `role` in op.operands; -1 when the operand is absent.
  [[nodiscard]] std::ptrdiff_t row(std::string_view role) const {
    for (std::size_t i = 0; i < op.operands.size(); ++i) {
      if (op.operands[i].role == role) return static_cast<std::ptrdiff_t>(i);
    }
    return -1;
  }
  [[nodiscard]] bool has(std::string_view role) const { return row(role) >= 0; }

  /// Content of an operand; null when the op has no such operand.
  template <class T>
  [[nodiscard]] T* pointer(std::string_view role) const {
    const std::ptrdiff_t i = row(role);
    return i < 0 ? nullptr : reinterpret_cast<T*>(pointers[static_cast<std::size_t>(i)]);
  }
  [[nodiscard]] const Buffer& buffer(std::string_view role) const {
    return trace[op.operands[static_cast<std::size_t>(row(role))].buffer];
  }
  /// True when the operand is there and rounded: its elements are BFloat16.
  [[nodiscard]] bool is_bf16(std::string_view role) const {
    return has(role) && buffer(role).dtype == DType::bf16;
  }
  /// True when the operand is accumulated into, false when it is overwritten.
  [[nodiscard]] bool accumulates(std::string_view role) const {
    const std::ptrdiff_t i = row(role);
    return i >= 0 && op.operands[static_cast<std::size_t>(i)].reads >= 0;
  }
  [[nodiscard]] std::int64_t rows(std::string_view role) const { return row_count(buffer(role)); }
  [[nodiscard]] std::int64_t columns(std::string_view role) const {
    return column_count(buffer(role));
  }
  [[nodiscard]] std::int64_t elements(std::string_view role) const {
    return element_count(buffer(role));
  }
  [[nodiscard]] double real(std::string_view name) const { return real_of(op, name); }
  [[nodiscard]] std::int64_t integer(std::string_view name) const {
    return integer_at(op, name, step);
  }
  /// An integer attribute that counts: at least 1, or op_error() would have refused the op.
  [[nodiscard]] std::int64_t count(std::string_view name) const {
    const std::int64_t value = integer(name);
    assert(value > 0);
    return value;
  }
  /// Attribute `position` of this step, 0 without one. Throws InputError unless `rows` rows from
  /// there on are rows of a table or cache that has `room` of them.
  [[nodiscard]] std::int64_t position(std::int64_t rows, std::int64_t room) const;
};

}  // namespace tidemark
