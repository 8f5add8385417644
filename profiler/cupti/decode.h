// From activity buffers and callbacks of CUPTI to our records: the only place that knows the layout
// of an activity record (cupti_activity.h of CUDA 13.0).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "profiler/cupti/cupti_api.h"
#include "profiler/cupti/records.h"

namespace tidemark {

/// Which stack of external correlation ids is ours: Kineto uses CUSTOM0 and CUSTOM1.
inline constexpr CUpti_ExternalCorrelationKind k_our_correlation =
    CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM2;

/// Adds the records of one buffer to `batch`. A buffer that ends in an incomplete record is read up
/// to there; what is left counts as one unreadable record. Frees what CUPTI hands over with a
/// record.
void decode(const CuptiApi& api, std::span<std::uint8_t> buffer, RecordBatch& batch);

/// A call of the driver API that asked for device memory.
struct AllocationCall {
  std::string call{};
  std::int64_t size_bytes = 0;
  bool refused = false;  // by CUDA_ERROR_OUT_OF_MEMORY
  bool operator==(const AllocationCall&) const = default;
};

/// Calls of the driver that allocate device memory; each is subscribed to by itself, since a whole
/// domain would cost at every call.
[[nodiscard]] std::span<const CUpti_CallbackId> allocation_calls();

/// The calls of the runtime that end in one of them.
[[nodiscard]] std::span<const CUpti_CallbackId> runtime_allocation_calls();

/// What the exit callback of one of them says; none for any other callback.
[[nodiscard]] std::optional<AllocationCall> allocation_call(CUpti_CallbackId call,
                                                            const CUpti_CallbackData& data);

}  // namespace tidemark
