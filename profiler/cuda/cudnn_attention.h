// Causal attention by cuDNN, opened at run time. No header of cuDNN: the plug-in is built without
// it, too, and then says so.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace tidemark::cuda {

/// qkv [B,T,3C] and y [B,T,C] of H heads.
struct AttentionShape {
  std::int64_t batch = 0, tokens = 0, channels = 0, heads = 0;
  bool is_backward = false;
};

/// Of the device: bf16, but for the two of [B,H,T] in f32. Forward writes y and log_sum_exp;
/// backward reads them and writes dqkv and row_sums (of dy y, needed by nobody else).
struct AttentionOperands {
  void* qkv = nullptr;
  void* y = nullptr;
  void* log_sum_exp = nullptr;
  void* dy = nullptr;
  void* dqkv = nullptr;
  void* row_sums = nullptr;
};

/// The plans of one device, made once for each shape. Of the algorithms only those without atomic
/// additions: the same operands give the same bits.
class CudnnAttention {
 public:
  CudnnAttention();
  ~CudnnAttention();
  CudnnAttention(const CudnnAttention&) = delete;
  CudnnAttention& operator=(const CudnnAttention&) = delete;

  /// Opens the library for the device of the calling thread. `device_json` names another one
  /// instead (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION), for which nothing can be run. Empty, or
  /// why not.
  std::string open(const std::string& device_json = {});
  /// "cuDNN 9.19.0"; empty when it is not open.
  [[nodiscard]] const std::string& name() const { return name_; }

  /// Bytes that cuDNN needs beside the operands; -1 when it has no plan for the shape, with one
  /// line in `why`.
  std::int64_t workspace_bytes(const AttentionShape& shape, std::string& why);
  /// Issues it. `workspace` has workspace_bytes(), which was not -1. 0, or a code of cuDNN.
  int run(const AttentionShape& shape, const AttentionOperands& operands, void* workspace,
          void* stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::string name_;
};

/// The text of a code that run() gave.
[[nodiscard]] const char* cudnn_error_text(int code);

}  // namespace tidemark::cuda
