#include "profiler/kernels/clones.h"
#include "profiler/kernels/exponential.h"
#include "profiler/kernels/kernels.h"

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

template <class Function, class T>
TIDEMARK_CLONES void map(const T* x, T* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = Function::apply(x[i]);
}

template <class Function, class T>
TIDEMARK_CLONES void map(const T* a, const T* b, T* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = Function::apply(a[i], b[i]);
}

template <class Function, class T>
void forward(const KernelCall& call) {
  map<Function>(call.pointer<const T>("x"), call.pointer<T>("y"), call.elements("y"));
}

template <class Function, class T>
void backward(const KernelCall& call, std::string_view saved) {
  map<Function>(call.pointer<const T>("dy"), call.pointer<const T>(saved), call.pointer<T>("dx"),
                call.elements("dx"));
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
  forward<Gelu, T>(call);
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
  backward<GeluSlope, T>(call, "x");
}
template <class T>
void add(const KernelCall& call) {
  map<Sum>(call.pointer<const T>("a"), call.pointer<const T>("b"), call.pointer<T>("y"),
           call.elements("y"));
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
