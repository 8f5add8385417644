#include "sim/layer_tensors.h"

#include "sim/real.h"

namespace tidemark {
namespace {

using enum Recompute;

constexpr double k_width = 2;  // bytes of a value between layers

/// What only gradients of scores need; `k_width` bytes of softmax, and with dropout its output and
/// a mask of one byte.
void add_scores(LayerTensors& out, const Transformer& m, const Kernels& kernels, double sequence) {
  const double rows = real(m.heads);
  if (kernels.attention != AttentionLowering::composite) {
    out.add({"log-sum-exp", 4 * rows, Split::tensor, {full, attention_core}, {}, false});
    return;
  }
  const RecomputeSet core{full, attention_core};
  out.add({"softmax", k_width * rows * sequence, Split::tensor, core, {}});
  if (!kernels.dropout) return;
  out.add({"score mask", rows * sequence, Split::tensor, core, {}, false});
  out.add({"dropped scores", k_width * rows * sequence, Split::tensor, core, {}});
}

void add_grouped_attention(LayerTensors& out, const Transformer& m) {
  const double q = k_width * real(m.heads * m.head_size);
  const double kv = k_width * real(m.kv_heads * m.head_size);
  out.add({"queries", q, Split::tensor, {full}, {}});
  out.add({"keys", kv, Split::tensor, {full, alternate_products}, {}});
  out.add({"values", kv, Split::tensor, {full}, {}});
  out.add({"attention output", q, Split::tensor, {full}, {}});
}

void add_latent_attention(LayerTensors& out, const Transformer& m) {
  const LatentAttention& l = m.latent;
  const double qk = k_width * real(m.heads * (m.head_size + l.rope_size));
  const double v = k_width * real(m.heads * l.value_size);
  const double ranks = k_width * real(l.query_rank + l.kv_rank);
  out.add({"compressed", ranks + k_width * real(l.rope_size), Split::sequence, {full}, {}});
  out.add({"compressed norms", ranks, Split::sequence, {full, norms, latent_up}, {}});
  out.add({"queries", qk, Split::tensor, {full, latent_up}, {}});
  out.add({"keys", qk, Split::tensor, {full, latent_up, alternate_products}, {}});
  out.add({"values", v, Split::tensor, {full, latent_up}, {}});
  out.add({"attention output", v, Split::tensor, {full}, {}});
}

/// Of one MLP of `width`; `whole`: what drops all of it.
void add_mlp(LayerTensors& out, const Transformer& m, const Kernels& kernels, double width,
             Recompute whole) {
  const double bytes = k_width * width;
  out.add({m.gated_mlp ? "gate" : "MLP inner", bytes, Split::tensor, {full, whole}, {}});
  if (m.gated_mlp) {
    out.add({"up", bytes, Split::tensor, {full, whole, alternate_products}, {}});
    if (!kernels.fused_gate) {
      out.add({"gate activation",
               bytes,
               Split::tensor,
               {full, whole, activation, alternate_products},
               {}});
    }
  }
  const double product = kernels.f8_products ? width : bytes;  // the input of the next product
  out.add(
      {"MLP product", product, Split::tensor, {full, whole, activation, alternate_products}, {}});
}

/// Routed experts when tokens spread evenly: each token is `per_token` rows. The hottest rank has
/// more; that is not known from shapes.
void add_experts(LayerTensors& out, const Transformer& m, const Kernels& kernels) {
  const Experts& e = m.experts;
  const double rows = real(e.per_token);
  out.add({"router scores", 4 * real(e.count), Split::sequence, {full, experts}, {}});
  const double width = kernels.f8_products ? 1 : k_width;
  out.add({"expert input", rows * width * real(m.hidden), Split::routed, {full, experts}, {}});
  add_mlp(out, m, kernels, rows * real(e.width), experts);
  if (e.shared_width > 0) add_mlp(out, m, kernels, real(e.shared_width), mlp);
}

}  // namespace

LayerTensors layer_tensors(const Transformer& m, bool dense, const Kernels& kernels,
                           std::int64_t sequence) {
  LayerTensors out;
  const double row = k_width * real(m.hidden);
  out.add({"layer input", row, Split::sequence, {}, {}});
  const double input = kernels.f8_products ? row / k_width : row;
  out.add({"norm 1", input, Split::sequence, {full, norms, alternate_products}, {}});
  if (m.latent.kv_rank > 0) {
    add_latent_attention(out, m);
  } else {
    add_grouped_attention(out, m);
  }
  if (kernels.f8_products) {  // backward of the attention itself needs its output in 16 bits
    const bool latent = m.latent.kv_rank > 0;
    const double width = real(m.heads * (latent ? m.latent.value_size : m.head_size));
    out.add({"attention output in f8", width, Split::tensor, {full}, {}, false});
  }
  add_scores(out, m, kernels, real(sequence));
  const RecomputeSet inside{full, alternate_products};
  if (kernels.dropout) out.add({"masks", 2 * row / k_width, Split::sequence, inside, {}, false});
  out.add({"residual", row, Split::sequence, inside, {}});
  out.add({"norm 2", input, Split::sequence, {full, norms, alternate_products}, {}});
  if (dense) {
    add_mlp(out, m, kernels, real(m.mlp), mlp);
  } else {
    add_experts(out, m, kernels);
  }
  if (dense) out.add({"MLP output", row, Split::sequence, {full}, {alternate_products}});
  return out;
}

namespace {

void add(TokenBytes& sum, const KeptTensor& t) {
  switch (t.split) {
    case Split::tensor:
      sum.tensor += t.bytes_per_token;
      return;
    case Split::sequence:
      sum.sequence += t.bytes_per_token;
      return;
    case Split::routed:
      sum.routed += t.bytes_per_token;
      return;
  }
}

}  // namespace

bool is_held(const KeptTensor& t, RecomputeSet recompute) {
  return t.only_with.empty() || t.only_with.meets(recompute);
}

TokenBytes kept_bytes(const LayerTensors& tensors, RecomputeSet recompute) {
  TokenBytes sum;
  for (const KeptTensor& t : tensors) {
    if (is_held(t, recompute) && !t.dropped_by.meets(recompute)) add(sum, t);
  }
  return sum;
}

TokenBytes remade_bytes(const LayerTensors& tensors, RecomputeSet recompute) {
  TokenBytes sum;
  for (const KeptTensor& t : tensors) {
    if (is_held(t, recompute) && t.dropped_by.meets(recompute)) add(sum, t);
  }
  return sum;
}

double rank_bytes(const TokenBytes& bytes, const Layout& layout, double tokens) {
  const double t = real(layout.tensor);
  const double sequence = layout.sequence_parallel ? bytes.sequence / t : bytes.sequence;
  return tokens * (bytes.tensor / t + sequence + bytes.routed * real(layout.expert_tensor) / t);
}

}  // namespace tidemark
