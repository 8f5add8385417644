// Kernels in which threads work together: a team is a block of the device, whose threads share
// memory and go from phase to phase together. On the host one thread plays them all, phase by
// phase, so that tests run the same text. Read kernel_bodies.h first.
//
// A team body is a function of (team, shared memory, index of the team) with a type Shared. What
// stands between the phases is executed by every thread of the device: it may read, but writes
// nothing but variables of its own.
#pragma once

#include "profiler/cuda/kernel_bodies.h"

namespace tidemark::cuda {

inline constexpr int k_team = 256;

struct Team {
  /// phase(thread) for every thread; none goes on before all are done.
  template <class Phase>
  TIDEMARK_BODY void each(const Phase& phase) const {
#ifdef __CUDA_ARCH__
    phase(static_cast<int>(threadIdx.x));
    __syncthreads();
#else
    for (int thread = k_team; thread-- > 0;) phase(thread);  // the order must not matter
#endif
  }

  /// What all threads read now, the next phase may overwrite.
  TIDEMARK_BODY void wait() const {
#ifdef __CUDA_ARCH__
    __syncthreads();
#endif
  }
};

/// What each thread keeps for itself from phase to phase.
template <class T>
class Own {
 public:
  TIDEMARK_BODY T& operator[](int thread) {
#ifdef __CUDA_ARCH__
    static_cast<void>(thread);
    return value_;
#else
    return values_[thread];
#endif
  }

 private:
#ifdef __CUDA_ARCH__
  T value_;
#else
  T values_[k_team];
#endif
};

/// values[i] = all of values[i], [i + count], ... of k_team by merge(a, b), in an order that
/// depends on nothing; `count` is a power of 2.
template <class T, class Merge>
TIDEMARK_BODY void merge_to(const Team& team, T* values, int count, const Merge& merge) {
  for (int half = k_team / 2; half >= count; half /= 2) {
    team.each([&](int t) {
      if (t < half) values[t] = merge(values[t], values[t + half]);
    });
  }
}

template <class T, class Merge>
TIDEMARK_BODY T merged(const Team& team, T* values, const Merge& merge) {
  merge_to(team, values, 1, merge);
  const T all = values[0];
  team.wait();
  return all;
}

template <class T>
TIDEMARK_BODY T sum_of(const Team& team, T* values) {
  return merged(team, values, [](const T& a, const T& b) { return a + b; });
}

}  // namespace tidemark::cuda
