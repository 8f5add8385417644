// An NCCL whose ranks are threads of the fake plug-in's devices: the same calls, sums in ascending
// order of the ranks, as the thread team of the CPU makes them.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "profiler/cuda/nccl_api.h"

namespace tidemark::test {

struct FakeNccl {
  FakeNccl();
  ~FakeNccl();
  FakeNccl(const FakeNccl&) = delete;
  FakeNccl& operator=(const FakeNccl&) = delete;

  /// The calls of the thread that has this rank in its first group: "join 0/2", "all_reduce 12
  /// f32".
  [[nodiscard]] std::vector<std::string> calls_of(int rank) const;

  cuda::NcclApi api;
  std::atomic<int> live = 0;     // communicators that were not left
  std::atomic<int> aborted = 0;  // how many were
  bool refuses_names = false;    // make_id fails
  int breaks_at = -1;  // the way to the others breaks at this collective of a rank; -1: never
};

}  // namespace tidemark::test
