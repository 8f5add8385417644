#include "fake_cupti.h"

#include <algorithm>
#include <utility>

namespace tidemark::test {
namespace {

FakeCupti* g_fake = nullptr;
FakeDriver* g_driver = nullptr;
int g_subscriber = 0;

CUptiResult called(const char* name) {
  g_fake->calls.emplace_back(name);
  return CUPTI_SUCCESS;
}

CUptiResult subscribed(CUpti_SubscriberHandle* handle, CUpti_CallbackFunc callback, void* user) {
  called("subscribe");
  if (g_fake->subscribe_result != CUPTI_SUCCESS) return g_fake->subscribe_result;
  g_fake->callback = callback;
  g_fake->user = user;
  *handle = reinterpret_cast<CUpti_SubscriberHandle>(&g_subscriber);
  return CUPTI_SUCCESS;
}

CUptiResult next_record(std::uint8_t* buffer, std::size_t bytes, CUpti_Activity** record) {
  auto* at = reinterpret_cast<std::uint8_t*>(*record);
  at = at == nullptr ? buffer : at + record_bytes((*record)->kind);
  if (at == buffer + bytes) return CUPTI_ERROR_MAX_LIMIT_REACHED;
  auto* next = reinterpret_cast<CUpti_Activity*>(at);
  if (at + sizeof(CUpti_ActivityKind) > buffer + bytes) return CUPTI_ERROR_INVALID_KIND;
  if (at + record_bytes(next->kind) > buffer + bytes) return CUPTI_ERROR_INVALID_KIND;
  *record = next;
  return CUPTI_SUCCESS;
}

CUptiResult get_attribute(CUpti_ActivityAttribute name, std::size_t*, void* value) {
  const bool size = name == CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_SIZE;
  *static_cast<std::size_t*>(value) = size ? 3'200'000 : 3;
  return CUPTI_SUCCESS;
}

CuptiApi table() {
  CuptiApi api;
  api.get_version = [](std::uint32_t* version) {
    *version = g_fake->version;
    return CUPTI_SUCCESS;
  };
  api.get_result_string = [](CUptiResult code, const char** text) {
    *text = code == CUPTI_ERROR_UNKNOWN ? "CUPTI_ERROR_UNKNOWN" : "CUPTI_ERROR_X";
    return CUPTI_SUCCESS;
  };
  api.subscribe = subscribed;
  api.subscribe_named = [](CUpti_SubscriberHandle* handle, CUpti_CallbackFunc callback, void* user,
                           CUpti_SubscriberParams* parameters) {
    g_fake->holder.copy(parameters->oldSubscriberName, parameters->oldSubscriberSize - 1);
    return subscribed(handle, callback, user);
  };
  api.unsubscribe = [](CUpti_SubscriberHandle) { return called("unsubscribe"); };
  api.enable_callback = [](std::uint32_t, CUpti_SubscriberHandle, CUpti_CallbackDomain,
                           CUpti_CallbackId) { return called("enable_callback"); };
  api.register_callbacks = [](CUpti_BuffersCallbackRequestFunc request,
                              CUpti_BuffersCallbackCompleteFunc complete) {
    g_fake->request = request;
    g_fake->complete = complete;
    return called("register_callbacks");
  };
  api.register_timestamp = [](CUpti_TimestampCallbackFunc) { return called("register_timestamp"); };
  api.activity_enable = [](CUpti_ActivityKind kind) {
    if (kind == g_fake->refused_kind) return CUPTI_ERROR_NOT_COMPATIBLE;
    g_fake->enabled.push_back(kind);
    return called("activity_enable");
  };
  api.activity_disable = [](CUpti_ActivityKind kind) {
    std::erase(g_fake->enabled, kind);
    return CUPTI_SUCCESS;
  };
  api.enable_driver_api = [](CUpti_CallbackId, std::uint8_t) { return CUPTI_SUCCESS; };
  api.enable_runtime_api = [](CUpti_CallbackId, std::uint8_t) { return CUPTI_SUCCESS; };
  api.enable_allocation_source = [](std::uint8_t) { return called("enable_allocation_source"); };
  api.flush_all = [](std::uint32_t) {
    g_fake->flush();
    return CUPTI_SUCCESS;
  };
  api.next_record = next_record;
  api.dropped_records = [](CUcontext, std::uint32_t, std::size_t* dropped) {
    *dropped = std::exchange(g_fake->dropped, 0);
    return CUPTI_SUCCESS;
  };
  api.get_attribute = get_attribute;
  api.push_correlation = [](CUpti_ExternalCorrelationKind, std::uint64_t id) {
    g_fake->correlations.push_back(id);
    return CUPTI_SUCCESS;
  };
  api.pop_correlation = [](CUpti_ExternalCorrelationKind, std::uint64_t*) {
    if (g_fake->correlations.empty()) return CUPTI_ERROR_QUEUE_EMPTY;
    g_fake->correlations.pop_back();
    return CUPTI_SUCCESS;
  };
  api.finalize = [] { return called("finalize"); };
  return api;
}

}  // namespace

std::size_t record_bytes(CUpti_ActivityKind kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_KIND_MEMORY2:
      return sizeof(CUpti_ActivityMemory4);
    case CUPTI_ACTIVITY_KIND_MEMORY_POOL:
      return sizeof(CUpti_ActivityMemoryPool3);
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION:
      return sizeof(CUpti_ActivityExternalCorrelation);
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
      return sizeof(CUpti_ActivityKernel10);
    case CUPTI_ACTIVITY_KIND_MEMCPY:
      return sizeof(CUpti_ActivityMemcpy6);
    case CUPTI_ACTIVITY_KIND_MEMSET:
      return sizeof(CUpti_ActivityMemset4);
    case CUPTI_ACTIVITY_KIND_OVERHEAD:
      return sizeof(CUpti_ActivityOverhead3);
    default:
      return 64;
  }
}

