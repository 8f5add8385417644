// Opening all ranks of a run by their index.
#pragma once

#include <string>
#include <vector>

namespace tidemark {

/// The files of the ranks, in rank order, when `path` is the index of several (FORMAT.md, section
/// 11). Else `path` alone, also when it cannot be read: who opens it says why.
[[nodiscard]] std::vector<std::string> files_of_ranks(const std::string& path);

}  // namespace tidemark
