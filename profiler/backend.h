// The seam between the executor and what executes: `cpu` and `cuda` compute, `dry` only keeps time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "profiler/clock.h"
#include "profiler/communicator.h"
#include "profiler/cuda/plugin_api.h"
#include "profiler/dataset.h"
#include "profiler/memory.h"
#include "profiler/recorder.h"
#include "sim/device.h"

namespace tidemark {

/// What every backend works on. All of it outlives the backend.
struct Workplace {
  const Trace& trace;
  ProgramMemory& memory;
  Recorder& recorder;
  Clock& clock;
};

/// Ops are issued in program order by one thread, which is the compute stream.
class Backend {
 public:
  virtual ~Backend() = default;

  /// Issues one op of step `step` and records it. What the host sees of an op of the compute stream
  /// is done on return or, on a device, after drain().
  virtual void run(OpId op, std::int64_t step) = 0;

  /// Returns when every stream is idle; what they did is in the recording then. Throws what went
  /// wrong on one of them.
  virtual void drain() = 0;

  /// Mean of the losses that all ranks reported since the last call; none when nothing was
  /// computed. Every rank must ask.
  virtual std::optional<double> take_loss() = 0;

  /// What inference chose so far: by sequence, its tokens in order. Empty when nothing was
  /// computed.
  [[nodiscard]] virtual std::vector<std::vector<std::int32_t>> tokens() const { return {}; }

  /// XXH3 of the content of a live buffer; none when there is no content.
  virtual std::optional<std::int64_t> digest(BufferId buffer) = 0;
};

/// `data` may be null when no op loads a batch. `threads` share the work of each kernel; no result
/// depends on how many they are. `communicator` may be null when there is one rank.
[[nodiscard]] std::unique_ptr<Backend> make_cpu_backend(const Workplace& place, const Dataset* data,
                                                        std::int64_t threads = 1,
                                                        Communicator* communicator = nullptr);

/// What the CUDA backend works with. All of it outlives the backend.
struct CudaPlace {
  const cuda::PluginApi* api = nullptr;
  Communicator* communicator = nullptr;  // to the other ranks, which takes its turn in streams
  void* compute_stream = nullptr;        // null: the backend makes its own
};

/// The device spaces of `place.memory` are on the device that the calling thread has opened.
[[nodiscard]] std::unique_ptr<Backend> make_cuda_backend(const Workplace& place,
                                                         const Dataset* data,
                                                         const CudaPlace& cuda);

/// Durations are those of the trace; an op that has none takes its modelled time on `device`.
[[nodiscard]] std::unique_ptr<Backend> make_dry_backend(const Workplace& place,
                                                        const Device& device);

/// The call of a collective of the program, without a stream.
[[nodiscard]] CollectiveCall collective_call(const Workplace& place, const Op& op);

/// Mean of the values of all ranks, of which this one brings `count` that sum to `sum`; none when
/// nobody brings any. Every rank must ask; without a communicator there is one.
[[nodiscard]] std::optional<double> mean_of_ranks(Communicator* communicator, double sum,
                                                  double count);

}  // namespace tidemark
