// Layers that decoders share: attention in its lowerings, with or without a cache, and the residual
// sum. B batch, T tokens, C channels, H heads, S tokens that a cache can hold.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "sim/config.h"
#include "sim/model_parts.h"
#include "sim/op_table.h"
#include "sim/program_builder.h"

namespace tidemark {

/// Keys and values of the tokens that one attention layer has seen, each [B,S,C].
struct Cache {
  BufferId keys, values;
};

/// Bytes of workspace that cuDNN's attention on qkv [B,T,3C] needs: what it reads and writes,
/// rounded to bfloat16, each on a granule; in backward sums of rows in f32 and the gradients of all
/// scores in bfloat16, in tiles of 64 by 128 (cuDNN 9.19 asks for that on all devices since Ampere,
/// and for some 256 bytes more).
[[nodiscard]] inline std::int64_t cudnn_room_bytes(const Shape& qkv, std::int64_t heads,
                                                   bool is_backward) {
  constexpr std::int64_t k_some_bytes = 4096;
  const std::int64_t rows = qkv[0] * heads * qkv[1];
  const std::int64_t wide = round_up(2 * qkv[0] * qkv[1] * qkv[2], k_granule_bytes);
  const std::int64_t narrow = round_up(2 * qkv[0] * qkv[1] * qkv[2] / 3, k_granule_bytes);
  if (!is_backward) return wide + narrow + k_some_bytes;
  const std::int64_t scores = 2 * qkv[0] * heads * round_up(qkv[1], 64) * round_up(qkv[1], 128);
  return 2 * wide + 2 * narrow + round_up(4 * rows, k_granule_bytes) + scores + k_some_bytes;
}

struct Attention {
  LayerId layer;
  std::string name;
  std::int64_t heads = 1;
  AttentionLowering lowering = AttentionLowering::composite;
  double dropout = 0;                   // of the probabilities
  Cache cache{};                        // inference
  std::vector<Attribute> attributes{};  // of the last forward op
  BufferId qkv{}, probabilities{}, y{}, log_sum_exp{};

  BufferId forward(ProgramBuilder& p, BufferId input) {
    qkv = input;
    p.at(layer, Phase::forward);
    const Shape shape = y_shape(p);
    if (lowering == AttentionLowering::composite) {
      probabilities = p.value(name + ".probabilities", Category::activation,
                              {shape[0], heads, shape[1], shape[1]});
    }
    y = p.value(name + ".y", Category::activation, shape);
    const bool drops = dropout > 0 && p.trains();
    attributes = {integer("heads", heads)};
    if (drops) {
      const auto random = dropout_attributes(p, dropout, p.random_key());
      attributes.insert(attributes.end(), random.begin(), random.end());
    }
    if (lowering == AttentionLowering::cudnn) attributes.push_back(integer("bf16", 1));
    if (lowering != AttentionLowering::composite) return flash_forward(p);
    std::vector<Use> uses{{"qkv", qkv}, {"probabilities", probabilities}, {"y", y}};
    if (drops) uses.emplace_back("workspace", scores(p, ".forward_workspace", 1));
    p.run(OpKind::attention_forward, name + ".forward", uses, attributes);
    return y;
  }

  /// Appends the tokens of `input` to the cache, from `position` on, and looks at all of it.
  BufferId cached_forward(ProgramBuilder& p, BufferId input, const Attribute& position) {
    qkv = input;
    p.at(layer, Phase::forward);
    const std::int64_t rows = std::min(k_flash_rows, p.shape_of(qkv)[1]);
    y = p.value(name + ".y", Category::activation, y_shape(p));
    const BufferId workspace =
        p.value(name + ".workspace", Category::workspace, {rows, p.shape_of(cache.keys)[1]});
    p.run(OpKind::cached_attention_forward, name + ".forward",
          {{"qkv", qkv},
           {"keys", cache.keys},
           {"values", cache.values},
           {"y", y},
           {"workspace", workspace}},
          {integer("heads", heads), position});
    return y;
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    const BufferId dqkv = p.value(name + ".dqkv", Category::temporary, p.shape_of(qkv));
    if (lowering != AttentionLowering::composite) return flash_backward(p, dy, dqkv);
    const std::int64_t tokens = p.shape_of(qkv)[1];
    const BufferId workspace = p.value(name + ".workspace", Category::workspace, {tokens, tokens});
    p.run(OpKind::attention_backward, name + ".backward",
          {{"dy", dy},
           {"qkv", qkv},
           {"probabilities", probabilities},
           {"dqkv", dqkv},
           {"workspace", workspace}},
          attributes);
    return dqkv;
  }

 private:
  [[nodiscard]] Shape y_shape(const ProgramBuilder& p) const {
    Shape shape = p.shape_of(qkv);
    shape.back() /= 3;
    return shape;
  }

  BufferId scores(ProgramBuilder& p, const std::string& suffix, std::int64_t count) const {
    const std::int64_t tokens = p.shape_of(qkv)[1];
    return p.value(name + suffix, Category::workspace,
                   {count, std::min(k_flash_rows, tokens), tokens});
  }

  /// Blocks of scores that have room in the workspace of a flash op which takes `each` for a head:
  /// several heads are worked on at a time. With cuDNN at least what that needs.
  [[nodiscard]] std::int64_t flash_blocks(const ProgramBuilder& p, std::int64_t each) const {
    constexpr std::int64_t k_most_heads = 8;
    const Shape& shape = p.shape_of(qkv);
    const std::int64_t count = each * std::min(k_most_heads, shape[0] * heads);
    if (lowering != AttentionLowering::cudnn) return count;
    const std::int64_t block_bytes =
        each * std::min(k_flash_rows, shape[1]) * shape[1] * size_bytes(DType::f32);
    const std::int64_t bytes = cudnn_room_bytes(shape, heads, each == 2);
    return std::max(count, each * (round_up(bytes, block_bytes) / block_bytes));
  }

  BufferId flash_forward(ProgramBuilder& p) {
    const Shape& shape = p.shape_of(y);
    log_sum_exp = p.value(name + ".log_sum_exp", Category::activation, {shape[0], heads, shape[1]});
    p.run(OpKind::flash_attention_forward, name + ".forward",
          {{"qkv", qkv},
           {"y", y},
           {"log_sum_exp", log_sum_exp},
           {"workspace", scores(p, ".forward_workspace", flash_blocks(p, 1))}},
          attributes);
    return y;
  }

  BufferId flash_backward(ProgramBuilder& p, BufferId dy, BufferId dqkv) const {
    p.run(OpKind::flash_attention_backward, name + ".backward",
          {{"dy", dy},
           {"qkv", qkv},
           {"y", y},
           {"log_sum_exp", log_sum_exp},
           {"dqkv", dqkv},
           {"workspace", scores(p, ".workspace", flash_blocks(p, 2))}},
          attributes);
    return dqkv;
  }
};

/// y = a + b in a layer of its own.
inline BufferId add_residual(ProgramBuilder& p, LayerId layer, BufferId a, BufferId b) {
  const std::string name = p.name_of(layer);
  p.at(layer, Phase::forward);
  const BufferId y = p.value(name + ".y", Category::activation, p.shape_of(a));
  p.run(OpKind::add, name + ".forward", {{"a", a}, {"b", b}, {"y", y}});
  return y;
}

}  // namespace tidemark
