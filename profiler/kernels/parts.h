// How kernels are split into parts that may run beside each other. The split depends on the sizes
// only, never on how many threads there are, so neither do the results (rule 8 of the
// architecture).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>

#include "profiler/kernels/kernel_call.h"
#include "profiler/thread_pool.h"

namespace tidemark::kernels {

/// Calls part(0) ... part(count - 1), each once, in any order and at the same time.
template <class Part>
void run_parts(const KernelCall& call, std::int64_t count, const Part& part) {
  if (call.pool != nullptr) return call.pool->run(count, std::ref(part));
  for (std::int64_t i = 0; i < count; ++i) part(i);
}

/// Calls part(begin, end) for parts of [0, count) that begin at multiples of `step`.
template <class Part>
void run_ranges(const KernelCall& call, std::int64_t count, std::int64_t step, const Part& part) {
  run_parts(call, (count + step - 1) / step,
            [&](std::int64_t i) { part(i * step, std::min(count, (i + 1) * step)); });
}

/// Elements of one part of an elementwise kernel: about 20 us of work, a whole number of vectors.
inline constexpr std::int64_t k_part_elements = std::int64_t{1} << 15;

/// Calls part(begin, end) for parts of the elements [0, count).
template <class Part>
void over_elements(const KernelCall& call, std::int64_t count, const Part& part) {
  run_ranges(call, count, k_part_elements, part);
}

/// Calls part(begin, end) for parts of `rows` rows that have `columns` elements each.
template <class Part>
void over_rows(const KernelCall& call, std::int64_t rows, std::int64_t columns, const Part& part) {
  const std::int64_t step =
      std::max<std::int64_t>(1, k_part_elements / std::max<std::int64_t>(1, columns));
  run_ranges(call, rows, step, part);
}

}  // namespace tidemark::kernels
