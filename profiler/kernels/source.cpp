#include <algorithm>
#include <cmath>
#include <numbers>

#include "profiler/dataset.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/random.h"

namespace tidemark::kernels {
template <class T>
void fill(const KernelCall& call) {
  std::fill_n(call.pointer<T>("y"), call.elements("y"), static_cast<T>(call.real("value")));
}

/// Normal numbers by Box and Muller (1958). Elements 2i and 2i+1 are a function of (seed, key, i)
/// alone: no state, so the order of ops does not matter and a clone gives the same values.
template <class T>
void random_normal(const KernelCall& call) {
  const std::int64_t count = call.elements("y");
  T* y = call.pointer<T>("y");
  const double deviation = call.real("deviation");
  const std::uint64_t stream = mix(mix(static_cast<std::uint64_t>(call.integer("seed"))) ^
                                   static_cast<std::uint64_t>(call.integer("key")));
  for (std::int64_t i = 0; i < count; i += 2) {
    const std::uint64_t first = mix(stream + static_cast<std::uint64_t>(i));
    const std::uint64_t second = mix(first ^ 0xD1B54A32D192ED03ULL);
    const double radius = deviation * std::sqrt(-2 * std::log(unit(first)));
    const double angle = 2 * std::numbers::pi * unit(second);
    y[i] = static_cast<T>(radius * std::cos(angle));
    if (i + 1 < count) y[i + 1] = static_cast<T>(radius * std::sin(angle));
  }
}

namespace {

DataPart part_of(const Op& op) {
  const Attribute* part = find_attribute(op, "part");
  if (part == nullptr) return DataPart::all;
  return part->text == k_held_out_part ? DataPart::held_out : DataPart::training;
}

}  // namespace

template <class T>
void load_batch(const KernelCall& call) {
  const Buffer& x = call.buffer("x");
  const std::int64_t columns = x.shape.empty() ? 1 : element_count(x) / x.shape.front();
  const bool part_of_each = find_attribute(call.op, "width") != nullptr;
  BatchRequest request{.first = call.integer("cursor"),
                       .count = x.shape.empty() ? 1 : x.shape.front(),
                       .width = part_of_each ? call.count("width") : columns,
                       .part = part_of(call.op)};
  request.position = call.position(columns, request.width);
  request.tokens = columns;
  std::int32_t* target = call.pointer<std::int32_t>("target");  // null: nobody asks
  if (x.dtype == DType::i32) {
    call.data->load_tokens(request, call.pointer<std::int32_t>("x"), target);
  } else {
    call.data->load_samples(request, call.pointer<T>("x"), target);
  }
}

template void fill<float>(const KernelCall&);
template void fill<double>(const KernelCall&);
template void random_normal<float>(const KernelCall&);
template void random_normal<double>(const KernelCall&);
template void load_batch<float>(const KernelCall&);
template void load_batch<double>(const KernelCall&);

}  // namespace tidemark::kernels
