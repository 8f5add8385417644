#include "gui/rank_index.h"

#include <algorithm>
#include <filesystem>

#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {

std::vector<std::string> files_of_ranks(const std::string& path) {
  namespace fs = std::filesystem;
  // An index is small; a large trace is not read for nothing.
  constexpr std::uintmax_t k_most_index_bytes = 1 << 20;
  std::error_code none;
  const std::uintmax_t size_bytes = fs::file_size(path, none);
  if (none || size_bytes > k_most_index_bytes) return {path};
  std::vector<RankFile> ranks;
  try {
    ranks = read_trace(path).ranks;
  } catch (const InputError&) {
    return {path};
  }
  std::ranges::sort(ranks, {}, &RankFile::rank);
  std::vector<std::string> files;
  for (const RankFile& rank : ranks) {
    const fs::path name(rank.file);
    const bool beside =
        !name.is_absolute() && std::ranges::find(name, fs::path("..")) == name.end();
    if (!beside) return {path};
    files.push_back((fs::path(path).parent_path() / name).string());
  }
  return files.empty() ? std::vector{path} : files;
}

}  // namespace tidemark
