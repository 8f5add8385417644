// Every file that the window opens, told apart by its content.
#pragma once

#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// A trace of Tidemark (binary or text), or what `tidemark import` reads: a memory snapshot of
/// PyTorch, a trace of its profiler, an export of Nsight Systems or of Tidemark; compressed or not.
/// One trace per device of a recording, at least one. Throws InputError with the name of the file.
[[nodiscard]] std::vector<Trace> read_recordings(const std::string& path);

}  // namespace tidemark
