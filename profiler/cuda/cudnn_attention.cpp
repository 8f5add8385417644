#include "profiler/cuda/cudnn_attention.h"

#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

#include "profiler/cuda/cudnn_graph.h"

// The graphs are those that cuDNN's attention engines look for ("Fused Flash Attention" in its
// developer guide): scores, causal mask, softmax and product as single operations, which no engine
// executes one by one. In the backward graph dQ is a product of its own, not a sum that keys add to
// in any order: for that cuDNN keeps dS in its workspace, B H T^2 numbers of bf16.

namespace tidemark::cuda {
namespace {

/// What CudnnPlan::run gives memory for.
enum Id : std::int64_t {
  k_q = 1,
  k_k,
  k_v,
  k_y,
  k_log_sum_exp,
  k_dy,
  k_dq,
  k_dk,
  k_dv,
  k_row_sums,
  k_scale,
  k_minus_infinity,
  k_one
};

constexpr std::size_t k_oldest_version = 91000;  // 9.10: graphs for a device, without a handle

/// Layouts and parts that both graphs have.
class AttentionGraph {
 public:
  AttentionGraph(const CudnnApi& api, const AttentionShape& shape)
      : g_(api), s_(shape), width_(shape.channels / shape.heads) {}

  CudnnDescriptor make() {
    s_.is_backward ? backward() : forward();
    return g_.finish();
  }

 private:
  using Tensor = CudnnGraph::Tensor;

  /// One of q, k, v of qkv or of its gradient.
  Tensor part(Id id) {
    const std::int64_t row = 3 * s_.channels;
    return g_.outside(id, CUDNN_DATA_BFLOAT16,
                      {{s_.batch, s_.heads, s_.tokens, width_}, {s_.tokens * row, width_, row, 1}});
  }
  /// The same with rows and columns exchanged.
  Tensor transposed_part(Id id) {
    const std::int64_t row = 3 * s_.channels;
    return g_.outside(id, CUDNN_DATA_BFLOAT16,
                      {{s_.batch, s_.heads, width_, s_.tokens}, {s_.tokens * row, width_, 1, row}});
  }
  Tensor output(Id id) {
    return g_.outside(id, CUDNN_DATA_BFLOAT16,
                      {{s_.batch, s_.heads, s_.tokens, width_},
                       {s_.tokens * s_.channels, width_, s_.channels, 1}});
  }
  [[nodiscard]] CudnnLayout row_layout() const {
    return packed({s_.batch, s_.heads, s_.tokens, 1});
  }
  Tensor row() { return g_.inside(CUDNN_DATA_FLOAT, row_layout()); }
  Tensor scores(cudnnDataType_t type = CUDNN_DATA_FLOAT) {
    return g_.inside(type, packed({s_.batch, s_.heads, s_.tokens, s_.tokens}));
  }
  Tensor transposed(Tensor x) {
    CudnnLayout layout = packed({s_.batch, s_.heads, s_.tokens, s_.tokens});
    std::swap(layout.strides[2], layout.strides[3]);
    return g_.reshape(x, g_.inside(CUDNN_DATA_BFLOAT16, layout));
  }

  Tensor masked(Tensor x) {
    const Tensor rows = g_.numbers(2, x, scores(CUDNN_DATA_INT32));
    const Tensor columns = g_.numbers(3, x, scores(CUDNN_DATA_INT32));
    const Tensor sees =
        g_.pointwise(CUDNN_POINTWISE_CMP_GE, rows, columns, scores(CUDNN_DATA_BOOLEAN));
    return g_.select(x, g_.scalar(k_minus_infinity), sees, scores());
  }

  void forward() {
    const Tensor q = part(k_q);
    const Tensor k = transposed_part(k_k);
    Tensor s = g_.product(q, k, scores());
    s = masked(g_.pointwise(CUDNN_POINTWISE_MUL, s, g_.scalar(k_scale), scores()));
    const Tensor largest = g_.reduce(CUDNN_REDUCE_TENSOR_MAX, s, row());
    s = g_.pointwise(CUDNN_POINTWISE_SUB, s, largest, scores());
    s = g_.pointwise(CUDNN_POINTWISE_EXP, s, scores());
    const Tensor sum = g_.reduce(CUDNN_REDUCE_TENSOR_ADD, s, row());
    const Tensor logarithm = g_.pointwise(CUDNN_POINTWISE_LOG, sum, row());
    g_.pointwise(CUDNN_POINTWISE_ADD, largest, logarithm,
                 g_.outside(k_log_sum_exp, CUDNN_DATA_FLOAT, row_layout()));
    s = g_.pointwise(CUDNN_POINTWISE_DIV, s, sum, scores(CUDNN_DATA_BFLOAT16));
    g_.product(s, part(k_v), output(k_y));
  }

