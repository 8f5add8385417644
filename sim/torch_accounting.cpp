#include "sim/torch_accounting.h"

#include <set>

#include "sim/op_table.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_index_bytes = 8;  // int64

class Walk {
 public:
  explicit Walk(const Trace& program) : program_(program) {}

  std::vector<TorchSaved> saved() {
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
      const Op& op = program_.ops[i];
      if (op.phase == Phase::forward) visit(OpId{i}, op);
    }
    return std::move(saved_);
  }

 private:
  [[nodiscard]] const Buffer& buffer(const Op& op, std::string_view role) const {
    return program_[find_operand(op, role)->buffer];
  }
  [[nodiscard]] std::int64_t elements(const Op& op, std::string_view role) const {
    return element_count(buffer(op, role));
  }
  [[nodiscard]] std::int64_t value_bytes(const Op& op, std::string_view role) const {
    return elements(op, role) * size_bytes(buffer(op, role).dtype);
  }

  /// An operand, once; weights belong to the parameters.
  void keep(OpId id, const Op& op, std::string_view role) {
    const BufferId owner = storage_of(program_, find_operand(op, role)->buffer);
    if (!seen_.insert(owner.value).second) return;
    saved_.push_back({id, std::string(role), value_bytes(op, role)});
  }
  /// A tensor that our program does not have.
  void keep_own(OpId id, const char* what, std::int64_t bytes) {
    saved_.push_back({id, what, bytes});
  }

  void visit(OpId id, const Op& op) {
    switch (op.kind) {
      case OpKind::linear_forward:
      case OpKind::conv2d_forward:
      case OpKind::gelu_forward:
        return keep(id, op, "x");
      case OpKind::sigmoid_forward:
      case OpKind::tanh_forward:
      case OpKind::relu_forward:
        return keep(id, op, "y");
      case OpKind::layer_norm_forward:
        for (const char* role : {"x", "mean", "inverse_deviation"}) keep(id, op, role);
        return;
      case OpKind::batch_norm_forward:
        for (const char* role : {"x", "mean", "variance"}) keep(id, op, role);
        return;
      case OpKind::batch_norm_update:  // running statistics are kept beside those of the batch
        keep(id, op, "running_mean");
        return keep(id, op, "running_variance");
      case OpKind::max_pool_forward:
        keep(id, op, "x");
        return keep_own(id, "indices", elements(op, "y") * k_index_bytes);
      case OpKind::dropout_forward:
        return keep_own(id, "mask", elements(op, "x"));  // bool
      case OpKind::embedding_forward:
        keep_own(id, "tokens", elements(op, "tokens") * k_index_bytes);
        return keep_own(id, "positions", column_count(buffer(op, "tokens")) * k_index_bytes);
      case OpKind::softmax_cross_entropy_forward:
        keep_own(id, "log_probabilities", value_bytes(op, "logits"));
        keep_own(id, "target", elements(op, "target") * k_index_bytes);
        return keep_own(id, "total_weight", size_bytes(buffer(op, "logits").dtype));
      case OpKind::attention_forward:
        return keep_attention(id, op);
      default:
        return;
    }
  }

  /// Composite: q, k and v become contiguous; the softmax keeps its output; the mask is bool.
  void keep_attention(OpId id, const Op& op) {
    const std::int64_t tokens = buffer(op, "qkv").shape[1];
    keep_own(id, "q, k, v", value_bytes(op, "qkv"));
    keep(id, op, "probabilities");
    keep_own(id, "mask", tokens * tokens);
    if (real_of(op, "probability") > 0) {  // the mask of the dropout (bool), and its output
      keep_own(id, "dropout mask", elements(op, "probabilities"));
      keep_own(id, "dropped probabilities", value_bytes(op, "probabilities"));
    }
    keep_own(id, "scale", 8);  // a Python number as an f64 tensor
  }

  const Trace& program_;
  std::set<std::int32_t> seen_;
  std::vector<TorchSaved> saved_;
};

}  // namespace

std::vector<TorchSaved> torch_eager_saved(const Trace& program) {
  return Walk(program).saved();
}

std::int64_t total_bytes(const std::vector<TorchSaved>& saved) {
  std::int64_t bytes = 0;
  for (const TorchSaved& s : saved) bytes += s.size_bytes;
  return bytes;
}

}  // namespace tidemark
