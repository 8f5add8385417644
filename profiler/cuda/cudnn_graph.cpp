#include "profiler/cuda/cudnn_graph.h"

#include <dlfcn.h>

#include <utility>

namespace tidemark::cuda {
namespace {

/// Numbers of tensors inside of a graph begin here.
constexpr std::int64_t k_first_inside = 1000;

struct Library {
  CudnnApi api;
  bool works = false;
  std::string why;
};

Library load() {
  Library out;
  void* const library = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    out.why = "cuDNN 9 is not found (libcudnn.so.9)";
    return out;
  }
  bool has_all = true;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    has_all = has_all && function != nullptr;
  };
  find(out.api.version, "cudnnGetVersion");
  find(out.api.error_text, "cudnnGetErrorString");
  find(out.api.last_error, "cudnnGetLastErrorString");
  find(out.api.create, "cudnnCreate");
  find(out.api.set_stream, "cudnnSetStream");
  find(out.api.create_descriptor, "cudnnBackendCreateDescriptor");
  find(out.api.destroy_descriptor, "cudnnBackendDestroyDescriptor");
  find(out.api.set_attribute, "cudnnBackendSetAttribute");
  find(out.api.get_attribute, "cudnnBackendGetAttribute");
  find(out.api.finalize, "cudnnBackendFinalize");
  find(out.api.execute, "cudnnBackendExecute");
  out.works = has_all;
  if (!has_all) out.why = "libcudnn.so.9 lacks functions of cuDNN 9";
  return out;
}

}  // namespace

const CudnnApi* open_cudnn(std::string& why) {
  static const Library library = load();
  why = library.why;
  return library.works ? &library.api : nullptr;
}

// ---- descriptors

CudnnDescriptor::CudnnDescriptor(const CudnnApi& api, cudnnBackendDescriptorType_t type)
    : api_(&api) {
  require(api.create_descriptor(type, &descriptor_));
}

CudnnDescriptor::~CudnnDescriptor() {
  if (descriptor_ != nullptr) api_->destroy_descriptor(descriptor_);
}

CudnnDescriptor::CudnnDescriptor(CudnnDescriptor&& other) noexcept
    : api_(other.api_), descriptor_(std::exchange(other.descriptor_, nullptr)) {}

CudnnDescriptor& CudnnDescriptor::operator=(CudnnDescriptor&& other) noexcept {
  std::swap(api_, other.api_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void CudnnDescriptor::require(cudnnStatus_t status) const {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 1024> text{};
  api_->last_error(text.data(), text.size());
  throw CudnnError(std::string(api_->error_text(status)) + " " + text.data());
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                          std::int64_t count, const void* values) {
  require(api_->set_attribute(descriptor_, name, type, count, values));
}

void CudnnDescriptor::finalize() {
  require(api_->finalize(descriptor_));
}

std::int64_t CudnnDescriptor::get(cudnnBackendAttributeName_t name,
                                  cudnnBackendAttributeType_t type, std::int64_t room,
                                  void* values) const {
  std::int64_t count = 0;
  require(api_->get_attribute(descriptor_, name, type, room, &count, values));
  return count;
}

// ---- graphs

CudnnLayout packed(std::array<std::int64_t, 4> extents) {
  CudnnLayout out{extents, {1, 1, 1, 1}};
  for (std::size_t i = 3; i-- > 0;) out.strides[i] = out.strides[i + 1] * extents[i + 1];
  return out;
}

CudnnGraph::Tensor CudnnGraph::add(cudnnDataType_t type, const CudnnLayout& layout, std::int64_t id,
                                   bool is_virtual, bool is_scalar) {
  constexpr std::int64_t k_alignment_bytes = 16;
  CudnnDescriptor tensor(api_, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type);
  tensor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, layout.extents.data());
  tensor.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, layout.strides.data());
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, id);
  tensor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, k_alignment_bytes);
  tensor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, is_virtual);
  tensor.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, is_scalar);
  tensor.finalize();
  tensors_.push_back(std::move(tensor));
  types_.push_back(type);
  return tensors_.size() - 1;
}