  void backward() {
    const Tensor q = part(k_q);
    const Tensor k = transposed_part(k_k);
    const Tensor v = transposed_part(k_v);
    const Tensor dy = output(k_dy);
    const Tensor scale = g_.scalar(k_scale);
    // Sums of dy y along a head, which are those of dP P.
    CudnnLayout by_token = packed({s_.batch, s_.heads, s_.tokens, width_});
    Tensor x =
        g_.pointwise(CUDNN_POINTWISE_MUL, dy, output(k_y), g_.inside(CUDNN_DATA_FLOAT, by_token));
    x = g_.reduce(CUDNN_REDUCE_TENSOR_ADD, x, row());
    const Tensor common = g_.pointwise(CUDNN_POINTWISE_MUL, x, g_.scalar(k_one),
                                       g_.outside(k_row_sums, CUDNN_DATA_FLOAT, row_layout()));
    // The probabilities again.
    Tensor p = g_.product(q, k, scores());
    p = g_.pointwise(CUDNN_POINTWISE_MUL, p, scale, scores());
    p = g_.pointwise(CUDNN_POINTWISE_SUB, p,
                     g_.outside(k_log_sum_exp, CUDNN_DATA_FLOAT, row_layout()), scores());
    p = g_.pointwise(CUDNN_POINTWISE_EXP, masked(p), scores());
    g_.product(transposed(p), dy, part(k_dv));
    Tensor ds = g_.product(dy, v, scores());
    ds = g_.pointwise(CUDNN_POINTWISE_SUB, ds, common, scores());
    ds = g_.pointwise(CUDNN_POINTWISE_MUL, ds, p, scores());
    ds = g_.pointwise(CUDNN_POINTWISE_MUL, ds, scale, scores());
    g_.product(transposed(ds), q, part(k_dk));
    const std::int64_t stride = 3 * s_.channels;
    const CudnnLayout rows{{s_.batch, s_.heads, s_.tokens, width_},
                           {s_.tokens * stride, width_, stride, 1}};
    g_.product(ds, g_.reshape(k, g_.inside(CUDNN_DATA_BFLOAT16, rows)), part(k_dq));
  }

  CudnnGraph g_;
  AttentionShape s_;
  std::int64_t width_;
};

struct Plan {
  CudnnDescriptor plan;
  std::int64_t workspace_bytes = 0;
};

/// The first engine of the heuristics that takes the graph on the device.
Plan first_plan(const CudnnApi& api, const CudnnDescriptor& graph, const CudnnDescriptor& device) {
  CudnnDescriptor heuristics(api, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_A);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device);
  heuristics.finalize();
  const std::int64_t count =
      heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, nullptr);
  std::vector<CudnnDescriptor> configurations;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < count; ++i) {
    configurations.emplace_back(api, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    raw.push_back(configurations.back().get());
  }
  // Only those that this machine can run are filled.
  const std::int64_t filled = heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                             CUDNN_TYPE_BACKEND_DESCRIPTOR, count, raw.data());
  std::string why = "cuDNN offers " + std::to_string(count) + " engines and can run none here";
  for (std::int64_t i = 0; i < filled; ++i) {
    try {
      CudnnDescriptor plan(api, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
               configurations[static_cast<std::size_t>(i)]);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, device);
      plan.finalize();
      std::int64_t bytes = 0;
      plan.get(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &bytes);
      return {std::move(plan), bytes};
    } catch (const CudnnError& error) {
      why = error.what();
    }
  }
  throw CudnnError(why);
}

const CudnnApi* g_api = nullptr;  // for the texts of its codes

}  // namespace

struct CudnnAttention::State {
  using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, bool>;
  struct Entry {
    std::optional<Plan> plan;
    std::string why;  // there is none
  };

