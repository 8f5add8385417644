// The part of `tidemark plan` that advises on a run that was recorded elsewhere.
#pragma once

#include <string>

#include "traces/trace.h"

namespace tidemark {

struct AdviceOptions {
  std::string file;               // the trace, as typed
  std::int64_t budget_bytes = 0;  // 0 = none: what each module would give
  bool json = false;
};

/// Says which modules to checkpoint; returns the exit code. `source` has a recording, and no
/// program.
int advise_checkpoints(const Trace& source, const AdviceOptions& options);

}  // namespace tidemark