CudnnGraph::Tensor CudnnGraph::outside(std::int64_t id, cudnnDataType_t type,
                                       const CudnnLayout& layout) {
  return add(type, layout, id, false, false);
}

CudnnGraph::Tensor CudnnGraph::scalar(std::int64_t id) {
  return add(CUDNN_DATA_FLOAT, packed({1, 1, 1, 1}), id, false, true);
}

CudnnGraph::Tensor CudnnGraph::inside(cudnnDataType_t type, const CudnnLayout& layout) {
  return add(type, layout, k_first_inside + static_cast<std::int64_t>(tensors_.size()), true,
             false);
}

CudnnGraph::Tensor CudnnGraph::add(const Pointwise& p) {
  // Whole numbers and truths are computed as what they are, all else in f32.
  const bool is_real = types_[p.y] != CUDNN_DATA_INT32 && types_[p.y] != CUDNN_DATA_BOOLEAN;
  const cudnnDataType_t type = is_real ? CUDNN_DATA_FLOAT : types_[p.y];
  CudnnDescriptor& setting = settings_.emplace_back(api_, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  setting.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, p.mode);
  setting.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, type);
  if (p.axis >= 0) setting.set(CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, p.axis);
  setting.finalize();
  CudnnDescriptor operation(api_, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, setting);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, tensors_[p.x]);
  if (p.b != nullptr) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, tensors_[*p.b]);
  if (p.t != nullptr) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_TDESC, tensors_[*p.t]);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, tensors_[p.y]);
  operation.finalize();
  operations_.push_back(std::move(operation));
  return p.y;
}

CudnnGraph::Tensor CudnnGraph::pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor y) {
  return add({mode, x, y});
}
CudnnGraph::Tensor CudnnGraph::pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor b, Tensor y) {
  return add({mode, x, y, &b});
}
CudnnGraph::Tensor CudnnGraph::select(Tensor x, Tensor b, Tensor t, Tensor y) {
  return add({CUDNN_POINTWISE_BINARY_SELECT, x, y, &b, &t});
}
CudnnGraph::Tensor CudnnGraph::numbers(std::int64_t dimension, Tensor like, Tensor y) {
  return add({CUDNN_POINTWISE_GEN_INDEX, like, y, nullptr, nullptr, dimension});
}

CudnnGraph::Tensor CudnnGraph::product(Tensor a, Tensor b, Tensor y) {
  CudnnDescriptor& setting = settings_.emplace_back(api_, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  setting.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  setting.finalize();
  CudnnDescriptor operation(api_, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_DESC, setting);
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, tensors_[a]);
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, tensors_[b]);
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, tensors_[y]);
  operation.finalize();
  operations_.push_back(std::move(operation));
  return y;
}

CudnnGraph::Tensor CudnnGraph::reduce(cudnnReduceTensorOp_t mode, Tensor x, Tensor y) {
  CudnnDescriptor& setting = settings_.emplace_back(api_, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  setting.set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  setting.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, mode);
  setting.finalize();
  CudnnDescriptor operation(api_, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, setting);
  operation.set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, tensors_[x]);
  operation.set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, tensors_[y]);
  operation.finalize();
  operations_.push_back(std::move(operation));
  return y;
}

CudnnGraph::Tensor CudnnGraph::reshape(Tensor x, Tensor y) {
  CudnnDescriptor operation(api_, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, tensors_[x]);
  operation.set(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, tensors_[y]);
  operation.finalize();
  operations_.push_back(std::move(operation));
  return y;
}

CudnnDescriptor CudnnGraph::finish() {
  std::vector<cudnnBackendDescriptor_t> operations;
  for (const CudnnDescriptor& operation : operations_) operations.push_back(operation.get());
  CudnnDescriptor graph(api_, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
            static_cast<std::int64_t>(operations.size()), operations.data());
  graph.finalize();
  return graph;
}

}  // namespace tidemark::cuda