  const CudnnApi* api = nullptr;
  cudnnHandle_t handle = nullptr;
  std::optional<CudnnDescriptor> device;
  std::map<Key, Entry> plans;

  const Entry& find(const AttentionShape& s) {
    const auto [at, is_new] =
        plans.try_emplace({s.batch, s.tokens, s.channels, s.heads, s.is_backward});
    if (!is_new) return at->second;
    try {
      const CudnnDescriptor graph = AttentionGraph(*api, s).make();
      at->second.plan = first_plan(*api, graph, *device);
    } catch (const CudnnError& error) {
      at->second.why = error.what();
    }
    return at->second;
  }
};

CudnnAttention::CudnnAttention() = default;
CudnnAttention::~CudnnAttention() = default;

std::string CudnnAttention::open(const std::string& device_json) {
  if (state_ != nullptr) return {};
  std::string why;
  const CudnnApi* const api = open_cudnn(why);
  if (api == nullptr) return why;
  const std::size_t version = api->version();
  const std::string name = "cuDNN " + std::to_string(version / 10000) + "." +
                           std::to_string(version / 100 % 100) + "." +
                           std::to_string(version % 100);
  if (version < k_oldest_version) return name + " is too old: 9.10 is needed";
  auto state = std::make_unique<State>();
  state->api = api;
  try {
    CudnnDescriptor device(*api, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    if (!device_json.empty()) {
      device.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                 static_cast<std::int64_t>(device_json.size()) + 1, device_json.c_str());
    } else {
      const cudnnStatus_t status = api->create(&state->handle);
      if (status != CUDNN_STATUS_SUCCESS) return name + ": " + api->error_text(status);
      device.set(CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, state->handle);
    }
    device.finalize();
    state->device = std::move(device);
  } catch (const CudnnError& error) {
    return name + ": " + error.what();
  }
  g_api = api;
  name_ = name;
  state_ = std::move(state);
  return {};
}

std::int64_t CudnnAttention::workspace_bytes(const AttentionShape& shape, std::string& why) {
  const State::Entry& entry = state_->find(shape);
  why = entry.why;
  return entry.plan ? entry.plan->workspace_bytes : -1;
}

int CudnnAttention::run(const AttentionShape& shape, const AttentionOperands& o, void* workspace,
                        void* stream) {
  const State::Entry& entry = state_->find(shape);
  if (!entry.plan) return CUDNN_STATUS_NOT_SUPPORTED;
  float scale =
      1.0f / std::sqrt(static_cast<float>(shape.channels) / static_cast<float>(shape.heads));
  float minus_infinity = -std::numeric_limits<float>::infinity();
  float one = 1;
  const auto part = [&shape](void* qkv, std::int64_t i) -> void* {
    return static_cast<std::uint16_t*>(qkv) + i * shape.channels;
  };
  std::vector<std::int64_t> ids{k_q, k_k, k_v, k_y, k_log_sum_exp, k_scale, k_minus_infinity};
  std::vector<void*> pointers{part(o.qkv, 0), part(o.qkv, 1), part(o.qkv, 2), o.y,
                              o.log_sum_exp,  &scale,         &minus_infinity};
  if (shape.is_backward) {
    ids.insert(ids.end(), {k_dy, k_dq, k_dk, k_dv, k_row_sums, k_one});
    pointers.insert(pointers.end(),
                    {o.dy, part(o.dqkv, 0), part(o.dqkv, 1), part(o.dqkv, 2), o.row_sums, &one});
  }
  const CudnnApi& api = *state_->api;
  if (const int code = api.set_stream(state_->handle, static_cast<cudaStream_t>(stream))) {
    return code;
  }
  try {
    CudnnDescriptor pack(api, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    const auto count = static_cast<std::int64_t>(ids.size());
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids.data());
    pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers.data());
    pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
    pack.finalize();
    return api.execute(state_->handle, entry.plan->plan.get(), pack.get());
  } catch (const CudnnError&) {
    return CUDNN_STATUS_BAD_PARAM;
  }
}

const char* cudnn_error_text(int code) {
  return g_api == nullptr ? "cuDNN" : g_api->error_text(static_cast<cudnnStatus_t>(code));
}

}  // namespace tidemark::cuda
