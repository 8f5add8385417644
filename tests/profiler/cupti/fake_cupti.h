// A CUPTI and a driver of our own: tests put records into activity buffers as CUPTI would, and all
// of the real code reads them. No library of CUDA is loaded.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "profiler/cupti/cupti_api.h"
#include "profiler/cupti/decode.h"

namespace tidemark::test {

/// What the functions of the table do and what was asked of them. One at a time: CUPTI's functions
/// carry no pointer.
struct FakeCupti {
  FakeCupti();
  ~FakeCupti();
  FakeCupti(const FakeCupti&) = delete;
  FakeCupti& operator=(const FakeCupti&) = delete;

  CuptiApi api;
  std::uint32_t version = CUPTI_API_VERSION;
  CUptiResult subscribe_result = CUPTI_SUCCESS;
  std::string holder;  // of the subscription, when it is refused
  CUpti_ActivityKind refused_kind = CUPTI_ACTIVITY_KIND_INVALID;
  std::size_t dropped = 0;

  std::vector<std::string> calls;  // in order, without reads
  std::vector<CUpti_ActivityKind> enabled;
  std::vector<std::uint64_t> correlations;  // of the one thread of a test
  CUpti_BuffersCallbackRequestFunc request = nullptr;
  CUpti_BuffersCallbackCompleteFunc complete = nullptr;
  CUpti_CallbackFunc callback = nullptr;
  void* user = nullptr;

  /// Writes a record into the current buffer, asking for one as CUPTI does. False when none is to
  /// be had: the record is dropped.
  template <class Record>
  bool write(const Record& record) {
    return write_bytes(&record, sizeof record);
  }
  bool write_bytes(const void* record, std::size_t bytes);
  /// Hands the current buffer back, as a flush does.
  void flush();

  /// A memory record; the scope on top of the stack is recorded before it.
  bool allocate(std::uint64_t address, std::uint64_t bytes, std::uint64_t time_ns,
                std::uint32_t device = 0, const char* source = nullptr);
  bool release(std::uint64_t address, std::uint64_t bytes, std::uint64_t time_ns);
  /// The exit callback of cuMemAlloc_v2.
  void allocation_returns(std::size_t bytes, CUresult result);
  void context_created(void* context);

 private:
  std::uint8_t* buffer_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::uint32_t correlation_ = 0;
};

/// Size of a record by its kind: how a reader walks from one to the next.
[[nodiscard]] std::size_t record_bytes(CUpti_ActivityKind kind);

/// A driver with one device; `used_bytes` is what it says of itself.
struct FakeDriver {
  FakeDriver();
  ~FakeDriver();
  FakeDriver(const FakeDriver&) = delete;
  FakeDriver& operator=(const FakeDriver&) = delete;

  DriverApi api;
  int init_result = 0;
  int devices = 1;
  std::size_t used_bytes = 0;
  std::size_t total_bytes = std::size_t{16} << 30;
};

}  // namespace tidemark::test
