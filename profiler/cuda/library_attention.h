// Flash attention by a library: operands are rounded to bfloat16 into the workspace of the op, the
// library works there, and what it made becomes f32 again. Read kernel_bodies.h first.
#pragma once

#include "profiler/cuda/cudnn_attention.h"
#include "profiler/cuda/kernel_bodies.h"

namespace tidemark::cuda {

/// Index: element.
struct Widen {
  const BFloat16* x;
  float* y;
  TIDEMARK_BODY void operator()(std::int64_t i) const { y[i] = to_float(x[i]); }
};

/// Memory that is given out from its begin, in pieces that begin at a granule.
class Room {
 public:
  Room(void* begin, std::int64_t bytes) : next_(static_cast<char*>(begin)), bytes_(bytes) {}

  template <class Element>
  Element* take(std::int64_t count) {
    constexpr std::int64_t k_granule_bytes = 256;
    const auto bytes = count * static_cast<std::int64_t>(sizeof(Element));
    char* const piece = next_;
    const std::int64_t step = (bytes + k_granule_bytes - 1) / k_granule_bytes * k_granule_bytes;
    next_ += step;
    bytes_ -= step;
    return reinterpret_cast<Element*>(piece);
  }
  /// What is left; negative when it was not enough.
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  [[nodiscard]] void* rest() const { return next_; }

 private:
  char* next_;
  std::int64_t bytes_;
};

/// Calls flash_attention_forward (qkv, y, log-sum-exp, workspace) and flash_attention_backward (dy,
/// qkv, y, log-sum-exp, dqkv, workspace); batch, tokens, channels, heads, bytes of the workspace
/// when a library may multiply in bf16 there, else 0. `Place` as in execute_call.h.
template <class Place>
class LibraryAttention {
 public:
  LibraryAttention(Place& place, const Call& call)
      : place_(place),
        call_(call),
        is_backward_(call.kernel == Kernel::flash_attention_backward),
        room_(call.pointers[is_backward_ ? 5 : 3], call.sizes[4]) {}

  /// Whether the call is attention that a library makes; then run() has to follow.
  bool takes() {
    if (!is_backward_ && call_.kernel != Kernel::flash_attention_forward) return false;
    if (call_.sizes[4] == 0) return false;
    const std::int64_t count = elements();
    qkv_ = room_.template take<BFloat16>(3 * count);
    y_ = room_.template take<BFloat16>(count);
    if (is_backward_) {
      dy_ = room_.template take<BFloat16>(count);
      dqkv_ = room_.template take<BFloat16>(3 * count);
      row_sums_ = room_.template take<float>(call_.sizes[0] * call_.sizes[3] * call_.sizes[1]);
    }
    return place_.attends(shape(), room_.bytes());
  }

  int run() {
    AttentionOperands operands;
    operands.qkv = qkv_, operands.y = y_, operands.dy = dy_, operands.dqkv = dqkv_;
    operands.row_sums = row_sums_;
    operands.log_sum_exp = at(is_backward_ ? 3 : 2);
    return is_backward_ ? backward(operands) : forward(operands);
  }

 private:
  int forward(const AttentionOperands& operands) {
    if (int code = round(at(0), qkv_, 3 * elements())) return code;
    if (int code = place_.attend(shape(), operands, room_.rest())) return code;
    return place_.each(elements(), Widen{y_, at(1)});
  }

  int backward(const AttentionOperands& operands) {
    if (int code = round(at(0), dy_, elements())) return code;
    if (int code = round(at(1), qkv_, 3 * elements())) return code;
    if (int code = round(at(2), y_, elements())) return code;
    if (int code = place_.attend(shape(), operands, room_.rest())) return code;
    return place_.each(3 * elements(), Widen{dqkv_, at(4)});
  }

  int round(const float* from, BFloat16* to, std::int64_t count) {
    return place_.each(count, Round{from, to});
  }
  [[nodiscard]] float* at(int i) const { return static_cast<float*>(call_.pointers[i]); }
  [[nodiscard]] std::int64_t elements() const {
    return call_.sizes[0] * call_.sizes[1] * call_.sizes[2];
  }
  [[nodiscard]] AttentionShape shape() const {
    return {call_.sizes[0], call_.sizes[1], call_.sizes[2], call_.sizes[3], is_backward_};
  }

  Place& place_;
  const Call& call_;
  bool is_backward_;
  Room room_;
  BFloat16* qkv_ = nullptr;
  BFloat16* y_ = nullptr;
  BFloat16* dy_ = nullptr;
  BFloat16* dqkv_ = nullptr;
  float* row_sums_ = nullptr;
};

}  // namespace tidemark::cuda
