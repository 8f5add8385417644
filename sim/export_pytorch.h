// A trace as a memory snapshot of PyTorch, for pytorch.org/memory_viz and
// torch/cuda/_memory_viz.py.
#pragma once

#include <string>

#include "traces/trace.h"

namespace tidemark {

/// The pickle of a dict with "segments", "device_traces" and "external_annotations" (steps, as
/// ranges "ProfilerStep#N"), in the form of torch.cuda.memory._dump_snapshot. Source:
/// torch/csrc/cuda/memory_snapshot.cpp, torch/cuda/_memory_viz.py, torch/utils/viz/MemoryViz.js.
///
/// Sizes are those requested, so that an import finds the same bytes of every category; each
/// allocation carries its category, its buffer and its layer (as a frame). Addresses and segments
/// are the recorded ones where every block lies in a segment and no two live blocks overlap; else
/// blocks get the lowest free address, in one segment. Times are whole microseconds: what happens
/// within one keeps its order, and no event changes its step.
/// Left out: memory of the host, of which the format knows nothing; ops; views.
[[nodiscard]] std::string to_snapshot(const Trace& trace);

}  // namespace tidemark
