#include "sim/op_shapes.h"

#include <fmt/format.h>

#include "sim/op_shape_checks.h"

namespace tidemark::op_shapes {
namespace {

/// In a product of rounded factors, each of the two is bf16, or has room to be rounded: dy in
/// bf16_dy when that is there, the others one after the other in bf16_factors. The result and the
/// sums stay f32.
Trouble rounded_factors(const Trace& trace, const Op& op, std::string_view a, std::string_view b) {
  const bool any = has(op, "bf16_factors") || has(op, "bf16_dy") ||
                   buffer_of(trace, op, a).dtype == DType::bf16 ||
                   buffer_of(trace, op, b).dtype == DType::bf16;
  if (!any) return {};
  std::int64_t elements = 0;
  for (const std::string_view role : {a, b}) {
    const Buffer& factor = buffer_of(trace, op, role);
    const bool has_own = role == "dy" && has(op, "bf16_dy");
    if (has_own) {
      if (factor.dtype != DType::f32) return trouble(trace, op, role, "f32 beside bf16_dy");
      if (Trouble t = want_elements(trace, op, "bf16_dy", element_count(factor)); !t.empty()) {
        return t;
      }
    } else if (factor.dtype != DType::bf16) {
      elements += element_count(factor);
    }
  }
  if (elements > 0 && !has(op, "bf16_factors")) {
    return fmt::format("expected operand 'bf16_factors' of {} elements", elements);
  }
  return want_elements(trace, op, "bf16_factors", elements);
}

/// Row of groups that the op names; none when it is not one, or the rank is not in it.
Trouble group_error(const Trace& trace, const Op& op) {
  const std::int64_t row = integer_at(op, "group", 0, -1);
  if (row < 0 || row >= static_cast<std::int64_t>(trace.groups.size())) {
    return "attribute group is not a row of groups";
  }
  if (!std::ranges::binary_search(trace.groups[static_cast<std::size_t>(row)].ranks,
                                  trace.meta.rank)) {
    return "rank " + std::to_string(trace.meta.rank) + " is not in the group";
  }
  return {};
}

/// The larger side of a collective holds `group size` parts of the smaller. A part that is a view
/// of the whole must be the part of this rank.
Trouble gather_shape(const Trace& trace, const Op& op, std::string_view part_role,
                     std::string_view whole_role) {
  if (Trouble t = group_error(trace, op); !t.empty()) return t;
  const Group& group = trace.groups[static_cast<std::size_t>(integer_at(op, "group", 0))];
  const Buffer& part = buffer_of(trace, op, part_role);
  const Buffer& whole = buffer_of(trace, op, whole_role);
  const auto ranks = static_cast<std::int64_t>(group.ranks.size());
  const std::int64_t elements = element_count(whole);
  if (elements % ranks != 0 || elements / ranks != element_count(part)) {
    return trouble(trace, op, whole_role,
                   std::to_string(ranks) + " times " + std::string(part_role));
  }
  if (storage_of(trace, find_operand(op, part_role)->buffer) !=
      storage_of(trace, find_operand(op, whole_role)->buffer)) {
    return {};
  }
  const auto index = std::ranges::lower_bound(group.ranks, trace.meta.rank) - group.ranks.begin();
  const std::int64_t part_bytes = element_count(part) * size_bytes(part.dtype);
  if (part.storage_offset_bytes == whole.storage_offset_bytes + index * part_bytes) return {};
  return std::string(part_role) + " must be part " + std::to_string(index) + " of " +
         std::string(whole_role);
}

// ---- content

bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16 || dtype == DType::f16;
}

/// Operands that hold row numbers, not values.
bool is_index(const Op& op, const Operand& operand) {
  return holds_indices(operand.role) || (op.kind == OpKind::load_batch && operand.role == "x");
}

}  // namespace

std::string content(const Trace& trace, const Op& op) {
  const Operand* first = nullptr;    // with a value
  const Operand* rounded = nullptr;  // to bf16, beside it
  for (const Operand& operand : op.operands) {
    const Buffer& b = trace[operand.buffer];
    if (element_count(b) > b.size_bytes / size_bytes(b.dtype)) {
      return operand.role + " is " + shape_text(b) + " but has only " +
             std::to_string(b.size_bytes) + " bytes";
    }
    if (is_structural(op.kind)) continue;  // a copy moves bytes of any type
    if (is_index(op, operand)) {
      // load_batch makes the tokens of a text or the samples of a table.
      if (b.dtype == DType::i32 || (operand.role == "x" && is_floating(b.dtype))) continue;
      return trouble(trace, op, operand.role, "i32");
    }
    if (is_rounded(trace, op, operand)) {
      rounded = &operand;
      continue;
    }
    if (operand.role.starts_with("bf16_")) return trouble(trace, op, operand.role, "bf16");
    if (!is_floating(b.dtype)) return trouble(trace, op, operand.role, "a floating-point type");
    if (first == nullptr) first = &operand;
    const DType dtype = trace[first->buffer].dtype;
    if (b.dtype != dtype) return trouble(trace, op, operand.role, std::string(to_string(dtype)));
  }
  if (rounded != nullptr && first != nullptr && trace[first->buffer].dtype == DType::f64) {
    return trouble(trace, op, first->role, "f32 beside " + rounded->role + " in bf16");
  }
  return {};
}

