// What CUPTI tells, in our own words and without a header of CUDA. Only decode.cpp makes these from
// activity buffers; all that follows (ledger, reconciliation) is built and tested everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// Whose call a record belongs to: what was pushed as external correlation id on the calling
/// thread. Rows are those of the trace that is being written.
struct Scope {
  std::int32_t step = -1;
  Phase phase = Phase::other;
  LayerId layer;
  OpId op;
  bool operator==(const Scope&) const = default;
};

/// 64 bits: step 20 | phase 3 | layer 21 | op 20, each row as row + 1, so that 0 is "none". A row
/// that does not fit becomes none.
[[nodiscard]] std::uint64_t pack(const Scope& scope);
[[nodiscard]] Scope unpack(std::uint64_t id);

enum class MemoryKind : std::uint8_t { device, device_static, managed, pinned, pageable, other };

/// One allocation or release, of whichever library of the process. Times of all records are those
/// of the clock that the session registered.
struct MemoryRecord {
  std::int64_t time_ns = 0;
  std::uint32_t correlation = 0;
  bool is_alloc = true;
  MemoryKind kind = MemoryKind::device;
  bool is_async = false;  // from a memory pool
  std::int32_t device = 0;
  std::uint64_t address = 0;
  std::int64_t size_bytes = 0;
  std::uint64_t pool = 0;            // 0 = of no pool of this process
  std::int64_t pool_bytes = 0;       // reserved by the pool after this call
  std::int64_t pool_used_bytes = 0;  // of them handed out
  std::string source{};              // shared object that asked; empty = not recorded
  bool operator==(const MemoryRecord&) const = default;
};

enum class PoolOperation : std::uint8_t { created, destroyed, trimmed };

struct PoolRecord {
  std::int64_t time_ns = 0;
  PoolOperation operation = PoolOperation::created;
  std::int32_t device = 0;
  std::uint64_t pool = 0;
  std::int64_t pool_bytes = 0;
  std::int64_t pool_used_bytes = 0;
  bool operator==(const PoolRecord&) const = default;
};

/// The call `correlation` was made inside of `scope`.
struct ScopeRecord {
  std::uint32_t correlation = 0;
  std::uint64_t scope = 0;  // packed
  bool operator==(const ScopeRecord&) const = default;
};

enum class SpanKind : std::uint8_t { kernel, copy, fill, overhead };

/// Work of the device, or time that CUPTI itself took (overhead).
struct SpanRecord {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  SpanKind kind = SpanKind::kernel;
  std::uint32_t correlation = 0;
  std::int32_t device = 0;
  std::uint32_t stream = 0;
  std::int64_t size_bytes = 0;  // copied or filled
  std::string name{};
  bool operator==(const SpanRecord&) const = default;
};

/// What cuMemGetInfo said.
struct DeviceSample {
  std::int64_t time_ns = 0;
  std::int32_t device = 0;
  std::int64_t free_bytes = 0;
  std::int64_t total_bytes = 0;
  bool operator==(const DeviceSample&) const = default;
};

/// A step of the program, told by a range that is named so.
struct StepMark {
  std::int64_t time_ns = 0;
  std::int32_t step = 0;
  bool is_begin = true;
  bool operator==(const StepMark&) const = default;
};

/// An allocation call that the driver refused.
struct RefusedAllocation {
  std::int64_t time_ns = 0;
  std::string call{};  // "cuMemAlloc_v2"
  std::int64_t size_bytes = 0;
  Scope scope{};
  bool operator==(const RefusedAllocation&) const = default;
};

/// Records of one flush, in no order: buffers of several threads come as they please.
struct RecordBatch {
  std::vector<MemoryRecord> memory{};
  std::vector<PoolRecord> pools{};
  std::vector<ScopeRecord> scopes{};
  std::vector<SpanRecord> spans{};
  std::vector<DeviceSample> samples{};
  std::vector<StepMark> steps{};
  std::vector<RefusedAllocation> refused{};
  std::int64_t dropped = 0;     // records that CUPTI had no buffer for
  std::int64_t unreadable = 0;  // records of a kind that nobody asked for
  bool operator==(const RecordBatch&) const = default;
};

}  // namespace tidemark
