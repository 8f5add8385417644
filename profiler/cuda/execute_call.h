// From a call to its launches: one text for the plug-in and for the host (tests).
#pragma once

#include <type_traits>

#include "profiler/cuda/attention_bodies.h"
#include "profiler/cuda/balance_bodies.h"
#include "profiler/cuda/cudnn_attention.h"
#include "profiler/cuda/decoder_bodies.h"
#include "profiler/cuda/execute_image.h"
#include "profiler/cuda/flash_bodies.h"
#include "profiler/cuda/kernel_bodies.h"
#include "profiler/cuda/row_bodies.h"
#include "profiler/cuda/table_bodies.h"

namespace tidemark::cuda {

/// What Place::product returns for a product with a_sums that it cannot make in one.
inline constexpr int k_sums_not_fused = -2;

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

/// `Place` launches: int each(std::int64_t count, body), int teams(std::int64_t count, team body),
/// int product(const Product&); double* partials() are k_partials doubles in its memory; bool
/// attends(const AttentionShape&, workspace bytes) says whether a library makes attention in that,
/// and int attend(const AttentionShape&, const AttentionOperands&, void* workspace) has it done.
/// The ints are 0 or a code; the first that is not 0 ends the call.
template <class Place>
class Execution {
 public:
  Execution(Place& place, const Call& call) : place_(place), call_(call) {}

  int run() {
    switch (call_.kernel) {
      case Kernel::fill:  // y; count; value
        return each(size(0), Fill{at(0), real(0)});
      case Kernel::round:  // x, y (bf16); count
        return each(size(0), Round{at(0), static_cast<BFloat16*>(call_.pointers[1])});
      case Kernel::product:
        return product();
      case Kernel::column_sums:  // dy, sums; rows, columns
        return column_sums(0, 1, size(0), size(1));
      case Kernel::sigmoid_forward:
      case Kernel::tanh_forward:
      case Kernel::relu_forward:
      case Kernel::gelu_forward:  // x, y; count
        return typed(1, [this](auto* y) {
          return each(size(0), Activation{call_.kernel, at(0), y});
        });
      case Kernel::sigmoid_backward:
      case Kernel::tanh_backward:
      case Kernel::relu_backward:
      case Kernel::gelu_backward:  // dy, saved, dx; count
        return typed(2, [this](auto* dx) {
          return each(size(0), ActivationSlope{call_.kernel, at(0), at(1), dx});
        });
      case Kernel::add:  // a, b, y; count
        return each(size(0), Add{at(0), at(1), at(2)});
      case Kernel::add_bias:  // y, b; rows, columns
        return each(size(0) * size(1), AddBias{at(0), at(1), size(1)});
      case Kernel::slice_columns:  // x, y; rows, columns of x, of y, first
        return each(size(0) * size(2), SliceColumns{at(0), at(1), size(1), size(2), size(3)});
      case Kernel::insert_columns:  // x, y; rows, columns of x, of y, first
        return each(size(0) * size(1), InsertColumns{at(0), at(1), size(1), size(2), size(3)});
      case Kernel::cross_entropy_forward:
      case Kernel::cross_entropy_backward:
        return cross_entropy();
      case Kernel::embedding_forward:  // tokens, wte, wpe, y; tokens, sequence, channels
        return each(size(0) * size(2),
                    Embedding{indices(0), at(1), at(2), at(3), size(1), size(2)});
      case Kernel::embedding_backward:
        return embedding_backward();
      case Kernel::layer_norm_forward:  // x, w, b, y, mean, inverse deviation; rows, channels;
                                        // epsilon
        return typed(3, [this](auto* y) {
          return teams(size(0), LayerNorm{at(0), at(1), at(2), y, at(4), at(5), size(1), real(0)});
        });
      case Kernel::layer_norm_backward:
        return layer_norm_backward();
      case Kernel::attention_forward:  // qkv, probabilities, y; batch, tokens, channels, heads
        return teams(heads().rows(),
                     AttentionForward{attention(3), at(0), keys(0, 3), at(1), at(2)});
      case Kernel::attention_backward:
        return attention_backward();
      case Kernel::flash_attention_forward:
        return flash_forward();
      case Kernel::flash_attention_backward:
        return flash_backward();
      default:
        return update();
    }
  }

