// What is on its way over the link between device and host.
#pragma once

#include <vector>

#include "gui/run_timeline.h"

namespace tidemark {

/// Bytes of the copies between device and host that are under way: each counts in full from the
/// begin of its op to the end. Points in order of time; empty when nothing was ever copied.
struct Transfers {
  std::vector<LevelPoint> to_host;
  std::vector<LevelPoint> to_device;
};

[[nodiscard]] Transfers transfers_of(const Trace& trace, const std::vector<OpSpan>& spans);

}  // namespace tidemark
