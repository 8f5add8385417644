// A program with NVTX ranges, as people write them; it knows nothing of Tidemark. Exit code: its
// first argument, else 0.
#include <nvtx3/nvToolsExt.h>

#include <cstdlib>

namespace {

void push(nvtxDomainHandle_t domain, const nvtxEventAttributes_t& attributes) {
  nvtxDomainRangePushEx(domain, &attributes);
}

}  // namespace

int main(int argc, char** argv) {
  nvtxRangePushA("step 0");
  nvtxRangePushA("forward");
  nvtxRangePushW(L"wide");
  nvtxRangePop();
  nvtxDomainHandle_t domain = nvtxDomainCreateA("library");
  nvtxEventAttributes_t attributes{};
  attributes.version = NVTX_VERSION;
  attributes.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  attributes.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
  attributes.message.registered = nvtxDomainRegisterStringA(domain, "registered");
  push(domain, attributes);
  attributes.messageType = NVTX_MESSAGE_TYPE_ASCII;
  attributes.message.ascii = "plain";
  push(domain, attributes);
  nvtxDomainRangePop(domain);
  nvtxDomainRangePop(domain);
  nvtxRangePop();
  nvtxRangePop();
  return argc > 1 ? std::atoi(argv[1]) : 0;
}
