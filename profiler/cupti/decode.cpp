#include "profiler/cupti/decode.h"

#include <array>
#include <cstdlib>

namespace tidemark {
namespace {

// The newest record of each kind at the version of the headers. CUPTI 13.2 replaces Kernel10.
#if CUPTI_API_VERSION >= 130200
using Kernel = CUpti_ActivityKernel11;
#else
using Kernel = CUpti_ActivityKernel10;
#endif
using Memory = CUpti_ActivityMemory4;
using Pool = CUpti_ActivityMemoryPool3;
using Copy = CUpti_ActivityMemcpy6;
using PeerCopy = CUpti_ActivityMemcpyPtoP4;
using Fill = CUpti_ActivityMemset4;
using Overhead = CUpti_ActivityOverhead3;

template <class Record>
const Record& as(const CUpti_Activity& record) {
  return reinterpret_cast<const Record&>(record);
}

std::int64_t signed_of(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

std::string text_of(const char* text) {
  return text == nullptr ? std::string() : std::string(text);
}

MemoryKind kind_of(CUpti_ActivityMemoryKind kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_MEMORY_KIND_DEVICE:
    case CUPTI_ACTIVITY_MEMORY_KIND_ARRAY:
      return MemoryKind::device;
    case CUPTI_ACTIVITY_MEMORY_KIND_DEVICE_STATIC:
      return MemoryKind::device_static;
    case CUPTI_ACTIVITY_MEMORY_KIND_MANAGED:
    case CUPTI_ACTIVITY_MEMORY_KIND_MANAGED_STATIC:
      return MemoryKind::managed;
    case CUPTI_ACTIVITY_MEMORY_KIND_PINNED:
      return MemoryKind::pinned;
    case CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE:
      return MemoryKind::pageable;
    default:
      return MemoryKind::other;
  }
}

void decode_memory(const Memory& m, RecordBatch& batch) {
  MemoryRecord out{
      .time_ns = signed_of(m.timestamp),
      .correlation = m.correlationId,
      .is_alloc = m.memoryOperationType == CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_ALLOCATION,
      .kind = kind_of(m.memoryKind),
      .is_async = m.isAsync != 0,
      .device = static_cast<std::int32_t>(m.deviceId),
      .address = m.address,
      .size_bytes = signed_of(m.bytes),
      .source = text_of(m.source)};
  const auto& pool = m.memoryPoolConfig;
  if (out.is_async && pool.memoryPoolType == CUPTI_ACTIVITY_MEMORY_POOL_TYPE_LOCAL) {
    out.pool = pool.address;
    out.pool_bytes = signed_of(pool.pool.size);
    out.pool_used_bytes = signed_of(pool.utilizedSize);
  }
  batch.memory.push_back(std::move(out));
}

void decode_pool(const Pool& p, RecordBatch& batch) {
  PoolOperation operation = PoolOperation::created;
  if (p.memoryPoolOperationType == CUPTI_ACTIVITY_MEMORY_POOL_OPERATION_TYPE_DESTROYED) {
    operation = PoolOperation::destroyed;
  } else if (p.memoryPoolOperationType == CUPTI_ACTIVITY_MEMORY_POOL_OPERATION_TYPE_TRIMMED) {
    operation = PoolOperation::trimmed;
  }
  batch.pools.push_back({.time_ns = signed_of(p.timestamp),
                         .operation = operation,
                         .device = static_cast<std::int32_t>(p.deviceId),
                         .pool = p.address,
                         .pool_bytes = signed_of(p.size),
                         .pool_used_bytes = signed_of(p.utilizedSize)});
}

std::string overhead_name(CUpti_ActivityOverheadKind kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_OVERHEAD_DRIVER_COMPILER:
      return "driver compiler";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_BUFFER_FLUSH:
      return "cupti buffer flush";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_INSTRUMENTATION:
      return "cupti instrumentation";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_RESOURCE:
      return "cupti resource";
    case CUPTI_ACTIVITY_OVERHEAD_RUNTIME_TRIGGERED_MODULE_LOADING:
      return "module loading";
    case CUPTI_ACTIVITY_OVERHEAD_LAZY_FUNCTION_LOADING:
      return "lazy function loading";
    case CUPTI_ACTIVITY_OVERHEAD_COMMAND_BUFFER_FULL:
      return "command buffer full";
    case CUPTI_ACTIVITY_OVERHEAD_ACTIVITY_BUFFER_REQUEST:
      return "cupti buffer request";
    case CUPTI_ACTIVITY_OVERHEAD_UVM_ACTIVITY_INIT:
      return "managed memory set-up";
    default:
      return "unknown overhead";
  }
}

/// A kernel whose times are 0 found no room in CUPTI's device buffer: it is lost.
template <class Record>
void decode_span(const Record& r, SpanKind kind, std::int64_t size_bytes, std::string name,
                 RecordBatch& batch) {
  if (r.start == 0 && r.end == 0) {
    ++batch.dropped;
    return;
  }
  batch.spans.push_back({.begin_ns = signed_of(r.start),
                         .end_ns = signed_of(r.end),
                         .kind = kind,
                         .correlation = r.correlationId,
                         .device = static_cast<std::int32_t>(r.deviceId),
                         .stream = r.streamId,
                         .size_bytes = size_bytes,
                         .name = std::move(name)});
}

void decode_overhead(const Overhead& o, RecordBatch& batch) {
  batch.spans.push_back({.begin_ns = signed_of(o.start),
                         .end_ns = signed_of(o.end),
                         .kind = SpanKind::overhead,
                         .correlation = o.correlationId,
                         .name = overhead_name(o.overheadKind)});
  std::free(o.overheadData);  // the client's to free (cupti_activity.h)
}

const char* copy_name(std::uint8_t kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD:
      return "copy host to device";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH:
      return "copy device to host";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOD:
      return "copy device to device";
    default:
      return "copy";
  }
}

