// The recording of a program that knows nothing of it: ranges of NVTX, records of CUPTI, samples of
// the device, written to a trace that grows while the program runs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "profiler/cupti/device_ledger.h"
#include "profiler/cupti/driver.h"
#include "profiler/cupti/scope_names.h"
#include "profiler/cupti/session.h"
#include "traces/stream_writer.h"

namespace tidemark {

struct RecordingOptions {
  std::string path;     // of the trace
  std::string command;  // of the program, for META
  SessionOptions session{};
  bool own_thread = true;  // false: the caller turns pump() (tests)
};

/// All functions may be called from any thread of the program. None of them throws: what cannot be
/// written is lost, told once on stderr.
class InjectedRecording {
 public:
  explicit InjectedRecording(const RecordingOptions& options);
  ~InjectedRecording();
  InjectedRecording(const InjectedRecording&) = delete;
  InjectedRecording& operator=(const InjectedRecording&) = delete;

  /// Begins to record CUDA calls. False, with one line in `why`, when CUPTI cannot be used here.
  /// `driver` may be null: then the device is not sampled. Both outlive the recording.
  bool attach(const CuptiApi& cupti, const DriverApi* driver, std::string& why);

  /// A range of the calling thread opens or closes. Returns the depth, 0 for the outermost.
  int push(std::string_view range);
  int pop();

  /// One turn of the writer: collects, samples, appends. With `all` nothing is held back.
  void pump(bool all);

  /// Writes what is left and closes the trace in order. Later calls do nothing.
  void close();

  /// In a forked child: the file and the thread belong to the parent.
  void abandon() { abandoned_ = true; }

 private:
  void work();
  void sample(RecordBatch& batch);
  void on_refused(const AllocationCall& call);
  void dump_live(const RefusedAllocation& refused);
  void guarded(const char* what, void (InjectedRecording::*step)(bool), bool all);
  void pump_once(bool all);
  void close_once(bool);
  [[nodiscard]] Meta meta() const;

  RecordingOptions options_;
  std::int64_t origin_ns_;
  ScopeNames names_;
  std::atomic<bool> abandoned_{false};
  bool told_ = false;

  std::mutex side_mutex_;  // what threads of the program leave for the writer
  std::vector<StepMark> steps_;
  std::vector<RefusedAllocation> refused_;
  std::vector<void*> contexts_;

  std::mutex pump_mutex_;  // all below
  std::unique_ptr<StreamWriter> writer_;
  DeviceLedger ledger_;
  const DriverApi* driver_ = nullptr;
  std::int64_t previous_ns_ = 0;
  int dumps_ = 0;
  bool closed_ = false;

  std::mutex wake_mutex_;
  std::condition_variable wake_;
  bool hurry_ = false;
  bool closing_ = false;
  std::thread thread_;
  std::unique_ptr<CuptiSession> session_;  // first to go: its callbacks use all of the above
};

}  // namespace tidemark
