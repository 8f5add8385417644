#include "profiler/cupti/probe.h"

#include "profiler/cupti/cupti_api.h"

namespace tidemark {

Capability probe_cupti() {
  const Capability driver = probe_driver();
  if (!driver.works) return driver;
  std::string why;
  const CuptiApi* api = load_cupti(why);
  return probe_cupti(api, why);
}

}  // namespace tidemark
