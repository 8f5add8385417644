#include "fake_plugin.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "profiler/cuda/execute_call.h"

namespace tidemark::test {
namespace {

FakePlugin* g_fake = nullptr;
constexpr int k_device_gone = 999;

std::map<void*, std::int64_t>& sizes() {
  static std::map<void*, std::int64_t> all;
  return all;
}

std::vector<std::unique_ptr<std::int64_t>>& events() {
  static std::vector<std::unique_ptr<std::int64_t>> all;
  return all;
}

struct Host {
  template <class Body>
  int each(std::int64_t count, const Body& body) {
    for (std::int64_t i = count; i-- > 0;) body(i);  // backwards: the order must not matter
    return 0;
  }
  bool attends(const cuda::AttentionShape&, std::int64_t room_bytes) {
    return g_fake->attends && room_bytes >= 0;
  }
  /// In f32 from what was rounded; the workspace is written to, as a library may.
  int attend(const cuda::AttentionShape& s, const cuda::AttentionOperands& o, void* workspace);
  template <class Body>
  int rows(std::int64_t count, const Body& body) {
    for (std::int64_t i = count; i-- > 0;) body(i, cuda::OneLane{});
    return 0;
  }
  void* scratch() {
    alignas(double) static float scratch[cuda::k_scratch_floats];
    return scratch;
  }
  int product(const cuda::Product& p) {
    if (p.a_sums != nullptr && !g_fake->fuses_sums) return cuda::k_sums_not_fused;
    const auto factor = [&p](const void* from, std::int64_t i) -> double {
      if (!p.is_bf16) return static_cast<const float*>(from)[i];
      return to_float(static_cast<const cuda::BFloat16*>(from)[i]);
    };
    const auto a = [&](std::int64_t i, std::int64_t k) {
      return factor(p.a, p.a_transposed ? k * p.m + i : i * p.k + k);
    };
    for (std::int64_t i = 0; i < p.m; ++i) {
      double row = 0;
      for (std::int64_t k = 0; k < p.k; ++k) row += a(i, k);
      if (p.a_sums != nullptr) p.a_sums[i] = static_cast<float>(row);
      for (std::int64_t j = 0; j < p.n; ++j) {
        double sum = p.bias == nullptr ? 0 : static_cast<double>(p.bias[j]);
        if (p.accumulates) sum += static_cast<double>(p.c[i * p.n + j]);
        for (std::int64_t k = 0; k < p.k; ++k) {
          sum += a(i, k) * factor(p.b, p.b_transposed ? j * p.k + k : k * p.n + j);
        }
        p.c[i * p.n + j] = static_cast<float>(sum);
      }
    }
    return 0;
  }
};

std::vector<float> widened(const void* from, std::int64_t count) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < count; ++i) {
    out.push_back(to_float(static_cast<const cuda::BFloat16*>(from)[i]));
  }
  return out;
}

int Host::attend(const cuda::AttentionShape& s, const cuda::AttentionOperands& o, void* workspace) {
  ++g_fake->attended;
  std::memset(workspace, 0xFF, 256);
  const std::int64_t count = s.batch * s.tokens * s.channels;
  std::vector<float> qkv = widened(o.qkv, 3 * count);
  std::vector<float> y(static_cast<std::size_t>(count));
  std::vector<float> dqkv(static_cast<std::size_t>(3 * count));
  std::vector<float> dy;
  cuda::Call call;
  if (s.is_backward) {
    y = widened(o.y, count);
    dy = widened(o.dy, count);
    call.kernel = cuda::Kernel::flash_attention_backward;
    void* const pointers[] = {dy.data(), qkv.data(), y.data(), o.log_sum_exp, dqkv.data()};
    std::copy_n(pointers, 5, call.pointers);
    std::fill_n(static_cast<float*>(o.row_sums), s.batch * s.heads * s.tokens, -1.0f);
  } else {
    call.kernel = cuda::Kernel::flash_attention_forward;
    void* const pointers[] = {qkv.data(), y.data(), o.log_sum_exp};
    std::copy_n(pointers, 3, call.pointers);
  }
  const std::int64_t sizes[] = {s.batch, s.tokens, s.channels, s.heads, 0};
  std::copy_n(sizes, 5, call.sizes);
  if (int code = cuda::execute_call(*this, call)) return code;
  const std::vector<float>& result = s.is_backward ? dqkv : y;
  for (std::size_t i = 0; i < result.size(); ++i) {
    store(static_cast<cuda::BFloat16*>(s.is_backward ? o.dqkv : o.y) + i, result[i]);
  }
  return 0;
}

/// The clock of the machine, which the device is never before when it begins something.
std::int64_t real_ns() {
  static const auto begin = std::chrono::steady_clock::now();
  return std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count();
}

int step(int code = 0) {
  g_fake->now_ns += 1000;
  return code;
}

int launch(const cuda::Call* call, void*) {
  ++g_fake->launches;
  if (g_fake->fails_at >= 0 && g_fake->launches > g_fake->fails_at) return k_device_gone;
  Host host;
  return step(cuda::execute_call(host, *call));
}

int allocate(cuda::Memory, std::size_t bytes, void** pointer) {
  *pointer = std::calloc(bytes, 1);
  sizes()[*pointer] = static_cast<std::int64_t>(bytes);
  g_fake->live_bytes += static_cast<std::int64_t>(bytes);
  return 0;
}

int release(cuda::Memory, void* pointer) {
  g_fake->live_bytes -= sizes()[pointer];
  std::free(pointer);
  return 0;
}

int make_event(void** event) {
  events().push_back(std::make_unique<std::int64_t>(0));
  *event = events().back().get();
  return 0;
}

std::int64_t& time_of(void* event) {
  return *static_cast<std::int64_t*>(event);
}

}  // namespace

FakePlugin::FakePlugin() {
  g_fake = this;
  api.version = cuda::k_plugin_version;
  api.error_text = [](int code) { return code == k_device_gone ? "device is gone" : "error"; };
  api.memory_info = [](std::size_t* free_bytes, std::size_t* total_bytes) {
    *free_bytes = *total_bytes = std::size_t{1} << 30;
    return 0;
  };
  api.allocate = allocate;
  api.release = release;
  api.copy = [](void* to, const void* from, std::size_t bytes, void*) {
    std::memcpy(to, from, bytes);
    return step();
  };
  api.make_stream = [](void** stream) {
    *stream = nullptr;
    return 0;
  };
  api.synchronize = [](void*) {
    while (real_ns() < g_fake->now_ns) continue;
    return 0;
  };
  api.make_event = make_event;
  api.record = [](void* event, void*) {
    time_of(event) = g_fake->now_ns = std::max(g_fake->now_ns, real_ns());
    return 0;
  };
  api.wait = [](void*, void*) { return 0; };
  api.elapsed_ns = [](void* from, void* to, std::int64_t* ns) {
    *ns = time_of(to) - time_of(from);
    return 0;
  };
  api.launch = launch;
  api.attention = [] { return g_fake->attends ? "a library" : "own kernels (no library)"; };
  api.push_range = [](const char*) {
    ++g_fake->ranges;
    ++g_fake->depth;
  };
  api.pop_range = [] { --g_fake->depth; };
}

FakePlugin::~FakePlugin() {
  g_fake = nullptr;
}

}  // namespace tidemark::test