 private:
  [[nodiscard]] float* at(int i) const { return static_cast<float*>(call_.pointers[i]); }
  [[nodiscard]] const std::int32_t* indices(int i) const {
    return static_cast<const std::int32_t*>(call_.pointers[i]);
  }
  [[nodiscard]] std::int64_t size(int i) const { return call_.sizes[i]; }
  [[nodiscard]] float real(int i) const { return call_.reals[i]; }
  [[nodiscard]] bool is_bf16(int i) const { return (call_.bf16 >> i & 1U) != 0; }
  [[nodiscard]] bool adds(int i) const { return (call_.accumulates >> i & 1U) != 0; }
  [[nodiscard]] Heads heads() const { return {size(0), size(1), size(2), size(3)}; }
  [[nodiscard]] GroupedHeads grouped_heads() const {
    return {size(1), size(2), size(3), size(4), size(5), static_cast<double>(real(0))};
  }
  [[nodiscard]] Router router() const { return {size(1), size(2), size(3)}; }
  /// Of an op of experts but route.
  [[nodiscard]] Slots slots(int i) const { return {indices(i), size(1), size(3)}; }
  template <class Body>
  int each(std::int64_t count, const Body& body) {
    return count > 0 ? place_.each(count, body) : 0;
  }
  template <class Body>
  int teams(std::int64_t count, const Body& body) {
    return count > 0 ? place_.teams(count, body) : 0;
  }

  /// Calls run(pointer to what the elements of operand i are).
  template <class Run>
  int typed(int i, const Run& run) {
    return is_bf16(i) ? run(static_cast<BFloat16*>(call_.pointers[i])) : run(at(i));
  }

  /// a, b (both f32 or both bf16), c, bias?, sums of a along k?; m, n, k, 1: a is transposed and
  /// 2: b is
  int product() {
    Product p;
    p.m = size(0), p.n = size(1), p.k = size(2);
    p.a = call_.pointers[0], p.b = call_.pointers[1];
    p.c = at(2), p.bias = at(3), p.a_sums = at(4);
    p.a_transposed = (size(3) & 1) != 0;
    p.b_transposed = (size(3) & 2) != 0;
    p.accumulates = adds(2);
    p.is_bf16 = is_bf16(0);
    const int code = place_.product(p);
    if (code != k_sums_not_fused) return code;
    p.a_sums = nullptr;
    if (const int other = place_.product(p)) return other;
    return column_sums(0, 4, size(2), size(0));
  }

  int column_sums(int from, int to, std::int64_t rows, std::int64_t columns) {
    return typed(from, [&](auto* dy) {
      return teams(column_groups(columns), ColumnSums{dy, at(to), rows, columns, adds(to)});
    });
  }

  /// logits, target, log-sum-exp, loss (forward only); rows, classes; scale
  int cross_entropy() {
    const std::int64_t rows = size(0);
    const std::int64_t classes = size(1);
    if (call_.kernel == Kernel::cross_entropy_backward) {
      return each(rows * classes, CrossEntropySlope{at(0), indices(1), at(2), classes, real(0)});
    }
    if (int code = teams(rows, LogSumExp{at(0), at(2), classes})) return code;
    return teams(
        1, MeanLoss{at(0), indices(1), at(2), at(3), rows, classes, static_cast<double>(real(0))});
  }

  /// dy, tokens, dwte, dwpe; tokens, sequence, channels, rows of dwte, of dwpe, first position
  int embedding_backward() {
    const TableSlope table{at(0), indices(1), at(2), size(0), size(2), adds(2)};
    if (int code = teams(size(3), table)) return code;
    return each(size(4) * size(2),
                PositionSlope{at(0), at(3), size(0), size(1), size(2), size(5), adds(3)});
  }

  /// dy, x, w, mean, inverse deviation, residual?, dx, dw, db; rows, channels
  int layer_norm_backward() {
    const LayerNormSlope rows{at(0), at(1), at(2), at(3), at(4), at(5), at(6), size(1)};
    if (int code = teams(size(0), rows)) return code;
    return teams(column_groups(size(1)),
                 LayerNormWeightSlope{at(0), at(1), at(3), at(4), at(7), at(8), size(0), size(1),
                                      adds(7), adds(8)});
  }

  /// Sizes of attention: batch, tokens, channels, heads, bytes of the workspace when
  /// a library may multiply in bf16 there, else 0, keys, position,
  /// tokens of a part; kv? is pointer `kv`.
  [[nodiscard]] Attention attention(int kv) const {
    return {heads(), size(5), size(6), size(7), at(kv) != nullptr, call_.mask};
  }
  /// Of keys: their own operand where there is one, or that of the queries.
  [[nodiscard]] float* keys(int qkv, int kv) const { return at(kv) != nullptr ? at(kv) : at(qkv); }

  /// qkv, probabilities, dy, dqkv, workspace [T,S], kv?, dkv?. The workspace holds one head, so
  /// heads come one after the other.
  int attention_backward() {
    const Attention a = attention(5);
    for (std::int64_t first = 0; first < a.heads.rows(); first += a.heads.tokens) {
      const AttentionSlope of{a, at(0), keys(0, 5), at(1), at(2), at(3), keys(3, 6), at(4), first};
      if (int code = teams(a.heads.tokens, AttentionQuerySlope{of})) return code;
      if (int code = teams(a.keys, AttentionKeySlope{of})) return code;
    }
    return 0;
  }

