#include "profiler/kernels/gemm_onednn.h"

#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>
#include <type_traits>
#include <unordered_map>

#include "profiler/kernels/onednn_library.h"

// Two entries of oneDNN are used, each where it was the faster one on AVX-512 (2.6.3, one thread):
// the matmul primitive for x w^T, with the bias in the same pass, and its sgemm for the other
// layouts. Products with a short side or of little work go to OpenBLAS. bfloat16 is always matmul.

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

/// A matmul primitive by sizes and layout, with memory objects that are pointed at the operands of
/// each execution; made once per thread.
struct Matmul {
  dnnl::matmul run;
  std::unordered_map<int, dnnl::memory> arguments;

  void point(int argument, const void* data) {
    arguments.at(argument).set_data_handle(const_cast<void*>(data));
  }
};

struct MatmulKey {
  std::int64_t m, n, k, a_stride, b_stride, c_stride;
  bool a_transposed, b_transposed, adds, bias;
  auto operator<=>(const MatmulKey&) const = default;
};

Matmul make_matmul(const MatmulKey& key, dnnl::memory::data_type factor) {
  using Desc = dnnl::memory::desc;
  using Dims = dnnl::memory::dims;
  constexpr auto f32 = dnnl::memory::data_type::f32;
  const auto strides = [](std::int64_t stride, bool transposed) {
    return transposed ? Dims{1, stride} : Dims{stride, 1};
  };
  const Desc a(Dims{key.m, key.k}, factor, strides(key.a_stride, key.a_transposed));
  const Desc b(Dims{key.k, key.n}, factor, strides(key.b_stride, key.b_transposed));
  const Desc c(Dims{key.m, key.n}, f32, strides(key.c_stride, false));
  const Desc bias(Dims{1, key.n}, f32, Dims{key.n, 1});
  dnnl::post_ops after;
  if (key.adds) after.append_sum(1.0F);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(after);
  using Primitive = dnnl::matmul::primitive_desc;
#if DNNL_VERSION_MAJOR >= 3
  Matmul made{.run = dnnl::matmul(key.bias ? Primitive(engine(), a, b, bias, c, attributes)
                                           : Primitive(engine(), a, b, c, attributes)),
              .arguments = {}};
#else
  const auto what = key.bias ? dnnl::matmul::desc(a, b, bias, c) : dnnl::matmul::desc(a, b, c);
  Matmul made{.run = dnnl::matmul(Primitive(what, attributes, engine())), .arguments = {}};
#endif
  const auto add = [&made](int argument, const Desc& desc) {
    made.arguments.emplace(argument, dnnl::memory(desc, engine(), DNNL_MEMORY_NONE));
  };
  add(DNNL_ARG_SRC, a);
  add(DNNL_ARG_WEIGHTS, b);
  add(DNNL_ARG_DST, c);
  if (key.bias) add(DNNL_ARG_BIAS, bias);
  return made;
}

template <class Factor>
void run_matmul(const MatrixProduct<float, Factor>& p) {
  constexpr auto factor =
      std::is_same_v<Factor, float> ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
  thread_local std::map<MatmulKey, Matmul> made;
  const MatmulKey key{p.m,
                      p.n,
                      p.k,
                      p.a_stride,
                      p.b_stride,
                      p.c_stride,
                      p.a_transposed,
                      p.b_transposed,
                      p.beta != 0,
                      p.bias != nullptr};
  auto found = made.find(key);
  if (found == made.end()) found = made.emplace(key, make_matmul(key, factor)).first;
  Matmul& matmul = found->second;
  matmul.point(DNNL_ARG_SRC, p.a);
  matmul.point(DNNL_ARG_WEIGHTS, p.b);
  matmul.point(DNNL_ARG_DST, p.c);
  if (p.bias != nullptr) matmul.point(DNNL_ARG_BIAS, p.bias);
  matmul.run.execute(stream(), matmul.arguments);
  stream().wait();
}

void run_sgemm(const MatrixProduct<float>& p) {
  const auto letter = [](bool transposed) { return transposed ? 'T' : 'N'; };
  const dnnl::status status =
      dnnl::sgemm(letter(p.a_transposed), letter(p.b_transposed), p.m, p.n, p.k, p.alpha, p.a,
                  p.a_stride, p.b, p.b_stride, p.beta, p.c, p.c_stride);
  if (status != dnnl::status::success) throw std::runtime_error("oneDNN could not multiply");
}

}  // namespace

const dnnl::engine& engine() {
  use_one_thread();
  thread_local const dnnl::engine one(dnnl::engine::kind::cpu, 0);
  return one;
}

dnnl::stream& stream() {
  thread_local dnnl::stream one(engine());
  return one;
}

bool multiply(const MatrixProduct<float>& p) {
  constexpr std::int64_t k_short_side = 32;
  constexpr std::int64_t k_little_work = std::int64_t{32} * 32 * 32;  // multiply-adds
  if (p.m <= 0 || p.n < k_short_side || p.k <= 0) return false;
  const bool plain = p.alpha == 1 && (p.beta == 0 || p.beta == 1);
  use_one_thread();
  const bool few_rows = p.m < k_short_side && p.m * p.n * p.k >= k_little_work;
  if (plain && ((!p.a_transposed && p.b_transposed) || few_rows)) {
    run_matmul(p);
    return true;
  }
  if (p.bias != nullptr || p.m < k_short_side || p.m * p.n * p.k < k_little_work) return false;
  run_sgemm(p);
  return true;
}

void multiply_bfloat16(const MatrixProduct<float, BFloat16>& p) {
  if (p.m <= 0 || p.n <= 0 || p.k <= 0) return;
  use_one_thread();
  run_matmul(p);
}

std::string bfloat16_error() {
  try {
    const MatmulKey key{16, 16, 16, 16, 16, 16, false, false, false, false};
    static_cast<void>(make_matmul(key, dnnl::memory::data_type::bf16));
    return {};
  } catch (const dnnl::error&) {
    return "oneDNN has no bfloat16 product for this CPU (it needs AVX-512)";
  }
}

std::string version() {
  const dnnl_version_t* v = dnnl_version();
  return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
         std::to_string(v->patch);
}

}  // namespace tidemark::kernels::onednn
