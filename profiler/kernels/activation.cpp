#include "profiler/kernels/bfloat16.h"
#include "profiler/kernels/clones.h"
#include "profiler/kernels/exponential.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/parts.h"

namespace tidemark::kernels {
namespace {

// GELU, tanh form (Hendrycks and Gimpel 2016, as in GPT-2): x/2 (1 + tanh u) = x sigmoid(2u),
// u = sqrt(2/pi) (x + 0.044715 x^3). The sigmoid form keeps its accuracy in the left tail.
template <class T>
inline constexpr T k_two_root_two_over_pi = static_cast<T>(2 * 0.79788456080286535588);
template <class T>
inline constexpr T k_cubic = static_cast<T>(0.044715);

template <class T>
TIDEMARK_INLINE T gelu_sigmoid(T x) {
  return sigmoid(k_two_root_two_over_pi<T> * (x + k_cubic<T> * x * x * x));
}

struct Sigmoid {
  template <class T>
  TIDEMARK_INLINE static T apply(T x) {
    return sigmoid(x);
  }
};
struct Tanh {
  template <class T>
  TIDEMARK_INLINE static T apply(T x) {
    return hyperbolic_tangent(x);
  }
};
struct Relu {
  template <class T>
  TIDEMARK_INLINE static T apply(T x) {
    return x < T{0} ? T{0} : x;
  }
};
struct Gelu {
  template <class T>
  TIDEMARK_INLINE static T apply(T x) {
    return x * gelu_sigmoid(x);
  }
};

// Factor on dy; `saved` is y, for GELU it is x.
struct SigmoidSlope {
  template <class T>
  TIDEMARK_INLINE static T apply(T dy, T y) {
    return dy * y * (T{1} - y);
  }
};
struct TanhSlope {
  template <class T>
  TIDEMARK_INLINE static T apply(T dy, T y) {
    return dy * (T{1} - y * y);
  }
};
struct ReluSlope {
  template <class T>
  TIDEMARK_INLINE static T apply(T dy, T y) {
    return y > T{0} ? dy : T{0} * y;
  }
};
struct GeluSlope {
  template <class T>
  TIDEMARK_INLINE static T apply(T dy, T x) {
    const T s = gelu_sigmoid(x);
    const T slope = k_two_root_two_over_pi<T> * (T{1} + T{3} * k_cubic<T> * x * x);
    return dy * (s + x * s * (T{1} - s) * slope);
  }
};
struct Sum {
  template <class T>
  TIDEMARK_INLINE static T apply(T a, T b) {
    return a + b;
  }
};

template <class Function, class T, class Output>
TIDEMARK_CLONES void map(const T* x, Output* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = as_element<Output>(Function::apply(x[i]));
}

template <class Function, class T, class Output>
TIDEMARK_CLONES void map(const T* a, const T* b, Output* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = as_element<Output>(Function::apply(a[i], b[i]));
}

template <class Function, class T, class Output = T>
void forward(const KernelCall& call) {
  const T* const x = call.pointer<const T>("x");
  Output* const y = call.pointer<Output>("y");
  over_elements(call, call.elements("y"), [=](std::int64_t begin, std::int64_t end) {
    map<Function>(x + begin, y + begin, end - begin);
  });
}

/// y = function of two operands.
template <class Function, class T, class Output = T>
void combine(const KernelCall& call, std::string_view a_role, std::string_view b_role,
             std::string_view y_role) {
  const T* const a = call.pointer<const T>(a_role);
  const T* const b = call.pointer<const T>(b_role);
  Output* const y = call.pointer<Output>(y_role);
  over_elements(call, call.elements(y_role), [=](std::int64_t begin, std::int64_t end) {
    map<Function>(a + begin, b + begin, y + begin, end - begin);
  });
}

template <class Function, class T, class Output = T>
void backward(const KernelCall& call, std::string_view saved) {
  combine<Function, T, Output>(call, "dy", saved, "dx");
}

}  // namespace

template <class T>
void sigmoid_forward(const KernelCall& call) {
  forward<Sigmoid, T>(call);
}
template <class T>
void tanh_forward(const KernelCall& call) {
  forward<Tanh, T>(call);
}
template <class T>
void relu_forward(const KernelCall& call) {
  forward<Relu, T>(call);
}
template <class T>
void gelu_forward(const KernelCall& call) {
  call.is_bf16("y") ? forward<Gelu, T, BFloat16>(call) : forward<Gelu, T>(call);
}
template <class T>
void sigmoid_backward(const KernelCall& call) {
  backward<SigmoidSlope, T>(call, "y");
}
template <class T>
void tanh_backward(const KernelCall& call) {
  backward<TanhSlope, T>(call, "y");
}
template <class T>
void relu_backward(const KernelCall& call) {
  backward<ReluSlope, T>(call, "y");
}
template <class T>
void gelu_backward(const KernelCall& call) {
  call.is_bf16("dx") ? backward<GeluSlope, T, BFloat16>(call, "x")
                     : backward<GeluSlope, T>(call, "x");
}
template <class T>
void add(const KernelCall& call) {
  combine<Sum, T>(call, "a", "b", "y");
}

template void sigmoid_forward<float>(const KernelCall&);
template void sigmoid_forward<double>(const KernelCall&);
template void sigmoid_backward<float>(const KernelCall&);
template void sigmoid_backward<double>(const KernelCall&);
template void tanh_forward<float>(const KernelCall&);
template void tanh_forward<double>(const KernelCall&);
template void tanh_backward<float>(const KernelCall&);
template void tanh_backward<double>(const KernelCall&);
template void relu_forward<float>(const KernelCall&);
template void relu_forward<double>(const KernelCall&);
template void relu_backward<float>(const KernelCall&);
template void relu_backward<double>(const KernelCall&);
template void gelu_forward<float>(const KernelCall&);
template void gelu_forward<double>(const KernelCall&);
template void gelu_backward<float>(const KernelCall&);
template void gelu_backward<double>(const KernelCall&);
template void add<float>(const KernelCall&);
template void add<double>(const KernelCall&);

}  // namespace tidemark::kernels