  [[nodiscard]] AttentionShape attention_shape(bool is_backward) const {
    return {size(0), size(1), size(2), size(3), is_backward};
  }
  int rounded(const float* from, BFloat16* to, std::int64_t count) {
    return each(count, Round{from, to});
  }

  /// qkv, y, log-sum-exp, workspace, kv?
  int flash_forward() {
    const std::int64_t count = size(0) * size(1) * size(2);
    Room room(call_.pointers[3], size(4));
    auto* const qkv = room.take<BFloat16>(3 * count);
    auto* const y = room.take<BFloat16>(count);
    const AttentionShape shape = attention_shape(false);
    if (size(4) == 0 || !place_.attends(shape, room.bytes())) return own_flash_forward();
    AttentionOperands operands;
    operands.qkv = qkv, operands.y = y, operands.log_sum_exp = at(2);
    if (int code = rounded(at(0), qkv, 3 * count)) return code;
    if (int code = place_.attend(shape, operands, room.rest())) return code;
    return each(count, Widen{y, at(1)});
  }

  int own_flash_forward() {
    const Attention a = attention(4);
    return by_width([&](auto width) {
      return teams(tiles_of(a.heads, a.heads.tokens),
                   FlashForward<decltype(width)::value>{a, at(0), keys(0, 4), at(1), at(2)});
    });
  }

  /// dy, qkv, y, log-sum-exp, dqkv, workspace, kv?, dkv?
  int flash_backward() {
    const std::int64_t count = size(0) * size(1) * size(2);
    Room room(call_.pointers[5], size(4));
    AttentionOperands operands;
    auto* const dy = room.take<BFloat16>(count);
    auto* const qkv = room.take<BFloat16>(3 * count);
    auto* const y = room.take<BFloat16>(count);
    auto* const dqkv = room.take<BFloat16>(3 * count);
    operands.dy = dy, operands.qkv = qkv, operands.y = y, operands.dqkv = dqkv;
    operands.log_sum_exp = at(3);
    operands.row_sums = room.take<float>(heads().rows());
    const AttentionShape shape = attention_shape(true);
    if (size(4) == 0 || !place_.attends(shape, room.bytes())) return own_flash_backward();
    if (int code = rounded(at(0), dy, count)) return code;
    if (int code = rounded(at(1), qkv, 3 * count)) return code;
    if (int code = rounded(at(2), y, count)) return code;
    if (int code = place_.attend(shape, operands, room.rest())) return code;
    return each(3 * count, Widen{dqkv, at(4)});
  }

  int own_flash_backward() {
    const Attention a = attention(6);
    const FlashSlope of{a, at(0), at(1), keys(1, 6), at(2), at(3), at(4), keys(4, 7)};
    return by_width([&](auto width) {
      constexpr int k_width = decltype(width)::value;
      const std::int64_t tiles = tiles_of(a.heads, a.heads.tokens);
      if (int code = teams(tiles, FlashQuerySlope<k_width>{of})) return code;
      return teams(tiles_of(a.heads, a.keys), FlashKeySlope<k_width>{of});
    });
  }

  /// run(integral constant that heads fit in); wider ones were refused.
  template <class Run>
  int by_width(const Run& run) {
    const std::int64_t width = heads().width();
    if (width <= 64) return run(std::integral_constant<int, 64>{});
    if (width <= 128) return run(std::integral_constant<int, 128>{});
    return run(std::integral_constant<int, k_most_width>{});
  }

  int update() {
    switch (call_.kernel) {
      case Kernel::sgd:  // w, dw; count; rate, decay
        return each(size(0), SgdUpdate{at(0), at(1), real(0), real(1)});
      case Kernel::momentum:  // w, dw, velocity; count; rate, keep, decay
        return each(size(0), MomentumUpdate{at(0), at(1), at(2), real(0), real(1), real(2)});
      case Kernel::adam:  // w, dw, m, v; count; as AdamUpdate
        return each(size(0), AdamUpdate{at(0), at(1), at(2), at(3), real(0), real(1), real(2),
                                        real(3), real(4), real(5), real(6)});
      case Kernel::sum_of_squares: {  // x, sum; count
        double* parts = place_.partials();
        if (int code = teams(k_partials, SquareParts{at(0), size(0), parts})) return code;
        return teams(1, TotalOfParts{parts, at(1), adds(1)});
      }
      case Kernel::clip_factor:  // sum, factor; ; most
        return each(1, ClipFactor{at(0), at(1), real(0)});
      case Kernel::scale_by:  // x, factor; count
        return each(size(0), ScaleBy{at(0), at(1)});
      case Kernel::dropout:  // x, y; count
        return each(size(0), Dropout{call_.mask, at(0), at(1)});
      default:
        return decoder();
    }
  }

