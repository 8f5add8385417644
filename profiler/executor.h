// Runs a program and writes down what happened. A recorded program and a planned one are the same
// thing to it: a list of allocations, frees and ops.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "profiler/communicator.h"
#include "profiler/cuda/nccl_api.h"
#include "profiler/cuda/plugin_api.h"
#include "profiler/dataset.h"
#include "profiler/out_of_memory.h"
#include "sim/device.h"
#include "traces/trace.h"

namespace tidemark {

enum class BackendKind : std::uint8_t { cpu, dry, cuda };

/// Who gives out the memory of the device. automatic: the plan does, where all buffers are placed;
/// else rules of PyTorch's caching allocator. cuda_async: the driver's pool; for cuda only.
enum class MemoryGiver : std::uint8_t { automatic, cuda_async };

struct RunOptions {
  BackendKind backend = BackendKind::cpu;
  std::int64_t steps = 5;
  std::int64_t threads = 1;  // cpu: that share the work of each kernel; changes times only
  std::int64_t device_memory_bytes = 0;   // 0 = what the machine (cpu) or `device` (dry) has
  std::int64_t host_memory_bytes = 0;     // 0 = what the machine has; no limit when dry
  std::string device = "h100-80g";        // dry: whose memory and speed; cuda: its name
  const Dataset* data = nullptr;          // needed by cpu when an op loads a batch
  bool poison = false;                    // fresh and freed memory is filled with NaN
  bool digests = true;                    // of weights and optimizer state after each step
  bool check = true;                      // off only to show what an illegal program does
  bool record = true;                     // off: no events; to measure what recording costs
  const cuda::PluginApi* cuda = nullptr;  // needed by cuda
  int cuda_device = 0;                    // of this rank; of several threads, of the first
  const cuda::NcclApi* nccl = nullptr;    // needed by several ranks on cuda
  MemoryGiver allocator = MemoryGiver::automatic;
  std::string stream;  // file that grows during the run, in case it is killed; empty = none
  const std::atomic<bool>* cancel = nullptr;  // looked at before each instruction
  Communicator* communicator = nullptr;       // to the other ranks; null = there are none
  std::function<void(const StepRecord&)> on_step{};
};

struct RunResult {
  Trace trace;  // the program with what happened; up to the failure or the last whole step
  std::optional<MemoryShortage> shortage;           // set when memory ran out
  bool cancelled = false;                           // the step that was under way is left out
  std::vector<std::vector<std::int32_t>> tokens{};  // inference: by sequence, what was chosen
  bool stopped = false;                             // another rank ended the run
  std::string failure{};  // why this rank could not go on; only of several ranks
};

/// Makes the device of a CUDA run that of the calling thread; nothing for other backends. Throws
/// InputError.
void open_device(const RunOptions& options);

/// A run that is ready to go. Its memory stays until it is destroyed: other ranks may read it.
class ReadyRun {
 public:
  /// Throws as execute() does. Both arguments must outlive it. On CUDA the calling thread has the
  /// device of the run open then, as also where it is destroyed.
  ReadyRun(const Trace& program, const RunOptions& options);
  ~ReadyRun();
  /// Once.
  [[nodiscard]] RunResult result();

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

/// Executes init, `steps` times the body, and final. Throws InputError when the program is not
/// legal (check()), is below level 2, or has an op that the backend cannot execute.
[[nodiscard]] RunResult execute(const Trace& program, const RunOptions& options);

/// The same for callers to whom a shortage is an error: throws OutOfMemory.
[[nodiscard]] Trace run(const Trace& program, const RunOptions& options);

}  // namespace tidemark
