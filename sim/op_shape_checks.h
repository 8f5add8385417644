// What the shape functions of op_shapes.h are written with. An empty text: all is well.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "sim/op_table.h"
#include "traces/trace.h"

namespace tidemark::op_shapes {

using Trouble = std::string;

inline const Buffer& buffer_of(const Trace& trace, const Op& op, std::string_view role) {
  return trace[find_operand(op, role)->buffer];
}

inline bool has(const Op& op, std::string_view role) {
  return find_operand(op, role) != nullptr;
}

inline std::string shape_text(const Buffer& buffer) {
  std::string out = "[";
  for (std::size_t i = 0; i < buffer.shape.size(); ++i) {
    out += (i > 0 ? ", " : "") + std::to_string(buffer.shape[i]);
  }
  return out + "] " + std::string(to_string(buffer.dtype));
}

/// "x is [2, 3] f32, expected 6 columns"
inline Trouble trouble(const Trace& trace, const Op& op, std::string_view role,
                       const std::string& wish) {
  return std::string(role) + " is " + shape_text(buffer_of(trace, op, role)) + ", expected " + wish;
}

inline Trouble want_elements(const Trace& trace, const Op& op, std::string_view role,
                             std::int64_t count) {
  if (!has(op, role) || element_count(buffer_of(trace, op, role)) == count) return {};
  return trouble(trace, op, role, std::to_string(count) + " elements");
}

inline Trouble want_matrix(const Trace& trace, const Op& op, std::string_view role,
                           std::int64_t rows, std::int64_t columns) {
  const Buffer& b = buffer_of(trace, op, role);
  if (row_count(b) == rows && column_count(b) == columns) return {};
  return trouble(trace, op, role, std::to_string(rows) + " rows of " + std::to_string(columns));
}

/// Where the elements of a mask lie in that of the whole: dropout_mask.h.
inline Trouble mask_error(const Op& op) {
  for (const char* name : {"first", "run", "stride", "offset"}) {
    if (integer_at(op, name, 0) < 0) {
      return "attribute " + std::string(name) + " must not be negative";
    }
  }
  return {};
}

/// First non-empty of several.
inline Trouble first_of(std::initializer_list<Trouble> all) {
  for (const Trouble& one : all) {
    if (!one.empty()) return one;
  }
  return {};
}

template <std::size_t N>
Trouble same_elements(const Trace& trace, const Op& op, const std::array<const char*, N>& roles) {
  const std::int64_t count = element_count(buffer_of(trace, op, roles[0]));
  for (const char* role : roles) {
    if (Trouble t = want_elements(trace, op, role, count); !t.empty()) return t;
  }
  return {};
}

}  // namespace tidemark::op_shapes
