// Every call of CUPTI goes through this table, so that a test can put its own functions in.
// Compiled only where the headers of CUPTI are found; the library itself is looked for at run time.
#pragma once

#include <cupti.h>

#include <string>

#include "profiler/cupti/driver.h"

namespace tidemark {

/// Field, function of libcupti. All must be there but those of the second list.
#define TIDEMARK_CUPTI_REQUIRED(X)                              \
  X(get_version, cuptiGetVersion)                               \
  X(get_result_string, cuptiGetResultString)                    \
  X(subscribe, cuptiSubscribe)                                  \
  X(unsubscribe, cuptiUnsubscribe)                              \
  X(enable_callback, cuptiEnableCallback)                       \
  X(register_callbacks, cuptiActivityRegisterCallbacks)         \
  X(register_timestamp, cuptiActivityRegisterTimestampCallback) \
  X(activity_enable, cuptiActivityEnable)                       \
  X(activity_disable, cuptiActivityDisable)                     \
  X(enable_driver_api, cuptiActivityEnableDriverApi)            \
  X(enable_runtime_api, cuptiActivityEnableRuntimeApi)          \
  X(flush_all, cuptiActivityFlushAll)                           \
  X(next_record, cuptiActivityGetNextRecord)                    \
  X(dropped_records, cuptiActivityGetNumDroppedRecords)         \
  X(get_attribute, cuptiActivityGetAttribute)                   \
  X(push_correlation, cuptiActivityPushExternalCorrelationId)   \
  X(pop_correlation, cuptiActivityPopExternalCorrelationId)     \
  X(finalize, cuptiFinalize)
#define TIDEMARK_CUPTI_OPTIONAL(X)      \
  X(subscribe_named, cuptiSubscribe_v2) \
  X(enable_allocation_source, cuptiActivityEnableAllocationSource)

/// Null where the library lacks an optional function. Fakes leave out what they do not need.
struct CuptiApi {
#define TIDEMARK_FIELD(field, function) decltype(&::function) field = nullptr;
  TIDEMARK_CUPTI_REQUIRED(TIDEMARK_FIELD)
  TIDEMARK_CUPTI_OPTIONAL(TIDEMARK_FIELD)
#undef TIDEMARK_FIELD
};

/// libcupti of the major version that this was built for, loaded once and never unloaded; null with
/// a reason in `why` when there is none, it lacks a function, or it is older than the headers.
[[nodiscard]] const CuptiApi* load_cupti(std::string& why);

/// What the library says of a code: "CUPTI_ERROR_UNKNOWN (999)".
[[nodiscard]] std::string result_text(const CuptiApi& api, CUptiResult code);

/// Subscribes. On failure `why` says it in one line: who holds CUPTI already where it tells (code
/// 39), or that it does not work here. The handle is null then.
[[nodiscard]] CUpti_SubscriberHandle subscribe(const CuptiApi& api, CUpti_CallbackFunc callback,
                                               void* user, std::string& why);

/// Whether a session could begin: subscribes and unsubscribes again.
/// `cuptiActivityRegisterCallbacks` succeeds without a driver, so it is no probe.
[[nodiscard]] Capability probe_cupti(const CuptiApi* api, const std::string& why_missing);

}  // namespace tidemark
