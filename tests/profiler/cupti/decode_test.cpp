// Hand-made activity buffers through the decoder: each record by its fields, as cupti_activity.h of
// CUDA 13.0 lays them out.
#include "profiler/cupti/decode.h"

#include <array>

#include "../../catch.h"
#include "fake_cupti.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

class Activities {
 public:
  template <class Record>
  void add(const Record& record) {
    std::memcpy(bytes_.data() + used_, &record, sizeof record);
    used_ += sizeof record;
  }
  void cut(std::size_t bytes) { used_ -= bytes; }
  RecordBatch read(const CuptiApi& api) {
    RecordBatch batch;
    decode(api, {bytes_.data(), used_}, batch);
    return batch;
  }

 private:
  alignas(8) std::array<std::uint8_t, 4096> bytes_{};
  std::size_t used_ = 0;
};

CUpti_ActivityMemory4 memory_record() {
  CUpti_ActivityMemory4 m{};
  m.kind = CUPTI_ACTIVITY_KIND_MEMORY2;
  m.memoryOperationType = CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_ALLOCATION;
  m.memoryKind = CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
  m.correlationId = 7;
  m.address = 0x7f0000001000;
  m.bytes = 4096;
  m.timestamp = 123456;
  m.deviceId = 1;
  return m;
}

}  // namespace

TEST_CASE("decode: a buffer without records gives none") {
  FakeCupti fake;
  CHECK(Activities().read(fake.api) == RecordBatch{});
}

TEST_CASE("decode: memory, from a pool with its size and from a named library") {
  FakeCupti fake;
  Activities buffer;
  CUpti_ActivityMemory4 plain = memory_record();
  plain.source = "/opt/lib/libcublasLt.so.13";
  buffer.add(plain);
  CUpti_ActivityMemory4 pooled = memory_record();
  pooled.memoryOperationType = CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_RELEASE;
  pooled.isAsync = 1;
  pooled.memoryPoolConfig.memoryPoolType = CUPTI_ACTIVITY_MEMORY_POOL_TYPE_LOCAL;
  pooled.memoryPoolConfig.address = 0xabc;
  pooled.memoryPoolConfig.pool.size = 1 << 20;
  pooled.memoryPoolConfig.utilizedSize = 1 << 10;
  buffer.add(pooled);
  CUpti_ActivityMemory4 foreign = pooled;  // pool.processId is no size
  foreign.memoryPoolConfig.memoryPoolType = CUPTI_ACTIVITY_MEMORY_POOL_TYPE_IMPORTED;
  buffer.add(foreign);
  const MemoryRecord expected{.time_ns = 123456,
                              .correlation = 7,
                              .is_alloc = true,
                              .kind = MemoryKind::device,
                              .is_async = false,
                              .device = 1,
                              .address = 0x7f0000001000,
                              .size_bytes = 4096,
                              .source = "/opt/lib/libcublasLt.so.13"};
  MemoryRecord released = expected;
  released.is_alloc = false, released.is_async = true, released.source = "";
  MemoryRecord imported = released;
  released.pool = 0xabc, released.pool_bytes = 1 << 20, released.pool_used_bytes = 1 << 10;
  CHECK(buffer.read(fake.api).memory == std::vector{expected, released, imported});
}

TEST_CASE("decode: each kind of memory") {
  FakeCupti fake;
  Activities buffer;
  for (int kind = 0; kind <= 7; ++kind) {
    CUpti_ActivityMemory4 m = memory_record();
    m.memoryKind = static_cast<CUpti_ActivityMemoryKind>(kind);
    buffer.add(m);
  }
  std::vector<MemoryKind> kinds;
  for (const MemoryRecord& m : buffer.read(fake.api).memory) kinds.push_back(m.kind);
  CHECK(kinds == std::vector{MemoryKind::other, MemoryKind::pageable, MemoryKind::pinned,
                             MemoryKind::device, MemoryKind::device, MemoryKind::managed,
                             MemoryKind::device_static, MemoryKind::managed});
}

TEST_CASE("decode: pools, scopes of ours only, copies, kernels, overhead") {
  FakeCupti fake;
  Activities buffer;
  CUpti_ActivityMemoryPool3 pool{};
  pool.kind = CUPTI_ACTIVITY_KIND_MEMORY_POOL;
  pool.memoryPoolOperationType = CUPTI_ACTIVITY_MEMORY_POOL_OPERATION_TYPE_TRIMMED;
  pool.address = 0xabc, pool.size = 100, pool.utilizedSize = 60, pool.timestamp = 5;
  buffer.add(pool);
  CUpti_ActivityExternalCorrelation scope{};
  scope.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
  scope.externalKind = k_our_correlation, scope.externalId = 99, scope.correlationId = 7;
  buffer.add(scope);
  scope.externalKind = CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0;  // PyTorch's own
  buffer.add(scope);
  CUpti_ActivityKernel10 kernel{};
  kernel.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
  kernel.start = 10, kernel.end = 20, kernel.correlationId = 7, kernel.streamId = 3;
  kernel.name = "gemm";
  buffer.add(kernel);
  CUpti_ActivityMemcpy6 copy{};
  copy.kind = CUPTI_ACTIVITY_KIND_MEMCPY;
  copy.copyKind = CUPTI_ACTIVITY_MEMCPY_KIND_DTOH;
  copy.start = 20, copy.end = 25, copy.bytes = 64, copy.correlationId = 8;
  buffer.add(copy);
  CUpti_ActivityOverhead3 overhead{};
  overhead.kind = CUPTI_ACTIVITY_KIND_OVERHEAD;
  overhead.overheadKind = CUPTI_ACTIVITY_OVERHEAD_CUPTI_BUFFER_FLUSH;
  overhead.start = 30, overhead.end = 31;
  overhead.overheadData = std::malloc(16);  // the decoder frees it: the leak checker would tell
  buffer.add(overhead);

  RecordBatch expected;
  expected.pools = {{.time_ns = 5,
                     .operation = PoolOperation::trimmed,
                     .pool = 0xabc,
                     .pool_bytes = 100,
                     .pool_used_bytes = 60}};
  expected.scopes = {{.correlation = 7, .scope = 99}};
  expected.spans = {
      {.begin_ns = 10,
       .end_ns = 20,
       .kind = SpanKind::kernel,
       .correlation = 7,
       .stream = 3,
       .name = "gemm"},
      {.begin_ns = 20,
       .end_ns = 25,
       .kind = SpanKind::copy,
       .correlation = 8,
       .size_bytes = 64,
       .name = "copy device to host"},
      {.begin_ns = 30, .end_ns = 31, .kind = SpanKind::overhead, .name = "cupti buffer flush"}};
  CHECK(buffer.read(fake.api) == expected);
}

