// Ranks that are devices: their collectives stand in streams, and NCCL does them.
#pragma once

#include <memory>

#include "profiler/communicator.h"
#include "profiler/cuda/nccl_api.h"

namespace tidemark {

/// The rank of `program` joins each group in which it has a collective; every rank of the run must
/// do so at the same time, in a thread of its own that has opened its device. `host` is this rank's
/// line to the same ranks, over which they agree and share what is not on a device; both arguments
/// but the program outlive the communicator, which leaves its groups when it is destroyed, in the
/// same thread, with its streams idle. Sums are equal to ordered ones but for rounding.
/// Throws TeamStopped, and InputError with what NCCL said.
[[nodiscard]] std::unique_ptr<Communicator> make_nccl_communicator(Communicator& host,
                                                                   const cuda::NcclApi& api,
                                                                   const Trace& program);

}  // namespace tidemark
