// Products by cuBLASLt. Of the plug-in alone: nothing else includes this.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include "profiler/cuda/kernel_bodies.h"

namespace tidemark::cuda {

/// cuBLAS advises 32 MiB on Hopper (cuBLAS manual, section 2.1.13).
constexpr std::size_t k_workspace_bytes = std::size_t{32} << 20;

/// Descriptors of one product, freed on every way out.
struct Descriptors {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;

  Descriptors() = default;
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;
  ~Descriptors() {
    if (preference != nullptr) cublasLtMatmulPreferenceDestroy(preference);
    for (cublasLtMatrixLayout_t layout : {a, b, c}) {
      if (layout != nullptr) cublasLtMatrixLayoutDestroy(layout);
    }
    if (operation != nullptr) cublasLtMatmulDescDestroy(operation);
  }
};

/// Chooses an algorithm for each shape once, so that a product is made in the same way, with the
/// same bits, every time. The scratch is one: products of one stream only.
class MatrixProducts {
 public:
  cublasStatus_t open() {
    if (handle_ != nullptr) return CUBLAS_STATUS_SUCCESS;
    if (cudaMalloc(&workspace_, k_workspace_bytes) != cudaSuccess) {
      return CUBLAS_STATUS_ALLOC_FAILED;
    }
    return cublasLtCreate(&handle_);
  }

  /// CUBLAS_STATUS_NOT_SUPPORTED when cuBLAS has no algorithm for it.
  cublasStatus_t multiply(const Product& p, cudaStream_t stream) {
    Descriptors d;
    cublasStatus_t status = describe(p, d);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    std::optional<cublasLtMatmulAlgo_t> algorithm;
    status = choose(p, d, algorithm);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (!algorithm) return CUBLAS_STATUS_NOT_SUPPORTED;
    const float alpha = 1;
    const float beta = p.accumulates ? 1.0f : 0.0f;
    return cublasLtMatmul(handle_, d.operation, &alpha, p.b, d.a, p.a, d.b, &beta, p.c, d.c, p.c,
                          d.c, &*algorithm, workspace_, k_workspace_bytes, stream);
  }

 private:
  using Key = std::array<std::int64_t, 7>;

  /// Largest power of two up to 256 that divides the address. Blocks of the arena begin at 256; of
  /// what lies inside of one (a group of rows, the second of two rounded factors) the shape tells.
  static std::uint32_t alignment_bytes(const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer) | 256U;
    return static_cast<std::uint32_t>(address & (~address + 1));
  }

  template <class Value>
  static cublasStatus_t set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name,
                            const Value& value) {
    return cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value);
  }
  template <class Value>
  static cublasStatus_t set(cublasLtMatmulPreference_t preference,
                            cublasLtMatmulPreferenceAttributes_t name, const Value& value) {
    return cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value);
  }

  /// cuBLAS thinks in columns: row-major c = a b is column-major c^T = b^T a^T, so b comes first.
  /// A bias runs along n, which is then the rows: its epilogue fits. The sums of a along k are
  /// those of the second factor: epilogue BGRADB.
  static cublasStatus_t describe(const Product& p, Descriptors& d) {
    const auto op = [](bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
    const auto u = [](std::int64_t x) { return static_cast<std::uint64_t>(x); };
    const cudaDataType_t type = p.is_bf16 ? CUDA_R_16BF : CUDA_R_32F;
    cublasStatus_t status = cublasLtMatmulDescCreate(&d.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    const auto then = [&status](cublasStatus_t next) {
      if (status == CUBLAS_STATUS_SUCCESS) status = next;
    };
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    then(set(d.operation, CUBLASLT_MATMUL_DESC_TRANSA, op(p.b_transposed)));
    then(set(d.operation, CUBLASLT_MATMUL_DESC_TRANSB, op(p.a_transposed)));
    const void* const vector = p.bias != nullptr ? p.bias : p.a_sums;
    if (vector != nullptr) {
      then(set(d.operation, CUBLASLT_MATMUL_DESC_EPILOGUE,
               p.bias != nullptr ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_BGRADB));
      then(set(d.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector));
      then(set(d.operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F));
    }
    // Column-major layouts of what is stored: b is [k,n] or, transposed, [n,k] row by row.
    then(p.b_transposed ? cublasLtMatrixLayoutCreate(&d.a, type, u(p.k), u(p.n), p.k)
                        : cublasLtMatrixLayoutCreate(&d.a, type, u(p.n), u(p.k), p.n));
    then(p.a_transposed ? cublasLtMatrixLayoutCreate(&d.b, type, u(p.m), u(p.k), p.m)
                        : cublasLtMatrixLayoutCreate(&d.b, type, u(p.k), u(p.m), p.k));
    then(cublasLtMatrixLayoutCreate(&d.c, CUDA_R_32F, u(p.n), u(p.m), p.n));
    return status;
  }

  /// None when there is none.
  cublasStatus_t choose(const Product& p, Descriptors& d,
                        std::optional<cublasLtMatmulAlgo_t>& algorithm) {
    const std::uint32_t a_bytes = alignment_bytes(p.b);
    const std::uint32_t b_bytes = alignment_bytes(p.a);
    const std::uint32_t c_bytes = alignment_bytes(p.c);
    const int kind = (p.a_transposed ? 1 : 0) | (p.b_transposed ? 2 : 0) | (p.is_bf16 ? 4 : 0) |
                     (p.bias != nullptr ? 8 : 0) | (p.a_sums != nullptr ? 16 : 0) |
                     (p.accumulates ? 32 : 0);
    const Key key{p.m, p.n, p.k, kind, a_bytes, b_bytes, c_bytes};
    const auto known = chosen_.find(key);
    if (known != chosen_.end()) {
      algorithm = known->second;
      return CUBLAS_STATUS_SUCCESS;
    }
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&d.preference);
    const auto then = [&status](cublasStatus_t next) {
      if (status == CUBLAS_STATUS_SUCCESS) status = next;
    };
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    then(set(d.preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, k_workspace_bytes));
    then(set(d.preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, a_bytes));
    then(set(d.preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, b_bytes));
    then(set(d.preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, c_bytes));
    then(set(d.preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, c_bytes));
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    status = cublasLtMatmulAlgoGetHeuristic(handle_, d.operation, d.a, d.b, d.c, d.c, d.preference,
                                            1, &found, &count);
    if (status == CUBLAS_STATUS_SUCCESS && count > 0) {
      algorithm = found.algo;
    } else if (status != CUBLAS_STATUS_SUCCESS && status != CUBLAS_STATUS_NOT_SUPPORTED) {
      return status;
    }
    chosen_[key] = algorithm;
    return CUBLAS_STATUS_SUCCESS;
  }

  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  std::map<Key, std::optional<cublasLtMatmulAlgo_t>> chosen_;
};

}  // namespace tidemark::cuda