  int decoder() {
    switch (call_.kernel) {
      case Kernel::rms_norm_forward:  // x, w, y, inverse rms; rows, channels; epsilon
        return typed(2, [this](auto* y) {
          return teams(size(0), RmsNorm{at(0), at(1), y, at(3), size(1), real(0)});
        });
      case Kernel::rms_norm_backward:
        return rms_norm_backward();
      case Kernel::rotary_forward:  // x, y; rows, tokens, heads, groups, width, position; base
        return each(size(0) * 3 * size(2) * size(4) / 2, Rotary{grouped_heads(), at(0), at(1)});
      case Kernel::rotary_backward:  // dy, dx; as forward
        return each(size(0) * (size(2) + 2 * size(3)) * size(4) / 2,
                    RotarySlope{grouped_heads(), at(0), at(1)});
      case Kernel::swiglu_forward:  // x, y; rows, columns of y
        return typed(1, [this](auto* y) {
          return each(size(0) * size(1), Swiglu{at(0), y, size(1)});
        });
      case Kernel::swiglu_backward:  // dy, x, dx; rows, columns of dy
        return typed(2, [this](auto* dx) {
          return each(size(0) * size(1), SwigluSlope{at(0), at(1), dx, size(1)});
        });
      case Kernel::token_embedding_forward:  // tokens, w, y; tokens, channels
        return each(size(0) * size(1), TokenEmbedding{indices(0), at(1), at(2), size(1)});
      case Kernel::token_embedding_backward:  // dy, tokens, dw; tokens, channels, rows of dw
        return teams(size(2), TableSlope{at(0), indices(1), at(2), size(0), size(1), adds(2)});
      default:
        return experts();
    }
  }

  /// Sizes of all but route: rows, choices, channels, slots.
  int experts() {
    switch (call_.kernel) {
      case Kernel::route_forward: {  // logits, gates, slots; rows, experts, choices, capacity
        auto* const slots = static_cast<std::int32_t*>(call_.pointers[2]);
        if (int code = each(size(0), Choose{router(), at(0), at(1), slots})) return code;
        return teams(size(1), FillExpert{router(), slots, size(0) * size(2)});
      }
      case Kernel::route_backward:  // dgates, gates, slots, dlogits; as forward
        return each(size(0), RouteSlope{router(), at(0), at(1), indices(2), at(3)});
      case Kernel::dispatch_forward:  // x, slots, y
        return typed(2, [this](auto* y) { return dispatch(y); });
      case Kernel::dispatch_backward:  // dy, slots, residual?, dx
        return each(size(0) * size(2), Gather{at(0), slots(1), nullptr, at(2), at(3), size(2)});
      case Kernel::combine_forward:  // x, slots, gates, y
        return each(size(0) * size(2), Gather{at(0), slots(1), at(2), nullptr, at(3), size(2)});
      case Kernel::combine_backward:  // dy, x, slots, gates, dx, dgates
        if (int code = each(size(3) * size(2), Fill{at(4), 0})) return code;
        return teams(size(0) * size(1),
                     CombineSlope{at(0), at(1), slots(2), at(3), at(4), at(5), size(2)});
      case Kernel::balance_backward:
        return balance_backward();
      default:
        return ImageExecution<Place>(place_, call_).run();
    }
  }

  template <class X>
  int dispatch(X* y) {
    if (int code = each(size(3) * size(2), Fill{y, 0})) return code;
    const auto* const x = static_cast<const X*>(call_.pointers[0]);
    return each(size(0) * size(1) * size(2), Dispatch{x, slots(1), y, size(2)});
  }

  /// dy, x, w, inverse rms, residual?, dx, dw; rows, channels
  int rms_norm_backward() {
    const RmsNormSlope rows{at(0), at(1), at(2), at(3), at(4), at(5), size(1)};
    if (int code = teams(size(0), rows)) return code;
    return teams(column_groups(size(1)),
                 RmsNormWeightSlope{at(0), at(1), at(3), at(6), size(0), size(1), adds(6)});
  }

  /// logits, slots, dlogits; rows, experts, choices, capacity; scale experts / rows
  int balance_backward() {
    double* shares = place_.partials();
    const ExpertShare share{router(), indices(1), size(0) * size(2), shares};
    if (int code = teams(size(1), share)) return code;
    return each(size(0), BalanceSlope{at(0), shares, at(2), size(1), real(0)});
  }

  Place& place_;
  const Call& call_;
};

template <class Place>
int execute_call(Place& place, const Call& call) {
  return Execution<Place>(place, call).run();
}

}  // namespace tidemark::cuda
