#include "profiler/kernels/dropout_mask.h"
#include "profiler/kernels/kernels.h"

namespace tidemark::kernels {
namespace {

template <class T>
TIDEMARK_CLONES void masked(const DropoutMask& mask, const T* x, T* y, std::int64_t count) {
  drop(mask, 0, x, y, count);
}

}  // namespace

template <class T>
void dropout_forward(const KernelCall& call) {
  masked(DropoutMask(call), call.pointer<const T>("x"), call.pointer<T>("y"), call.elements("x"));
}

template <class T>
void dropout_backward(const KernelCall& call) {
  masked(DropoutMask(call), call.pointer<const T>("dy"), call.pointer<T>("dx"),
         call.elements("dy"));
}

template void dropout_forward<float>(const KernelCall&);
template void dropout_forward<double>(const KernelCall&);
template void dropout_backward<float>(const KernelCall&);
template void dropout_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
