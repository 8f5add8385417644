#include "sim/layer_products.h"

#include "sim/real.h"

namespace tidemark {
namespace {

using enum Recompute;

/// What the products of a rank have in common.
struct Sizes {
  double tokens = 0;  // of one micro-batch on one rank
  double sequences = 0;
  double tensor = 1;  // ranks
  double hidden = 0;
};

Sizes sizes_of(const Transformer& m, const Strategy& s) {
  const double context = real(s.layout.context);
  return {.tokens = real(s.batch.micro_batch * s.batch.sequence) / context,
          .sequences = real(s.batch.micro_batch),
          .tensor = real(s.layout.tensor),
          .hidden = real(m.hidden)};
}

void add_core(LayerProducts& out, const Transformer& m, const Strategy& s, const Sizes& z) {
  const bool latent = m.latent.kv_rank > 0;
  const double key = real(m.head_size + (latent ? m.latent.rope_size : 0));
  const double value = real(latent ? m.latent.value_size : m.head_size);
  const bool flash = s.kernels.attention != AttentionLowering::composite;
  const double count = z.sequences * real(m.heads) / z.tensor;
  const double rows = real(s.batch.sequence) / real(s.layout.context);
  const double columns = real(s.batch.sequence) * (flash ? 0.5 : 1);
  out.add({.forward = {rows, columns, key, count},
           .again_with = {full, attention_core},
           .backward_count = flash ? 3.0 : 2.0,
           .is_core = true});
  out.add({.forward = {rows, value, columns, count},
           .again_with = {full, attention_core},
           .is_core = true});
}

void add_grouped_attention(LayerProducts& out, const Transformer& m, const Strategy& s,
                           const Sizes& z) {
  const double q = real(m.heads * m.head_size) / z.tensor;
  const double kv = real(m.kv_heads * m.head_size) / z.tensor;
  out.add({.forward = {z.tokens, q + 2 * kv, z.hidden}, .again_with = {full}});
  add_core(out, m, s, z);
  out.add({.forward = {z.tokens, z.hidden, q}, .again_with = {full}, .is_reduced = true});
}

void add_latent_attention(LayerProducts& out, const Transformer& m, const Strategy& s,
                          const Sizes& z) {
  const LatentAttention& l = m.latent;
  const double q = real(m.heads * (m.head_size + l.rope_size)) / z.tensor;
  const double kv = real(m.heads * (m.head_size + l.value_size)) / z.tensor;
  const double rows = z.tokens / (s.layout.sequence_parallel ? z.tensor : 1);
  const double down = real(l.query_rank + l.kv_rank + l.rope_size);
  out.add({.forward = {rows, down, z.hidden}, .again_with = {full}});
  const double q_inner = l.query_rank > 0 ? real(l.query_rank) : z.hidden;
  out.add({.forward = {z.tokens, q, q_inner}, .again_with = {full, latent_up}});
  out.add({.forward = {z.tokens, kv, real(l.kv_rank)}, .again_with = {full, latent_up}});
  add_core(out, m, s, z);
  const double value = real(m.heads * l.value_size) / z.tensor;
  out.add({.forward = {z.tokens, z.hidden, value}, .again_with = {full}, .is_reduced = true});
}

/// Of `rows` rows for each of `count` MLPs; `up` and `down`: the products into it and out of it.
void add_mlp(LayerProducts& out, const Transformer& m, const Product& up, LayerProduct down) {
  Product into = up;
  if (m.gated_mlp) into.columns *= 2;
  out.add({.forward = into, .again_with = down.again_with});
  down.forward = {up.rows, up.inner, up.columns, up.count};
  down.again_with = RecomputeSet{full};
  out.add(down);
}

void add_experts(LayerProducts& out, const Transformer& m, const Strategy& s, const Sizes& z) {
  const Experts& e = m.experts;
  const double own = z.tokens / (s.layout.sequence_parallel ? z.tensor : 1);
  out.add({.forward = {own, real(e.count), z.hidden}, .again_with = {full, experts}});
  const double split = real(s.layout.expert_tensor);
  const double here = real(e.count) / real(s.layout.expert);
  const double rows = z.tokens / z.tensor * real(e.per_token) * split / here;
  add_mlp(out, m, {rows, real(e.width) / split, z.hidden, here},
          {.again_with = {full, experts}, .is_exchanged = true});
  if (e.shared_width == 0) return;
  add_mlp(out, m, {z.tokens, real(e.shared_width) / z.tensor, z.hidden},
          {.again_with = {full, mlp}, .is_reduced = true});
}

}  // namespace

LayerProducts layer_products(const Transformer& m, bool dense, const Strategy& s) {
  const Sizes z = sizes_of(m, s);
  LayerProducts out;
  if (m.latent.kv_rank > 0) {
    add_latent_attention(out, m, s, z);
  } else {
    add_grouped_attention(out, m, s, z);
  }
  if (dense) {
    add_mlp(out, m, {z.tokens, real(m.mlp) / z.tensor, z.hidden},
            {.again_with = {full, mlp, alternate_products}, .is_reduced = true});
  } else {
    add_experts(out, m, s, z);
  }
  return out;
}

double held_bytes(const LayerProducts& products, const Transformer& m, const Strategy& s) {
  constexpr double k_width = 2;  // bytes of a value between layers
  const double input_width = s.kernels.f8_products ? 1 : k_width;
  double sum = 0;
  for (const LayerProduct& p : products) {
    if (p.is_core) continue;
    const Product& f = p.forward;
    const auto columns = [&](double width) {
      const bool sharded = s.layout.sequence_parallel && width == real(m.hidden) && f.count == 1;
      return sharded ? width / real(s.layout.tensor) : width;
    };
    sum += f.count * f.rows * (input_width * columns(f.inner) + k_width * columns(f.columns));
  }
  return sum;
}

Product head_product(const Transformer& m, const Strategy& s) {
  const Sizes z = sizes_of(m, s);
  return {z.tokens, real(m.vocabulary) / z.tensor, z.hidden};
}

double model_flops(const Transformer& m, const Strategy& s) {
  Strategy whole;  // one rank, one sequence
  whole.batch.sequence = s.batch.sequence;
  whole.kernels.attention = AttentionLowering::composite;
  const auto layer = [&](bool dense) {
    double flops = 0;
    for (const LayerProduct& p : layer_products(m, dense, whole)) flops += p.forward.flops();
    return flops;
  };
  const std::int64_t dense = m.experts.count > 0 ? m.experts.dense_layers : m.layers;
  double forward = head_product(m, whole).flops();
  if (dense > 0) forward += real(dense) * layer(true);
  if (dense < m.layers) forward += real(m.layers - dense) * layer(false);
  return 3 * forward * real(s.batch.micro_batch * s.batch.micro_batches * s.layout.data);
}

}  // namespace tidemark
