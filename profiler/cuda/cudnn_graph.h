// A graph of tensors and operations for cuDNN, by its backend interface (cuDNN 9, "Graph API"). The
// library is opened when somebody asks for it: nothing links it.
#pragma once

#include <cudnn.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace tidemark::cuda {

/// The functions of cuDNN that are used.
struct CudnnApi {
  decltype(&cudnnGetVersion) version = nullptr;
  decltype(&cudnnGetErrorString) error_text = nullptr;
  decltype(&cudnnGetLastErrorString) last_error = nullptr;
  decltype(&cudnnCreate) create = nullptr;
  decltype(&cudnnSetStream) set_stream = nullptr;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor = nullptr;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor = nullptr;
  decltype(&cudnnBackendSetAttribute) set_attribute = nullptr;
  decltype(&cudnnBackendGetAttribute) get_attribute = nullptr;
  decltype(&cudnnBackendFinalize) finalize = nullptr;
  decltype(&cudnnBackendExecute) execute = nullptr;
};

/// The library, opened once; null with one line in `why`.
[[nodiscard]] const CudnnApi* open_cudnn(std::string& why);

/// What cuDNN says of a call that it refuses.
class CudnnError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Owns one descriptor. All functions throw CudnnError.
class CudnnDescriptor {
 public:
  CudnnDescriptor(const CudnnApi& api, cudnnBackendDescriptorType_t type);
  ~CudnnDescriptor();
  CudnnDescriptor(CudnnDescriptor&& other) noexcept;
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept;

  [[nodiscard]] cudnnBackendDescriptor_t get() const { return descriptor_; }

  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
           const void* values);
  template <class Value>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const Value& value) {
    set(name, type, 1, &value);
  }
  void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& other) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.descriptor_);
  }
  void finalize();
  /// The number of values that there are; at most `room` are copied.
  std::int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                   std::int64_t room, void* values) const;

 private:
  void require(cudnnStatus_t status) const;

  const CudnnApi* api_;
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

/// Extents and strides of a tensor, in elements.
struct CudnnLayout {
  std::array<std::int64_t, 4> extents, strides;
};

/// Row-major.
[[nodiscard]] CudnnLayout packed(std::array<std::int64_t, 4> extents);

/// Operations in the order in which they were added. Tensors are named by their row.
class CudnnGraph {
 public:
  using Tensor = std::size_t;

  explicit CudnnGraph(const CudnnApi& api) : api_(api) {}

  /// In memory that CudnnPlan::run is given for `id` (1 or more).
  Tensor outside(std::int64_t id, cudnnDataType_t type, const CudnnLayout& layout);
  /// One f32, on the host, also given to run.
  Tensor scalar(std::int64_t id);
  /// What only lives within the graph.
  Tensor inside(cudnnDataType_t type, const CudnnLayout& layout);

  // y of an operation, which is returned.
  Tensor pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor y);
  Tensor pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor b, Tensor y);
  /// x where t holds, else b.
  Tensor select(Tensor x, Tensor b, Tensor t, Tensor y);
  /// Number of each element along a dimension.
  Tensor numbers(std::int64_t dimension, Tensor like, Tensor y);
  Tensor product(Tensor a, Tensor b, Tensor y);
  Tensor reduce(cudnnReduceTensorOp_t mode, Tensor x, Tensor y);
  /// The same memory in another layout.
  Tensor reshape(Tensor x, Tensor y);

  /// The finished graph; nothing can be added any more.
  [[nodiscard]] CudnnDescriptor finish();

 private:
  struct Pointwise {
    cudnnPointwiseMode_t mode;
    Tensor x, y;
    const Tensor *b = nullptr, *t = nullptr;
    std::int64_t axis = -1;
  };
  Tensor add(cudnnDataType_t type, const CudnnLayout& layout, std::int64_t id, bool is_virtual,
             bool is_scalar);
  Tensor add(const Pointwise& p);

  const CudnnApi& api_;
  std::vector<CudnnDescriptor> tensors_;
  std::vector<cudnnDataType_t> types_;     // of the tensors
  std::vector<CudnnDescriptor> settings_;  // of operations
  std::vector<CudnnDescriptor> operations_;
};

}  // namespace tidemark::cuda