FakeCupti::FakeCupti() : api(table()) {
  g_fake = this;
}

FakeCupti::~FakeCupti() {
  g_fake = nullptr;
}

bool FakeCupti::write_bytes(const void* record, std::size_t bytes) {
  if (buffer_ != nullptr && used_ + bytes > capacity_) flush();
  if (buffer_ == nullptr) {
    std::size_t most = 0;
    request(&buffer_, &capacity_, &most);
    used_ = 0;
  }
  if (buffer_ == nullptr) {
    ++dropped;
    return false;
  }
  std::memcpy(buffer_ + used_, record, bytes);
  used_ += bytes;
  return true;
}

void FakeCupti::flush() {
  if (buffer_ == nullptr) return;
  complete(nullptr, 0, std::exchange(buffer_, nullptr), capacity_, used_);
}

bool FakeCupti::allocate(std::uint64_t address, std::uint64_t bytes, std::uint64_t time_ns,
                         std::uint32_t device, const char* source) {
  ++correlation_;
  if (!correlations.empty()) {
    CUpti_ActivityExternalCorrelation scope{};
    scope.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
    scope.externalKind = k_our_correlation;
    scope.externalId = correlations.back();
    scope.correlationId = correlation_;
    write(scope);
  }
  CUpti_ActivityMemory4 memory{};
  memory.kind = CUPTI_ACTIVITY_KIND_MEMORY2;
  memory.memoryOperationType = CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_ALLOCATION;
  memory.memoryKind = CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
  memory.correlationId = correlation_;
  memory.address = address;
  memory.bytes = bytes;
  memory.timestamp = time_ns;
  memory.deviceId = device;
  memory.source = source;
  return write(memory);
}

bool FakeCupti::release(std::uint64_t address, std::uint64_t bytes, std::uint64_t time_ns) {
  CUpti_ActivityMemory4 memory{};
  memory.kind = CUPTI_ACTIVITY_KIND_MEMORY2;
  memory.memoryOperationType = CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_RELEASE;
  memory.memoryKind = CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
  memory.correlationId = ++correlation_;
  memory.address = address;
  memory.bytes = bytes;
  memory.timestamp = time_ns;
  return write(memory);
}

void FakeCupti::allocation_returns(std::size_t bytes, CUresult result) {
  cuMemAlloc_v2_params parameters{nullptr, bytes};
  CUpti_CallbackData data{};
  data.callbackSite = CUPTI_API_EXIT;
  data.functionName = "cuMemAlloc_v2";
  data.functionParams = &parameters;
  data.functionReturnValue = &result;
  callback(user, CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_cuMemAlloc_v2, &data);
}

void FakeCupti::context_created(void* context) {
  CUpti_ResourceData data{};
  data.context = static_cast<CUcontext>(context);
  callback(user, CUPTI_CB_DOMAIN_RESOURCE, CUPTI_CBID_RESOURCE_CONTEXT_CREATED, &data);
}

FakeDriver::FakeDriver() {
  g_driver = this;
  api.init = [](unsigned) { return g_driver->init_result; };
  api.driver_version = [](int* version) {
    *version = 13000;
    return 0;
  };
  api.device_count = [](int* count) {
    *count = g_driver->devices;
    return 0;
  };
  api.device_name = [](char* name, int bytes, int) {
    std::strncpy(name, "Paper GPU", static_cast<std::size_t>(bytes));
    return 0;
  };
  api.device_memory = [](std::size_t* bytes, int) {
    *bytes = g_driver->total_bytes;
    return 0;
  };
  api.push_context = [](void*) { return 0; };
  api.pop_context = [](void**) { return 0; };
  api.context_device = [](int* device) {
    *device = 0;
    return 0;
  };
  api.memory_info = [](std::size_t* free, std::size_t* total) {
    *free = g_driver->total_bytes - g_driver->used_bytes;
    *total = g_driver->total_bytes;
    return 0;
  };
}

FakeDriver::~FakeDriver() {
  g_driver = nullptr;
}

}  // namespace tidemark::test
