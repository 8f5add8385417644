// The ops of decoders: embeddings, normalisations over channels, attention, gated units, routing.
#include <fmt/format.h>

#include <limits>

#include "sim/op_shape_checks.h"
#include "sim/op_shapes.h"

namespace tidemark::op_shapes {
namespace {

constexpr std::int64_t k_most_heads = std::int64_t{1} << 32;  // so that sums do not overflow

/// Rows [position, position + rows) of step 0 are rows of `role`, whose last dimension is the
/// channels and the one before it the rows.
Trouble want_room(const Trace& trace, const Op& op, std::string_view role, std::int64_t rows) {
  const std::vector<std::int64_t>& shape = buffer_of(trace, op, role).shape;
  const std::int64_t room = shape.size() < 2 ? 1 : shape[shape.size() - 2];
  const std::int64_t position = integer_at(op, "position", 0);
  if (position < 0) return "attribute position must not be negative";
  if (rows <= room && position <= room - rows) return {};
  return trouble(trace, op, role, fmt::format("at least {} rows from {} on", rows, position));
}

Trouble embedding_shape(const Trace& trace, const Op& op, std::string_view grid,
                        std::string_view table, std::string_view positions) {
  const Buffer& tokens = buffer_of(trace, op, "tokens");
  const std::int64_t channels = column_count(buffer_of(trace, op, table));
  if (Trouble t = want_room(trace, op, positions, column_count(tokens)); !t.empty()) return t;
  return first_of(
      {want_matrix(trace, op, grid, element_count(tokens), channels),
       want_matrix(trace, op, positions, row_count(buffer_of(trace, op, positions)), channels)});
}

/// qkv [B, T, 3C], heads divide C, and a probability of dropout is one.
Trouble want_heads(const Trace& trace, const Op& op, const Buffer& qkv) {
  const std::int64_t heads = integer_at(op, "heads", 0);
  if (qkv.shape.size() != 3 || qkv.shape[2] % 3 != 0) {
    return trouble(trace, op, "qkv", "[B, T, 3C]");
  }
  if (heads <= 0 || qkv.shape[2] / 3 % heads != 0) return "attribute heads must divide C";
  const double probability = real_of(op, "probability");
  if (!(probability >= 0 && probability < 1)) {
    return "attribute probability must be at least 0 and below 1";
  }
  return mask_error(op);
}

/// Keys that the queries of qkv see at most, S; -1 when `kv` [R,B,S/R,2C], the position or `dkv`
/// are wrong. Without kv they are those of qkv.
std::int64_t keys_of(const Trace& trace, const Op& op, const Buffer& qkv) {
  const std::int64_t tokens = qkv.shape[1];
  const std::int64_t position = integer_at(op, "position", 0);
  if (!has(op, "kv")) return position == 0 && !has(op, "dkv") ? tokens : -1;
  const std::vector<std::int64_t>& kv = buffer_of(trace, op, "kv").shape;
  if (kv.size() != 4 || kv[1] != qkv.shape[0] || kv[3] != qkv.shape[2] / 3 * 2) return -1;
  if (kv[0] < 1 || kv[2] < 1) return -1;
  const bool backward = has(op, "dy");
  if (has(op, "dkv") != backward || (backward && buffer_of(trace, op, "dkv").shape != kv)) {
    return -1;
  }
  const std::int64_t keys = kv[0] * kv[2];  // content() has compared them with the bytes
  return position >= 0 && tokens <= keys && position <= keys - tokens ? keys : -1;
}

constexpr const char* k_keys_expected =
    "keys and values kv [R, B, S/R, 2C] that have the T tokens from the position on, with dkv of "
    "the same shape in backward; or none, and no position";

}  // namespace

Trouble embedding_forward(const Trace& trace, const Op& op) {
  return embedding_shape(trace, op, "y", "wte", "wpe");
}
Trouble embedding_backward(const Trace& trace, const Op& op) {
  return embedding_shape(trace, op, "dy", "dwte", "dwpe");
}
Trouble layer_norm(const Trace& trace, const Op& op) {
  const Buffer& x = buffer_of(trace, op, "x");
  for (const char* role : {"y", "dy", "dx", "residual"}) {
    if (Trouble t = want_elements(trace, op, role, element_count(x)); !t.empty()) return t;
  }
  for (const char* role : {"w", "b", "dw", "db"}) {
    if (Trouble t = want_elements(trace, op, role, column_count(x)); !t.empty()) return t;
  }
  return first_of({want_elements(trace, op, "mean", row_count(x)),
                   want_elements(trace, op, "inverse_deviation", row_count(x))});
}
/// qkv [B, T, 3C], probabilities [B, H, T, S]; the other side y or dy [B, T, C].
Trouble attention(const Trace& trace, const Op& op) {
  const Buffer& qkv = buffer_of(trace, op, "qkv");
  const Buffer& p = buffer_of(trace, op, "probabilities");
  if (Trouble wrong = want_heads(trace, op, qkv); !wrong.empty()) return wrong;
  const std::int64_t heads = integer_at(op, "heads", 0);
  const std::int64_t channels = qkv.shape[2] / 3;
  const std::int64_t tokens = qkv.shape[1];
  const std::int64_t keys = keys_of(trace, op, qkv);
  if (keys < 0) return trouble(trace, op, "qkv", k_keys_expected);
  if (p.shape != std::vector<std::int64_t>{qkv.shape[0], heads, tokens, keys}) {
    return trouble(trace, op, "probabilities", "[B, H, T, S]");
  }
  const bool backward = has(op, "dy");
  if (!backward && has(op, "workspace") != (real_of(op, "probability") > 0)) {
    return "expected operand 'workspace' with dropout, and none without";
  }
  const std::int64_t rows = backward ? tokens : std::min(k_flash_rows, tokens);
  return first_of({want_elements(trace, op, "y", qkv.shape[0] * tokens * channels),
                   want_elements(trace, op, "dy", qkv.shape[0] * tokens * channels),
                   want_elements(trace, op, "dqkv", element_count(qkv)),
                   want_elements(trace, op, "workspace", rows * keys)});
}

/// qkv [B, T, 3C], log_sum_exp [B, H, T]; workspace holds the scores of k_flash_rows rows, two
/// times in the backward pass, for one head or several.
Trouble flash_attention(const Trace& trace, const Op& op) {
  const Buffer& qkv = buffer_of(trace, op, "qkv");
  if (Trouble wrong = want_heads(trace, op, qkv); !wrong.empty()) return wrong;
  const std::int64_t heads = integer_at(op, "heads", 0);
  const std::int64_t channels = qkv.shape[2] / 3;
  const std::int64_t tokens = qkv.shape[1];
  const std::int64_t outputs = qkv.shape[0] * tokens * channels;
  const std::int64_t keys = keys_of(trace, op, qkv);
  if (keys < 0) return trouble(trace, op, "qkv", k_keys_expected);
  const std::int64_t scores = std::min(k_flash_rows, tokens) * keys * (has(op, "dy") ? 2 : 1);
  const std::int64_t room = element_count(buffer_of(trace, op, "workspace"));
  if (scores < 1 || room < scores || room % scores != 0) {
    return trouble(trace, op, "workspace", "a multiple of " + std::to_string(scores) + " elements");
  }
  return first_of({want_elements(trace, op, "y", outputs), want_elements(trace, op, "dy", outputs),
                   want_elements(trace, op, "dqkv", element_count(qkv)),
                   want_elements(trace, op, "log_sum_exp", qkv.shape[0] * heads * tokens)});
}

/// qkv [B, T, 3C]; keys and values [B, S, C] with room for T rows; workspace holds the scores of
/// k_flash_rows rows.
Trouble cached_attention(const Trace& trace, const Op& op) {
  const Buffer& qkv = buffer_of(trace, op, "qkv");
  const Buffer& keys = buffer_of(trace, op, "keys");
  if (Trouble wrong = want_heads(trace, op, qkv); !wrong.empty()) return wrong;
  const std::int64_t channels = qkv.shape[2] / 3;
  if (keys.shape.size() != 3 || keys.shape[0] != qkv.shape[0] || keys.shape[2] != channels) {
    return trouble(trace, op, "keys", "[B, S, C]");
  }
  if (buffer_of(trace, op, "values").shape != keys.shape) {
    return trouble(trace, op, "values", "the shape of keys");
  }
  const std::int64_t tokens = qkv.shape[1];
  return first_of(
      {want_room(trace, op, "keys", tokens),
       want_elements(trace, op, "y", qkv.shape[0] * tokens * channels),
       want_elements(trace, op, "workspace", std::min(k_flash_rows, tokens) * keys.shape[1])});
}
/// x [B, T, C], y [B, 1, C]
Trouble last_token(const Trace& trace, const Op& op) {
  const Buffer& x = buffer_of(trace, op, "x");
  if (x.shape.size() != 3 || x.shape[1] < 1) return trouble(trace, op, "x", "[B, T, C]");
  return want_elements(trace, op, "y", x.shape[0] * x.shape[2]);
}
Trouble most_likely(const Trace& trace, const Op& op) {
  const Buffer& logits = buffer_of(trace, op, "logits");
  if (column_count(logits) < 1) return trouble(trace, op, "logits", "at least one class");
  return want_elements(trace, op, "tokens", row_count(logits));
}

Trouble rms_norm(const Trace& trace, const Op& op) {
  const Buffer& x = buffer_of(trace, op, "x");
  for (const char* role : {"y", "dy", "dx", "residual"}) {
    if (Trouble t = want_elements(trace, op, role, element_count(x)); !t.empty()) return t;
  }
  return first_of({want_elements(trace, op, "w", column_count(x)),
                   want_elements(trace, op, "dw", column_count(x)),
                   want_elements(trace, op, "inverse_rms", row_count(x))});
}
/// x or dx [B, T, (H + 2 G) D], y or dy [B, T, 3 H D]; G divides H, D is even.
Trouble rotary(const Trace& trace, const Op& op) {
  const char* in = has(op, "x") ? "x" : "dx";
  const Buffer& x = buffer_of(trace, op, in);
  const std::int64_t heads = integer_at(op, "heads", 0);
  const std::int64_t kv_heads = integer_at(op, "kv_heads", 0);
  if (heads < 1 || kv_heads < 1 || heads > k_most_heads || heads % kv_heads != 0) {
    return "attributes heads and kv_heads must be at least 1, and kv_heads divide heads";
  }
  if (!(real_of(op, "base") > 1)) return "attribute base must be above 1";
  const std::int64_t slots = heads + 2 * kv_heads;
  if (x.shape.size() != 3 || x.shape[2] % (2 * slots) != 0 || element_count(x) == 0) {
    return trouble(trace, op, in, "[B, T, (H + 2 G) D] with an even D");
  }
  const std::int64_t rows = x.shape[0] * x.shape[1];
  return want_matrix(trace, op, has(op, "y") ? "y" : "dy", rows, x.shape[2] / slots * 3 * heads);
}
/// x or dx [M, 2 F], y or dy [M, F].
Trouble swiglu(const Trace& trace, const Op& op) {
  const Buffer& x = buffer_of(trace, op, "x");
  if (column_count(x) % 2 != 0) return trouble(trace, op, "x", "an even number of columns");
  for (const char* role : {"y", "dy"}) {
    if (!has(op, role)) continue;
    Trouble t = want_matrix(trace, op, role, row_count(x), column_count(x) / 2);
    if (!t.empty()) return t;
  }
  return want_elements(trace, op, "dx", element_count(x));
}
/// tokens [B, T], w or dw [V, C], y or dy [B, T, C].
Trouble token_embedding(const Trace& trace, const Op& op) {
  const Buffer& w = buffer_of(trace, op, has(op, "w") ? "w" : "dw");
  return want_matrix(trace, op, has(op, "y") ? "y" : "dy",
                     element_count(buffer_of(trace, op, "tokens")), column_count(w));
}

/// logits or dlogits [M, E], gates, dgates and slots [M, K] with K <= E; E x capacity fits i32.
Trouble route(const Trace& trace, const Op& op) {
  const char* role = has(op, "logits") ? "logits" : "dlogits";
  const Buffer& logits = buffer_of(trace, op, role);
  const std::int64_t experts = column_count(logits);
  const std::int64_t choices = column_count(buffer_of(trace, op, "slots"));
  const std::int64_t capacity = integer_at(op, "capacity", 0);
  if (choices > experts || experts < 1) {
    return trouble(trace, op, "slots", fmt::format("at most {} choices", experts));
  }
  if (capacity < 1 || capacity > std::numeric_limits<std::int32_t>::max() / experts) {
    return "attribute capacity must be at least 1, and slots of all experts fit 32 bits";
  }
  for (const char* one : {"slots", "gates", "dgates"}) {
    if (!has(op, one)) continue;
    Trouble t = want_matrix(trace, op, one, row_count(logits), choices);
    if (!t.empty()) return t;
  }
  return {};
}
/// logits and dlogits [M, E], slots [M, K] as route has them.
Trouble balance(const Trace& trace, const Op& op) {
  if (Trouble t = route(trace, op); !t.empty()) return t;
  const Buffer& logits = buffer_of(trace, op, "logits");
  return want_matrix(trace, op, "dlogits", row_count(logits), column_count(logits));
}
/// x or dx, and residual [M, C], slots [M, K], y or dy [S, C]; x and y are of one type.
Trouble dispatch(const Trace& trace, const Op& op) {
  const char* in = has(op, "x") ? "x" : "dx";
  const char* out = has(op, "y") ? "y" : "dy";
  const Buffer& x = buffer_of(trace, op, in);
  const Buffer& slots = buffer_of(trace, op, "slots");
  if (x.dtype != buffer_of(trace, op, out).dtype) {
    return trouble(trace, op, out, fmt::format("{}, as {} is", to_string(x.dtype), in));
  }
  return first_of(
      {want_matrix(trace, op, "slots", row_count(x), column_count(slots)),
       want_matrix(trace, op, out, row_count(buffer_of(trace, op, out)), column_count(x)),
       want_elements(trace, op, "residual", element_count(x))});
}
/// x and dx [S, C], slots, gates and dgates [M, K], y or dy [M, C].
Trouble combine(const Trace& trace, const Op& op) {
  const Buffer& x = buffer_of(trace, op, "x");
  const Buffer& slots = buffer_of(trace, op, "slots");
  return first_of(
      {want_matrix(trace, op, has(op, "y") ? "y" : "dy", row_count(slots), column_count(x)),
       want_matrix(trace, op, "gates", row_count(slots), column_count(slots)),
       want_elements(trace, op, "dgates", element_count(slots)),
       want_elements(trace, op, "dx", element_count(x))});
}

}  // namespace tidemark::op_shapes