TEST_CASE("decode: what is lost is counted") {
  FakeCupti fake;
  Activities buffer;
  CUpti_ActivityKernel10 kernel{};  // no times: CUPTI had no room on the device
  kernel.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
  buffer.add(kernel);
  struct alignas(8) Unknown {
    CUpti_ActivityKind kind = CUPTI_ACTIVITY_KIND_PCIE;
    std::uint8_t rest[60] = {};
  };
  buffer.add(Unknown{});
  buffer.add(memory_record());
  RecordBatch batch = buffer.read(fake.api);
  CHECK(batch.dropped == 1);
  CHECK(batch.unreadable == 1);
  CHECK(batch.memory.size() == 1);
  buffer.cut(8);  // the last record is not whole
  batch = buffer.read(fake.api);
  CHECK(batch.unreadable == 2);
  CHECK(batch.memory.empty());
}

TEST_CASE("decode: allocation calls say how much was asked for and whether it was refused") {
  CUpti_CallbackData data{};
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  cuMemAlloc_v2_params plain{nullptr, 1000};
  data.callbackSite = CUPTI_API_EXIT;
  data.functionName = "cuMemAlloc_v2";
  data.functionParams = &plain;
  data.functionReturnValue = &result;
  const auto call = CUPTI_DRIVER_TRACE_CBID_cuMemAlloc_v2;
  CHECK(allocation_call(call, data) == AllocationCall{"cuMemAlloc_v2", 1000, true});
  result = CUDA_SUCCESS;
  CHECK(allocation_call(call, data) == AllocationCall{"cuMemAlloc_v2", 1000, false});
  CHECK(!allocation_call(CUPTI_DRIVER_TRACE_CBID_cuMemFree_v2, data));
  data.callbackSite = CUPTI_API_ENTER;
  CHECK(!allocation_call(call, data));

  cuMemAllocPitch_v2_params pitched{nullptr, nullptr, 100, 8, 4};
  data.callbackSite = CUPTI_API_EXIT;
  data.functionParams = &pitched;
  CHECK(allocation_call(CUPTI_DRIVER_TRACE_CBID_cuMemAllocPitch_v2, data)->size_bytes == 800);
  cuMemCreate_params created{nullptr, 2 << 20, nullptr, 0};
  data.functionParams = &created;
  CHECK(allocation_call(CUPTI_DRIVER_TRACE_CBID_cuMemCreate, data)->size_bytes == 2 << 20);
}

TEST_CASE("decode: libcupti itself walks such a buffer in the same steps, where it is installed") {
  std::string why;
  const CuptiApi* real = load_cupti(why);
  if (real == nullptr) {
    WARN("SKIP: " << why);
    return;
  }
  FakeCupti fake;
  Activities buffer;
  buffer.add(memory_record());
  CUpti_ActivityMemoryPool3 pool{};
  pool.kind = CUPTI_ACTIVITY_KIND_MEMORY_POOL;
  buffer.add(pool);
  CUpti_ActivityExternalCorrelation scope{};
  scope.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
  scope.externalKind = k_our_correlation, scope.externalId = 99, scope.correlationId = 7;
  buffer.add(scope);
  CUpti_ActivityKernel10 kernel{};
  kernel.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
  kernel.start = 10, kernel.end = 20, kernel.name = "gemm";
  buffer.add(kernel);
  CUpti_ActivityMemcpy6 copy{};
  copy.kind = CUPTI_ACTIVITY_KIND_MEMCPY;
  copy.start = 20, copy.end = 25;
  buffer.add(copy);
  CUpti_ActivityMemset4 fill{};
  fill.kind = CUPTI_ACTIVITY_KIND_MEMSET;
  fill.start = 30, fill.end = 35;
  buffer.add(fill);
  CUpti_ActivityOverhead3 overhead{};
  overhead.kind = CUPTI_ACTIVITY_KIND_OVERHEAD;
  buffer.add(overhead);
  buffer.add(memory_record());
  const RecordBatch expected = buffer.read(fake.api);
  CHECK(expected.memory.size() == 2);
  CHECK(expected.spans.size() == 4);
  CHECK(buffer.read(*real) == expected);
}
