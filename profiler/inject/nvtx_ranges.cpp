#include "profiler/inject/nvtx_ranges.h"

#define NVTX_NO_IMPL
#include <nvtx3/nvToolsExt.h>

#include <atomic>
#include <mutex>
#include <set>
#include <string>

namespace tidemark {
namespace {

std::atomic<InjectedRecording*> g_to{nullptr};

/// Names that a program registered; their handle is the address of ours.
struct RegisteredNames {
  std::mutex mutex;
  std::set<std::string> names;  // nodes stay where they are
};

RegisteredNames& registered() {
  static auto* names = new RegisteredNames;  // threads may use it while the program exits
  return *names;
}

std::string narrow(const wchar_t* text) {
  std::string out;
  for (; text != nullptr && *text != L'\0'; ++text) {
    out += *text > 0 && *text < 128 ? static_cast<char>(*text) : '?';
  }
  return out;
}

nvtxStringHandle_t remember(std::string name) {
  RegisteredNames& all = registered();
  const std::lock_guard lock(all.mutex);
  const std::string& kept = *all.names.insert(std::move(name)).first;
  return reinterpret_cast<nvtxStringHandle_t>(const_cast<std::string*>(&kept));
}

int open_range(std::string_view name) {
  InjectedRecording* to = g_to.load(std::memory_order_acquire);
  return to == nullptr ? 0 : to->push(name);
}

int close_range() {
  InjectedRecording* to = g_to.load(std::memory_order_acquire);
  return to == nullptr ? 0 : to->pop();
}

int push_narrow(const char* name) {
  return open_range(name == nullptr ? "" : name);
}

int push_wide(const wchar_t* name) {
  return open_range(narrow(name));
}

int push_attributes(const nvtxEventAttributes_t* attributes) {
  if (attributes == nullptr) return open_range("");
  const nvtxMessageValue_t& message = attributes->message;
  switch (attributes->messageType) {
    case NVTX_MESSAGE_TYPE_ASCII:
      return push_narrow(message.ascii);
    case NVTX_MESSAGE_TYPE_UNICODE:
      return push_wide(message.unicode);
    case NVTX_MESSAGE_TYPE_REGISTERED:
      if (message.registered != nullptr) {
        return open_range(*reinterpret_cast<const std::string*>(message.registered));
      }
      break;
    default:
      break;
  }
  return open_range("");
}

int push_in_domain(nvtxDomainHandle_t, const nvtxEventAttributes_t* attributes) {
  return push_attributes(attributes);
}

int pop_in_domain(nvtxDomainHandle_t) {
  return close_range();
}

nvtxStringHandle_t register_narrow(nvtxDomainHandle_t, const char* name) {
  return remember(name == nullptr ? "" : name);
}

nvtxStringHandle_t register_wide(nvtxDomainHandle_t, const wchar_t* name) {
  return remember(narrow(name));
}

/// The table of one module: pointers to the places of its functions.
class Module {
 public:
  Module(const NvtxExportTableCallbacks& callbacks, NvtxCallbackModule module) {
    if (callbacks.GetModuleFunctionTable(module, &table_, &size_) == 0) size_ = 0;
  }
  template <class Function>
  void set(unsigned id, Function function) {
    if (id < size_ && table_[id] != nullptr) {
      *table_[id] = reinterpret_cast<NvtxFunctionPointer>(function);
    }
  }
  [[nodiscard]] bool is_there() const { return size_ > 0 && table_ != nullptr; }

 private:
  NvtxFunctionTable table_ = nullptr;
  unsigned size_ = 0;
};

}  // namespace

bool take_nvtx_ranges(NvtxExportTable get_export_table, InjectedRecording& recording) {
  const auto* callbacks =
      static_cast<const NvtxExportTableCallbacks*>(get_export_table(NVTX_ETID_CALLBACKS));
  if (callbacks == nullptr || callbacks->GetModuleFunctionTable == nullptr) return false;
  Module core(*callbacks, NVTX_CB_MODULE_CORE);
  Module domains(*callbacks, NVTX_CB_MODULE_CORE2);
  if (!core.is_there()) return false;
  g_to.store(&recording, std::memory_order_release);
  core.set(NVTX_CBID_CORE_RangePushA, &push_narrow);
  core.set(NVTX_CBID_CORE_RangePushW, &push_wide);
  core.set(NVTX_CBID_CORE_RangePushEx, &push_attributes);
  core.set(NVTX_CBID_CORE_RangePop, &close_range);
  if (domains.is_there()) {
    domains.set(NVTX_CBID_CORE2_DomainRangePushEx, &push_in_domain);
    domains.set(NVTX_CBID_CORE2_DomainRangePop, &pop_in_domain);
    domains.set(NVTX_CBID_CORE2_DomainRegisterStringA, &register_narrow);
    domains.set(NVTX_CBID_CORE2_DomainRegisterStringW, &register_wide);
  }
  return true;
}

}  // namespace tidemark
