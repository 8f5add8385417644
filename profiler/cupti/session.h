// One recording by CUPTI, the only one of its process (CUPTI 13.0 takes one client, and a second
// session gives wrong correlation ids).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "profiler/cupti/buffer_pool.h"
#include "profiler/cupti/cupti_api.h"
#include "profiler/cupti/decode.h"
#include "profiler/cupti/records.h"

namespace tidemark {

struct SessionOptions {
  bool kernels = false;            // also kernels, copies and fills: instruments every kernel
  bool allocation_source = false;  // which shared object asked; costs time at each call
  std::size_t buffer_bytes = std::size_t{4} << 20;  // 1 to 10 MB is NVIDIA's advice
  std::size_t buffers = 32;
};

/// The clock of all records: CLOCK_MONOTONIC_RAW, which no time service moves. CUPTI calls it from
/// its own threads too.
[[nodiscard]] std::uint64_t session_clock_ns();

class CuptiSession {
 public:
  /// Begins to record allocations, pools, their scopes and CUPTI's own overhead. Null, with one
  /// line in `why`, when it cannot: another client, no driver, a kind that cannot be enabled.
  /// `on_refused` is called on the thread whose allocation the driver refused, `on_context` with a
  /// CUcontext that was made, or is about to go; both must be fast, must not call CUDA, and may be
  /// empty.
  [[nodiscard]] static std::unique_ptr<CuptiSession> start(
      const CuptiApi& api, const SessionOptions& options,
      std::function<void(const AllocationCall&)> on_refused,
      std::function<void(void* context, bool made)> on_context, std::string& why);
  /// Ends the recording; what was not collected is gone.
  ~CuptiSession();
  CuptiSession(const CuptiSession&) = delete;
  CuptiSession& operator=(const CuptiSession&) = delete;

  /// For the calling thread: what it asks for until the matching pop belongs to `scope`.
  void push_scope(std::uint64_t scope) { api_.push_correlation(k_our_correlation, scope); }
  void pop_scope() { api_.pop_correlation(k_our_correlation, nullptr); }

  /// Everything that is complete by now; with `all` also what is not yet (at the end only: such
  /// records may lack times). Dropped records are counted. For one thread at a time.
  [[nodiscard]] RecordBatch collect(bool all);

  /// Bytes that the recording itself takes: device buffers of CUPTI as its attributes declare them
  /// (only for kernels and copies), and buffers on the host.
  [[nodiscard]] std::int64_t device_cost_bytes() const;
  [[nodiscard]] std::int64_t host_cost_bytes() const { return pool_.touched_bytes(); }

  /// True when CUPTI met a fatal error and stopped by itself: the recording is cut off.
  [[nodiscard]] bool is_cut_off() const { return cut_off_; }

 private:
  CuptiSession(const CuptiApi& api, const SessionOptions& options);
  std::string enable();
  static void on_callback(void* self, CUpti_CallbackDomain domain, CUpti_CallbackId call,
                          const void* data);
  static void on_request(std::uint8_t** buffer, std::size_t* bytes, std::size_t* most_records);
  static void on_complete(CUcontext context, std::uint32_t stream, std::uint8_t* buffer,
                          std::size_t bytes, std::size_t used_bytes);

  const CuptiApi& api_;
  SessionOptions options_;
  ActivityBufferPool pool_;
  std::function<void(const AllocationCall&)> on_refused_;
  std::function<void(void*, bool)> on_context_;
  CUpti_SubscriberHandle subscriber_ = nullptr;
  std::vector<CUpti_ActivityKind> enabled_;
  std::atomic<bool> cut_off_{false};
};

}  // namespace tidemark