Trouble any(const Trace&, const Op&) {
  return {};
}

/// With `width` and `position` x has so many tokens of each sequence from there on.
Trouble load_batch(const Trace& trace, const Op& op) {
  const Attribute* part = find_attribute(op, "part");
  if (part != nullptr && part->text != k_training_part && part->text != k_held_out_part) {
    return fmt::format("attribute part is '{}', expected {} or {}", part->text, k_training_part,
                       k_held_out_part);
  }
  const Attribute* width = find_attribute(op, "width");
  const Attribute* position = find_attribute(op, "position");
  if (width == nullptr && position == nullptr) return {};
  if (width == nullptr || position == nullptr || width->per_step != 0 || position->per_step != 0) {
    return "attributes width and position belong together, the same at every step";
  }
  const Buffer& x = buffer_of(trace, op, "x");
  if (x.shape.size() != 2 || x.dtype != DType::i32) return trouble(trace, op, "x", "tokens [B, T]");
  const std::int64_t room = width->integer - column_count(x);
  if (width->integer >= 1 && position->integer >= 0 && position->integer <= room) return {};
  return trouble(trace, op, "x",
                 fmt::format("at most {} tokens from {} on", width->integer, position->integer));
}
Trouble unary(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"x", "y"});
}
Trouble output_gradient(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"dy", "y", "dx"});
}
Trouble input_gradient(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"dy", "x", "dx"});
}
/// x and y, or dy and dx, of one size, and a mask of a part that can be numbered.
Trouble dropout(const Trace& trace, const Op& op) {
  const bool forward = has(op, "x");
  return first_of({mask_error(op), forward ? same_elements(trace, op, std::array{"x", "y"})
                                           : same_elements(trace, op, std::array{"dy", "dx"})});
}
Trouble add(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"a", "b", "y"});
}
Trouble sgd(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"w", "dw"});
}
Trouble adamw(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"w", "dw", "m", "v"});
}

namespace {

/// Rows, of x or dy, that each group of a linear op has, and no bias where there are several.
Trouble want_groups(const Trace& trace, const Op& op, std::string_view role,
                    std::string_view weight, std::string_view bias) {
  const std::int64_t groups = linear_groups(buffer_of(trace, op, weight));
  if (groups < 1) return trouble(trace, op, weight, "at least one group");
  if (row_count(buffer_of(trace, op, role)) % groups != 0) {
    return trouble(trace, op, role, fmt::format("rows in {} equal groups", groups));
  }
  const bool grouped = buffer_of(trace, op, weight).shape.size() == 3;
  return grouped && has(op, bias) ? fmt::format("{} has no place beside groups", bias) : "";
}

}  // namespace

