#include "profiler/cupti/probe.h"

namespace tidemark {

Capability probe_cupti() {
  return {false, "built without the headers of CUPTI"};
}

}  // namespace tidemark
