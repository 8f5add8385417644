#include "profiler/cupti/cupti_api.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstdint>

namespace tidemark {
namespace {

constexpr std::uint32_t k_major = CUPTI_API_VERSION / 10000;

void* open_library() {
  const std::string name = fmt::format("libcupti.so.{}", k_major);
  // A toolkit that the loader does not know of is found where NVIDIA's own packages put it.
  for (const std::string& folder : {std::string(), std::string("/usr/local/cuda/lib64/"),
                                    std::string("/usr/local/cuda/extras/CUPTI/lib64/")}) {
    if (void* library = dlopen((folder + name).c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  }
  return nullptr;
}

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
}

std::string load(CuptiApi& api) {
  void* library = open_library();
  if (library == nullptr) return fmt::format("libcupti.so.{} is not found", k_major);
  const char* missing = nullptr;
#define TIDEMARK_FIND(field, function) \
  find(library, #function, api.field); \
  if (api.field == nullptr && missing == nullptr) missing = #function;
  TIDEMARK_CUPTI_REQUIRED(TIDEMARK_FIND)
#undef TIDEMARK_FIND
#define TIDEMARK_FIND(field, function) find(library, #function, api.field);
  TIDEMARK_CUPTI_OPTIONAL(TIDEMARK_FIND)
#undef TIDEMARK_FIND
  if (missing != nullptr) return fmt::format("libcupti.so.{} has no function {}", k_major, missing);
  std::uint32_t version = 0;
  api.get_version(&version);
  // Records grow at their end from version to version: an older library writes shorter ones.
  if (version < CUPTI_API_VERSION || version / 10000 != k_major) {
    return fmt::format("libcupti.so.{} has version {}, this program was built for {}", k_major,
                       version, CUPTI_API_VERSION);
  }
  return {};
}

}  // namespace

const CuptiApi* load_cupti(std::string& why) {
  struct Loaded {
    CuptiApi api;
    std::string why;
  };
  static const Loaded loaded = [] {
    Loaded out;
    out.why = load(out.api);
    return out;
  }();
  why = loaded.why;
  return loaded.why.empty() ? &loaded.api : nullptr;
}

std::string result_text(const CuptiApi& api, CUptiResult code) {
  const char* text = nullptr;
  if (api.get_result_string != nullptr) api.get_result_string(code, &text);
  return fmt::format("{} ({})", text == nullptr ? "CUPTI error" : text, static_cast<int>(code));
}

CUpti_SubscriberHandle subscribe(const CuptiApi& api, CUpti_CallbackFunc callback, void* user,
                                 std::string& why) {
  std::array<char, 256> holder{};
  CUpti_SubscriberHandle handle = nullptr;
  CUptiResult code = CUPTI_SUCCESS;
  if (api.subscribe_named != nullptr) {
    CUpti_SubscriberParams parameters{};
    parameters.structSize = CUpti_SubscriberParams_STRUCT_SIZE;
    parameters.subscriberName = "tidemark";
    parameters.oldSubscriberName = holder.data();
    parameters.oldSubscriberSize = holder.size() - 1;
    code = api.subscribe_named(&handle, callback, user, &parameters);
  } else {
    code = api.subscribe(&handle, callback, user);
  }
  if (code == CUPTI_SUCCESS) return handle;
  if (code == CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED) {
    why = holder[0] == '\0' ? "another profiler holds CUPTI"
                            : fmt::format("another profiler holds CUPTI: {}", holder.data());
  } else {
    why = fmt::format("cuptiSubscribe: {}", result_text(api, code));
  }
  return nullptr;
}

Capability probe_cupti(const CuptiApi* api, const std::string& why_missing) {
  if (api == nullptr) return {false, why_missing};
  std::string why;
  const auto ignore = [](void*, CUpti_CallbackDomain, CUpti_CallbackId, const void*) {};
  const CUpti_SubscriberHandle handle = subscribe(*api, ignore, nullptr, why);
  if (handle == nullptr) return {false, why};
  api->unsubscribe(handle);
  std::uint32_t version = 0;
  api->get_version(&version);
  return {true, fmt::format("libcupti version {}", version)};
}

}  // namespace tidemark
