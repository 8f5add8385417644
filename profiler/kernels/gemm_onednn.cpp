#include "profiler/kernels/gemm_onednn.h"

#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>
#include <tuple>

// Two entries of oneDNN are used, each where it was the faster one on AVX-512 (2.6.3, one thread):
// the matmul primitive for x w^T, with the bias in the same pass, and its sgemm for the other
// layouts. Products with a short side or of little work go to OpenBLAS.

namespace tidemark::kernels::onednn {
namespace {

/// Debian's oneDNN runs on OpenMP, whose thread count is a setting of the calling thread.
void use_one_thread() {
  thread_local const bool done = [] {
    using SetThreads = void (*)(int);
    void* const found = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    if (found != nullptr) reinterpret_cast<SetThreads>(found)(1);
    return true;
  }();
  static_cast<void>(done);
}

struct Library {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
};

Library& library() {
  thread_local Library one;
  return one;
}

/// x[m,k] w[n,k]^T + bias, by sizes; made once per thread.
struct Matmul {
  dnnl::memory::desc x, w, y, bias;
  dnnl::matmul run;
};

struct MatmulKey {
  std::int64_t m, n, k, x_stride, w_stride, y_stride;
  bool bias;
  auto operator<=>(const MatmulKey&) const = default;
};

Matmul make_matmul(const MatmulKey& key) {
  using Desc = dnnl::memory::desc;
  using Dims = dnnl::memory::dims;
  constexpr auto f32 = dnnl::memory::data_type::f32;
  Matmul made;
  made.x = Desc(Dims{key.m, key.k}, f32, Dims{key.x_stride, 1});
  made.w = Desc(Dims{key.k, key.n}, f32, Dims{1, key.w_stride});
  made.y = Desc(Dims{key.m, key.n}, f32, Dims{key.y_stride, 1});
  if (key.bias) made.bias = Desc(Dims{1, key.n}, f32, Dims{key.n, 1});
  const dnnl::engine& engine = library().engine;
#if DNNL_VERSION_MAJOR >= 3
  using Primitive = dnnl::matmul::primitive_desc;
  made.run = dnnl::matmul(key.bias ? Primitive(engine, made.x, made.w, made.bias, made.y)
                                   : Primitive(engine, made.x, made.w, made.y));
#else
  const auto what = key.bias ? dnnl::matmul::desc(made.x, made.w, made.bias, made.y)
                             : dnnl::matmul::desc(made.x, made.w, made.y);
  made.run = dnnl::matmul(dnnl::matmul::primitive_desc(what, engine));
#endif
  return made;
}

void run_matmul(const MatrixProduct<float>& p) {
  thread_local std::map<MatmulKey, Matmul> made;
  const MatmulKey key{p.m, p.n, p.k, p.a_stride, p.b_stride, p.c_stride, p.bias != nullptr};
  auto found = made.find(key);
  if (found == made.end()) found = made.emplace(key, make_matmul(key)).first;
  const Matmul& matmul = found->second;
  const auto memory = [](const dnnl::memory::desc& desc, const float* data) {
    return dnnl::memory(desc, library().engine, const_cast<float*>(data));
  };
  std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SRC, memory(matmul.x, p.a)},
                                                  {DNNL_ARG_WEIGHTS, memory(matmul.w, p.b)},
                                                  {DNNL_ARG_DST, memory(matmul.y, p.c)}};
  if (p.bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, memory(matmul.bias, p.bias));
  matmul.run.execute(library().stream, arguments);
  library().stream.wait();
}

void run_sgemm(const MatrixProduct<float>& p) {
  const auto letter = [](bool transposed) { return transposed ? 'T' : 'N'; };
  const dnnl::status status =
      dnnl::sgemm(letter(p.a_transposed), letter(p.b_transposed), p.m, p.n, p.k, p.alpha, p.a,
                  p.a_stride, p.b, p.b_stride, p.beta, p.c, p.c_stride);
  if (status != dnnl::status::success) throw std::runtime_error("oneDNN could not multiply");
}

}  // namespace

bool multiply(const MatrixProduct<float>& p) {
  constexpr std::int64_t k_short_side = 32;
  constexpr std::int64_t k_little_work = std::int64_t{96} * 96 * 96;  // multiply-adds
  if (p.m <= 0 || p.n < k_short_side || p.k <= 0) return false;
  const bool plain = p.alpha == 1 && p.beta == 0;
  use_one_thread();
  if (!p.a_transposed && p.b_transposed && plain) {
    run_matmul(p);
    return true;
  }
  if (p.bias != nullptr || p.m < k_short_side || p.m * p.n * p.k < k_little_work) return false;
  run_sgemm(p);
  return true;
}

std::string version() {
  const dnnl_version_t* v = dnnl_version();
  return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
         std::to_string(v->patch);
}

}  // namespace tidemark::kernels::onednn