void decode_record(const CUpti_Activity& record, RecordBatch& batch) {
  switch (record.kind) {
    case CUPTI_ACTIVITY_KIND_MEMORY2:
      return decode_memory(as<Memory>(record), batch);
    case CUPTI_ACTIVITY_KIND_MEMORY_POOL:
      return decode_pool(as<Pool>(record), batch);
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION: {
      const auto& e = as<CUpti_ActivityExternalCorrelation>(record);
      if (e.externalKind == k_our_correlation) {
        batch.scopes.push_back({.correlation = e.correlationId, .scope = e.externalId});
      }
      return;
    }
    case CUPTI_ACTIVITY_KIND_KERNEL:
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: {
      const auto& k = as<Kernel>(record);
      return decode_span(k, SpanKind::kernel, 0, text_of(k.name), batch);
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
      const auto& c = as<Copy>(record);
      return decode_span(c, SpanKind::copy, signed_of(c.bytes), copy_name(c.copyKind), batch);
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY2: {
      const auto& c = as<PeerCopy>(record);
      return decode_span(c, SpanKind::copy, signed_of(c.bytes), "copy between devices", batch);
    }
    case CUPTI_ACTIVITY_KIND_MEMSET: {
      const auto& f = as<Fill>(record);
      return decode_span(f, SpanKind::fill, signed_of(f.bytes), "fill", batch);
    }
    case CUPTI_ACTIVITY_KIND_OVERHEAD:
      return decode_overhead(as<Overhead>(record), batch);
    // Correlation ids arrive only with records of the calls themselves; these say nothing more.
    case CUPTI_ACTIVITY_KIND_DRIVER:
    case CUPTI_ACTIVITY_KIND_RUNTIME:
      return;
    default:
      ++batch.unreadable;
  }
}

}  // namespace

void decode(const CuptiApi& api, std::span<std::uint8_t> buffer, RecordBatch& batch) {
  CUpti_Activity* record = nullptr;
  for (;;) {
    const CUptiResult code = api.next_record(buffer.data(), buffer.size(), &record);
    if (code == CUPTI_ERROR_MAX_LIMIT_REACHED) return;
    if (code != CUPTI_SUCCESS) {
      ++batch.unreadable;
      return;
    }
    decode_record(*record, batch);
  }
}

