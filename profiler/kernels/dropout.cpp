#include "profiler/kernels/dropout_mask.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/parts.h"

namespace tidemark::kernels {
namespace {

/// Elements [begin, end).
template <class T>
TIDEMARK_CLONES void masked(const DropoutMask& mask, const T* x, T* y, std::int64_t begin,
                            std::int64_t end) {
  drop(mask, static_cast<std::uint64_t>(begin), x + begin, y + begin, end - begin);
}

template <class T>
void mask_all(const KernelCall& call, std::string_view from, std::string_view to) {
  const DropoutMask mask(call);
  const T* const x = call.pointer<const T>(from);
  T* const y = call.pointer<T>(to);
  over_elements(call, call.elements(from),
                [&](std::int64_t begin, std::int64_t end) { masked(mask, x, y, begin, end); });
}

}  // namespace

template <class T>
void dropout_forward(const KernelCall& call) {
  mask_all<T>(call, "x", "y");
}

template <class T>
void dropout_backward(const KernelCall& call) {
  mask_all<T>(call, "dy", "dx");
}

template void dropout_forward<float>(const KernelCall&);
template void dropout_forward<double>(const KernelCall&);
template void dropout_backward<float>(const KernelCall&);
template void dropout_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