Trouble linear_forward(const Trace& trace, const Op& op) {
  if (Trouble t = want_groups(trace, op, "x", "w", "b"); !t.empty()) return t;
  const Buffer& x = buffer_of(trace, op, "x");
  const Buffer& w = buffer_of(trace, op, "w");
  const std::int64_t outputs = row_count(w) / linear_groups(w);
  return first_of({want_matrix(trace, op, "w", row_count(w), column_count(x)),
                   want_matrix(trace, op, "y", row_count(x), outputs),
                   want_elements(trace, op, "b", outputs), rounded_factors(trace, op, "x", "w")});
}
Trouble linear_backward_data(const Trace& trace, const Op& op) {
  if (Trouble t = want_groups(trace, op, "dy", "w", "b"); !t.empty()) return t;
  const Buffer& dy = buffer_of(trace, op, "dy");
  const Buffer& w = buffer_of(trace, op, "w");
  return first_of(
      {want_matrix(trace, op, "w", column_count(dy) * linear_groups(w), column_count(w)),
       want_matrix(trace, op, "dx", row_count(dy), column_count(w)),
       rounded_factors(trace, op, "dy", "w")});
}
Trouble linear_backward_weight(const Trace& trace, const Op& op) {
  if (Trouble t = want_groups(trace, op, "dy", "dw", "db"); !t.empty()) return t;
  const Buffer& dy = buffer_of(trace, op, "dy");
  const Buffer& x = buffer_of(trace, op, "x");
  const std::int64_t groups = linear_groups(buffer_of(trace, op, "dw"));
  return first_of({want_matrix(trace, op, "x", row_count(dy), column_count(x)),
                   want_matrix(trace, op, "dw", column_count(dy) * groups, column_count(x)),
                   want_elements(trace, op, "db", column_count(dy)),
                   rounded_factors(trace, op, "dy", "x")});
}
Trouble cross_entropy(const Trace& trace, const Op& op) {
  const std::int64_t rows = row_count(buffer_of(trace, op, "logits"));
  return first_of({want_elements(trace, op, "target", rows),
                   want_elements(trace, op, "log_sum_exp", rows),
                   want_elements(trace, op, "loss", 1)});
}
Trouble momentum(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"w", "dw", "velocity"});
}
Trouble sum_of_squares(const Trace& trace, const Op& op) {
  return want_elements(trace, op, "sum", 1);
}
Trouble clip_factor(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"sum", "factor"});
}
Trouble scale_by(const Trace& trace, const Op& op) {
  return want_elements(trace, op, "factor", 1);
}
/// Input side x or dx [B, C, H, W], output side y or dy [B, O, H', W'], filters w or dw
/// [O, C, K, K]; workspace is the C K K x H' W' matrix of one sample, with or without the filters.
Trouble conv2d(const Trace& trace, const Op& op) {
  const char* in = has(op, "x") ? "x" : "dx";
  const char* out = has(op, "y") ? "y" : "dy";
  const char* filter = has(op, "w") ? "w" : "dw";
  const Buffer& x = buffer_of(trace, op, in);
  const Buffer& w = buffer_of(trace, op, filter);
  if (x.shape.size() != 4) return trouble(trace, op, in, "[B, C, H, W]");
  if (w.shape.size() != 4 || w.shape[1] != x.shape[1] || w.shape[2] != w.shape[3]) {
    return trouble(trace, op, filter, "[O, C, K, K]");
  }
  const std::int64_t stride = integer_at(op, "stride", 0);
  const std::int64_t padding = integer_at(op, "padding", 0);
  if (stride < 1 || padding < 0 || padding >= w.shape[2]) {
    return "attributes stride and padding must be at least 1 and from 0 to K - 1";
  }
  const std::int64_t kernel = w.shape[2];
  const auto extent = [&](std::int64_t n) {
    return n + 2 * padding < kernel ? 0 : (n + 2 * padding - kernel) / stride + 1;
  };
  const std::vector<std::int64_t> wanted{x.shape[0], w.shape[0], extent(x.shape[2]),
                                         extent(x.shape[3])};
  if (wanted[2] < 1 || wanted[3] < 1) return trouble(trace, op, in, "at least the kernel's extent");
  if (buffer_of(trace, op, out).shape != wanted) {
    return trouble(trace, op, out, "[B, O, H', W'] of this window");
  }
  const std::int64_t depth = w.shape[1] * kernel * kernel;
  const std::int64_t columns = depth * wanted[2] * wanted[3];
  if (has(op, "workspace") && element_count(buffer_of(trace, op, "workspace")) != columns) {
    const std::int64_t with_filters = columns + depth * w.shape[0];
    if (Trouble t = want_elements(trace, op, "workspace", with_filters); !t.empty()) return t;
  }
  return first_of(
      {want_elements(trace, op, "b", w.shape[0]), want_elements(trace, op, "db", w.shape[0])});
}

/// Channels are the second dimension.
Trouble batch_norm(const Trace& trace, const Op& op) {
  const Buffer& x = buffer_of(trace, op, "x");
  if (x.shape.size() < 2) return trouble(trace, op, "x", "[B, C, ...]");
  for (const char* role : {"y", "dy", "dx"}) {
    if (Trouble t = want_elements(trace, op, role, element_count(x)); !t.empty()) return t;
  }
  for (const char* role : {"w", "b", "mean", "variance", "dw", "db"}) {
    if (Trouble t = want_elements(trace, op, role, x.shape[1]); !t.empty()) return t;
  }
  return {};
}
Trouble batch_norm_update(const Trace& trace, const Op& op) {
  if (integer_at(op, "count", 0) < 2) return "attribute count must be at least 2";
  return same_elements(trace, op,
                       std::array{"mean", "variance", "running_mean", "running_variance"});
}