std::span<const CUpti_CallbackId> allocation_calls() {
  static constexpr std::array<CUpti_CallbackId, 8> k_calls{
      CUPTI_DRIVER_TRACE_CBID_cuMemAlloc_v2,
      CUPTI_DRIVER_TRACE_CBID_cuMemAllocPitch_v2,
      CUPTI_DRIVER_TRACE_CBID_cuMemAllocManaged,
      CUPTI_DRIVER_TRACE_CBID_cuMemCreate,
      CUPTI_DRIVER_TRACE_CBID_cuMemAllocAsync,
      CUPTI_DRIVER_TRACE_CBID_cuMemAllocAsync_ptsz,
      CUPTI_DRIVER_TRACE_CBID_cuMemAllocFromPoolAsync,
      CUPTI_DRIVER_TRACE_CBID_cuMemAllocFromPoolAsync_ptsz};
  return k_calls;
}

std::span<const CUpti_CallbackId> runtime_allocation_calls() {
  static constexpr std::array<CUpti_CallbackId, 7> k_calls{
      CUPTI_RUNTIME_TRACE_CBID_cudaMalloc_v3020,
      CUPTI_RUNTIME_TRACE_CBID_cudaMallocPitch_v3020,
      CUPTI_RUNTIME_TRACE_CBID_cudaMallocManaged_v6000,
      CUPTI_RUNTIME_TRACE_CBID_cudaMallocAsync_v11020,
      CUPTI_RUNTIME_TRACE_CBID_cudaMallocAsync_ptsz_v11020,
      CUPTI_RUNTIME_TRACE_CBID_cudaMallocFromPoolAsync_v11020,
      CUPTI_RUNTIME_TRACE_CBID_cudaMallocFromPoolAsync_ptsz_v11020};
  return k_calls;
}

namespace {

/// Bytes that a call asked for, from its parameters (generated_cuda_meta.h).
std::optional<std::int64_t> asked_bytes(CUpti_CallbackId call, const void* parameters) {
  const auto bytes = [parameters]<class P>(std::size_t P::*field) {
    return static_cast<std::int64_t>(static_cast<const P*>(parameters)->*field);
  };
  switch (call) {
    case CUPTI_DRIVER_TRACE_CBID_cuMemAlloc_v2:
      return bytes(&cuMemAlloc_v2_params::bytesize);
    case CUPTI_DRIVER_TRACE_CBID_cuMemAllocPitch_v2: {
      const auto& p = *static_cast<const cuMemAllocPitch_v2_params*>(parameters);
      return static_cast<std::int64_t>(p.WidthInBytes * p.Height);
    }
    case CUPTI_DRIVER_TRACE_CBID_cuMemAllocManaged:
      return bytes(&cuMemAllocManaged_params::bytesize);
    case CUPTI_DRIVER_TRACE_CBID_cuMemCreate:
      return bytes(&cuMemCreate_params::size);
    case CUPTI_DRIVER_TRACE_CBID_cuMemAllocAsync:
    case CUPTI_DRIVER_TRACE_CBID_cuMemAllocAsync_ptsz:
      return bytes(&cuMemAllocAsync_params::bytesize);
    case CUPTI_DRIVER_TRACE_CBID_cuMemAllocFromPoolAsync:
    case CUPTI_DRIVER_TRACE_CBID_cuMemAllocFromPoolAsync_ptsz:
      return bytes(&cuMemAllocFromPoolAsync_params::bytesize);
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<AllocationCall> allocation_call(CUpti_CallbackId call,
                                              const CUpti_CallbackData& data) {
  if (data.callbackSite != CUPTI_API_EXIT || data.functionParams == nullptr) return std::nullopt;
  const std::optional<std::int64_t> size_bytes = asked_bytes(call, data.functionParams);
  if (!size_bytes || data.functionReturnValue == nullptr) return std::nullopt;
  const auto result = *static_cast<const CUresult*>(data.functionReturnValue);
  return AllocationCall{.call = text_of(data.functionName),
                        .size_bytes = *size_bytes,
                        .refused = result == CUDA_ERROR_OUT_OF_MEMORY};
}

}  // namespace tidemark
