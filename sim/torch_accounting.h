// What PyTorch's autograd would keep from forward to backward for the same model, run eagerly: the
// preset "torch-eager". Verified against PyTorch by tests/reference/make_reference.py.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// One saved tensor. Our own saving may differ: docs/models.md has the table.
struct TorchSaved {
  OpId op;
  std::string what;  // "x", "indices", ...
  std::int64_t size_bytes = 0;
};

/// Saved tensors of all forward ops of a built program, each storage once, parameters left out;
/// one micro-batch after the other, as if each was backpropagated alone. Rules of PyTorch 1.13
/// (newer ones keep no f64 scalar of 8 bytes per composite attention).
[[nodiscard]] std::vector<TorchSaved> torch_eager_saved(const Trace& program);

[[nodiscard]] std::int64_t total_bytes(const std::vector<TorchSaved>& saved);

}  // namespace tidemark