/// Windows of size x size that do not overlap; what is left over at the edge is not looked at.
Trouble max_pool(const Trace& trace, const Op& op) {
  const Buffer& x = buffer_of(trace, op, "x");
  const std::int64_t size = integer_at(op, "size", 0);
  if (x.shape.size() != 4) return trouble(trace, op, "x", "[B, C, H, W]");
  if (size < 1 || x.shape[2] < size || x.shape[3] < size) {
    return "attribute size must be from 1 to the extent of x";
  }
  const std::int64_t windows = (x.shape[2] / size) * (x.shape[3] / size);
  const char* out = has(op, "y") ? "y" : "dy";
  if (Trouble t = want_elements(trace, op, out, x.shape[0] * x.shape[1] * windows); !t.empty()) {
    return t;
  }
  return want_elements(trace, op, "dx", element_count(x));
}

/// Over all positions: [B, C, H, W] on one side, [B, C] on the other.
Trouble average_pool(const Trace& trace, const Op& op) {
  const char* in = has(op, "x") ? "x" : "dx";
  const Buffer& x = buffer_of(trace, op, in);
  if (x.shape.size() != 4) return trouble(trace, op, in, "[B, C, H, W]");
  return want_matrix(trace, op, has(op, "y") ? "y" : "dy", x.shape[0], x.shape[1]);
}

namespace {

/// `narrow` [M,n] are columns first .. first + n - 1 of `wide` [M,K], the same at every step.
Trouble columns_in(const Trace& trace, const Op& op, std::string_view narrow,
                   std::string_view wide) {
  const Buffer& whole = buffer_of(trace, op, wide);
  const std::int64_t count = column_count(buffer_of(trace, op, narrow));
  const Attribute* first = find_attribute(op, "first");
  if (first->per_step != 0) return "attribute first must be the same at every step";
  if (first->integer < 0 || first->integer > column_count(whole) - count) {
    return trouble(trace, op, wide, fmt::format("{} columns from {} on", count, first->integer));
  }
  return want_matrix(trace, op, narrow, row_count(whole), count);
}

}  // namespace

/// x [M, K], y [M, n] with columns first .. first + n - 1 of x.
Trouble slice_columns(const Trace& trace, const Op& op) {
  return columns_in(trace, op, "y", "x");
}
Trouble insert_columns(const Trace& trace, const Op& op) {
  return columns_in(trace, op, "x", "y");
}

/// y [M, N], b [N].
Trouble add_bias(const Trace& trace, const Op& op) {
  return want_elements(trace, op, "b", column_count(buffer_of(trace, op, "y")));
}

Trouble copy(const Trace& trace, const Op& op) {
  const Buffer& from = buffer_of(trace, op, "src");
  const Buffer& to = buffer_of(trace, op, "dst");
  if (from.size_bytes == to.size_bytes) return {};
  return "src has " + std::to_string(from.size_bytes) + " bytes, dst " +
         std::to_string(to.size_bytes);
}
Trouble all_gather(const Trace& trace, const Op& op) {
  return gather_shape(trace, op, "x", "y");
}
Trouble reduce_scatter(const Trace& trace, const Op& op) {
  return gather_shape(trace, op, "y", "x");
}
Trouble all_reduce(const Trace& trace, const Op& op) {
  return group_error(trace, op);
}
/// One part of x per rank goes out, one of each comes in, joined along another dimension.
Trouble all_to_all(const Trace& trace, const Op& op) {
  if (Trouble t = group_error(trace, op); !t.empty()) return t;
  const Buffer& x = buffer_of(trace, op, "x");
  const std::int64_t split = integer_at(op, "split", 0);
  const std::int64_t join = integer_at(op, "join", 0);
  const auto dimensions = static_cast<std::int64_t>(x.shape.size());
  if (split < 0 || join < 0 || split >= dimensions || join >= dimensions || split == join) {
    return "attributes split and join must be two of the dimensions of x";
  }
  const auto group = static_cast<std::size_t>(integer_at(op, "group", 0));
  const auto ranks = static_cast<std::int64_t>(trace.groups[group].ranks.size());
  std::vector<std::int64_t> wanted = x.shape;
  if (wanted[static_cast<std::size_t>(split)] % ranks != 0) {
    return trouble(trace, op, "x", fmt::format("{} equal parts along dimension {}", ranks, split));
  }
  wanted[static_cast<std::size_t>(split)] /= ranks;
  // A product of extents is in 64 bits, as content() has seen.
  wanted[static_cast<std::size_t>(join)] *= ranks;
  if (buffer_of(trace, op, "y").shape == wanted) return {};
  return trouble(trace, op, "y",
                 fmt::format("x with dimension {} split and {} joined", split, join));
}
Trouble report_loss(const Trace& trace, const Op& op) {
  return want_elements(trace, op, "loss", 1);
}

}  // namespace tidemark::op_shapes
