#include "profiler/cupti/session.h"

#include <fmt/format.h>
#include <time.h>

#include <iterator>
#include <utility>

namespace tidemark {
namespace {

/// CUPTI's buffer callbacks carry no pointer of ours.
std::atomic<CuptiSession*> g_session{nullptr};

}  // namespace

std::uint64_t session_clock_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC_RAW, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

CuptiSession::CuptiSession(const CuptiApi& api, const SessionOptions& options)
    : api_(api), options_(options), pool_(options.buffer_bytes, options.buffers) {}

std::unique_ptr<CuptiSession> CuptiSession::start(
    const CuptiApi& api, const SessionOptions& options,
    std::function<void(const AllocationCall&)> on_refused,
    std::function<void(void* context, bool made)> on_context, std::string& why) {
  std::unique_ptr<CuptiSession> session(new CuptiSession(api, options));
  session->on_refused_ = std::move(on_refused);
  session->on_context_ = std::move(on_context);
  CuptiSession* expected = nullptr;
  if (!g_session.compare_exchange_strong(expected, session.get())) {
    why = "this process records already";
    return nullptr;
  }
  session->subscriber_ = subscribe(api, &CuptiSession::on_callback, session.get(), why);
  if (session->subscriber_ == nullptr) return nullptr;
  why = session->enable();
  return why.empty() ? std::move(session) : nullptr;
}

/// The clock before any kind, the buffers before the first record.
std::string CuptiSession::enable() {
  const auto failed = [this](const char* call, CUptiResult code) {
    return fmt::format("{}: {}", call, result_text(api_, code));
  };
  if (const CUptiResult code = api_.register_timestamp(&session_clock_ns)) {
    return failed("cuptiActivityRegisterTimestampCallback", code);
  }
  if (const CUptiResult code = api_.register_callbacks(&on_request, &on_complete)) {
    return failed("cuptiActivityRegisterCallbacks", code);
  }
  std::vector<CUpti_ActivityKind> kinds{
      CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, CUPTI_ACTIVITY_KIND_MEMORY2,
      CUPTI_ACTIVITY_KIND_MEMORY_POOL, CUPTI_ACTIVITY_KIND_OVERHEAD};
  if (options_.kernels) {
    kinds.insert(kinds.end(), {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY,
                               CUPTI_ACTIVITY_KIND_MEMCPY2, CUPTI_ACTIVITY_KIND_MEMSET,
                               CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_ACTIVITY_KIND_DRIVER});
  }
  for (CUpti_ActivityKind kind : kinds) {
    if (const CUptiResult code = api_.activity_enable(kind)) {
      return failed(fmt::format("cuptiActivityEnable({})", static_cast<int>(kind)).c_str(), code);
    }
    enabled_.push_back(kind);
  }
  // An external correlation record comes only with the record of a call, so the calls that allocate
  // are recorded; none of the others, unless kernels are.
  for (CUpti_CallbackId call : allocation_calls()) {
    if (!options_.kernels) api_.enable_driver_api(call, 1);
    api_.enable_callback(1, subscriber_, CUPTI_CB_DOMAIN_DRIVER_API, call);
  }
  for (CUpti_CallbackId call : runtime_allocation_calls()) {
    if (!options_.kernels) api_.enable_runtime_api(call, 1);
  }
  api_.enable_callback(1, subscriber_, CUPTI_CB_DOMAIN_STATE, CUPTI_CBID_STATE_FATAL_ERROR);
  for (CUpti_CallbackId call :
       {CUPTI_CBID_RESOURCE_CONTEXT_CREATED, CUPTI_CBID_RESOURCE_CONTEXT_DESTROY_STARTING}) {
    api_.enable_callback(1, subscriber_, CUPTI_CB_DOMAIN_RESOURCE, call);
  }
  if (options_.allocation_source && api_.enable_allocation_source != nullptr) {
    api_.enable_allocation_source(1);
  }
  return {};
}

CuptiSession::~CuptiSession() {
  for (CUpti_ActivityKind kind : enabled_) api_.activity_disable(kind);
  if (!enabled_.empty()) api_.flush_all(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  CuptiSession* self = this;
  g_session.compare_exchange_strong(self, nullptr);
  if (subscriber_ == nullptr) return;
  api_.unsubscribe(subscriber_);
  // Without it what CUPTI put into the driver keeps slowing the program down.
  api_.finalize();
}

RecordBatch CuptiSession::collect(bool all) {
  RecordBatch batch;
  if (!cut_off_) api_.flush_all(all ? CUPTI_ACTIVITY_FLAG_FLUSH_FORCED : 0);
  pool_.drain([&](std::span<std::uint8_t> buffer) { decode(api_, buffer, batch); });
  std::size_t dropped = 0;
  if (!cut_off_ && api_.dropped_records(nullptr, 0, &dropped) == CUPTI_SUCCESS) {
    batch.dropped += static_cast<std::int64_t>(dropped);
  }
  return batch;
}

std::int64_t CuptiSession::device_cost_bytes() const {
  if (!options_.kernels) return 0;
  const auto attribute = [this](CUpti_ActivityAttribute name) {
    std::size_t value = 0;
    std::size_t bytes = sizeof value;
    const CUptiResult code = api_.get_attribute(name, &bytes, &value);
    return code == CUPTI_SUCCESS ? static_cast<std::int64_t>(value) : 0;
  };
  return attribute(CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_SIZE) *
         attribute(CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_PRE_ALLOCATE_VALUE);
}

void CuptiSession::on_callback(void* self, CUpti_CallbackDomain domain, CUpti_CallbackId call,
                               const void* data) {
  auto& session = *static_cast<CuptiSession*>(self);
  switch (domain) {
    case CUPTI_CB_DOMAIN_STATE:
      if (call == CUPTI_CBID_STATE_FATAL_ERROR) session.cut_off_ = true;
      return;
    case CUPTI_CB_DOMAIN_RESOURCE:
      if (session.on_context_) {
        session.on_context_(static_cast<const CUpti_ResourceData*>(data)->context,
                            call == CUPTI_CBID_RESOURCE_CONTEXT_CREATED);
      }
      return;
    case CUPTI_CB_DOMAIN_DRIVER_API: {
      const auto made = allocation_call(call, *static_cast<const CUpti_CallbackData*>(data));
      if (made && made->refused && session.on_refused_) session.on_refused_(*made);
      return;
    }
    default:
      return;
  }
}

void CuptiSession::on_request(std::uint8_t** buffer, std::size_t* bytes,
                              std::size_t* most_records) {
  CuptiSession* session = g_session.load(std::memory_order_acquire);
  *buffer = session == nullptr ? nullptr : session->pool_.lend();
  *bytes = *buffer == nullptr ? 0 : session->pool_.buffer_bytes();
  *most_records = 0;  // as many as fit
}

void CuptiSession::on_complete(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t,
                               std::size_t used_bytes) {
  if (CuptiSession* session = g_session.load(std::memory_order_acquire)) {
    session->pool_.complete(buffer, used_bytes);
  }
}

}  // namespace tidemark
