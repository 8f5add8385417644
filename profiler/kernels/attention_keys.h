// Where an attention op has the keys and values of one head: beside its queries, or put together
// from the parts of several ranks.
#pragma once

#include <algorithm>
#include <cstdint>

#include "profiler/kernels/kernel_call.h"

namespace tidemark::kernels {

/// Keys and values are columns of qkv [B,T,3C], or of kv [R,B,S/R,2C]: R parts of consecutive
/// tokens, as an all_gather lays them. Gradients lie in dqkv or dkv in the same way.
struct AttentionKeys {
  std::int64_t count;     // S
  std::int64_t position;  // of the first query among them: query t sees position + t + 1 keys
  std::int64_t row;       // numbers from one token to the next
  std::int64_t values;    // and from a key to its value
  std::int64_t part_tokens;
  std::int64_t part_stride;  // numbers from one part to the next
  bool apart;                // in kv

  explicit AttentionKeys(const KernelCall& call) {
    const Buffer& qkv = call.buffer("qkv");
    const std::int64_t tokens = qkv.shape[1];
    values = qkv.shape[2] / 3;
    apart = call.has("kv");
    if (apart) {
      const std::vector<std::int64_t>& shape = call.buffer("kv").shape;
      count = shape[0] * shape[2];
      row = shape[3];
      part_tokens = shape[2];
      part_stride = shape[1] * shape[2] * shape[3];
    } else {
      count = tokens;
      row = 3 * values;
      part_tokens = tokens;
      part_stride = 0;
    }
    position = call.position(tokens, count);
  }

  /// Of the first key of a head that begins at column `column` of the channels of sample b.
  [[nodiscard]] std::int64_t offset(std::int64_t b, std::int64_t column) const {
    return b * part_tokens * row + (apart ? 0 : values) + column;
  }
  /// The operand that holds keys, or their gradients.
  template <class T>
  [[nodiscard]] T* pointer(const KernelCall& call, bool gradients) const {
    if (gradients) return call.pointer<T>(apart ? "dkv" : "dqkv");
    return call.pointer<T>(apart ? "kv" : "qkv");
  }

  /// Calls one(first, count, offset) for the parts of the first `seen` keys, `offset` of its first
  /// from the first of all.
  template <class One>
  void over_parts(std::int64_t seen, const One& one) const {
    for (std::int64_t first = 0; first < seen; first += part_tokens) {
      one(first, std::min(part_tokens, seen - first), first / part_tokens * part_stride);
    }
  }

  /// Gradients of a head's keys and values that no query sees are 0, and so are those columns of
  /// dqkv (from `beside` on, of `tokens` rows of 3 C) that have their gradients in dkv.
  template <class T>
  void clear(T* keys, T* beside, std::int64_t tokens, std::int64_t width) const {
    for (std::int64_t s = position + tokens; s < count; ++s) {
      T* const key = keys + s / part_tokens * part_stride + s % part_tokens * row;
      std::fill_n(key, width, T{0});
      std::fill_n(key + values, width, T{0});
    }
    if (!apart) return;
    for (std::int64_t t = 0; t < tokens; ++t) {
      std::fill_n(beside + (3 * t + 1) * values, width, T{0});
      std::fill_n(beside + (3 * t + 2) * values, width, T{0});
    }
  }
};

}  // namespace tidemark::kernels
