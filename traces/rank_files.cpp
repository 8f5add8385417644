#include "traces/rank_files.h"

#include <filesystem>

#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {

std::vector<std::string> rank_files(const std::string& index, std::size_t ranks) {
  std::string stem = index;
  std::string ending;
  for (const char* known : {".json", ".tmk"}) {
    if (!stem.ends_with(known)) continue;
    stem.resize(stem.size() - std::string(known).size());
    ending = known + ending;
  }
  std::vector<std::string> out;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    out.push_back(stem + ".rank" + std::to_string(rank) + ending);
  }
  return out;
}

void write_index(const Meta& meta, const std::string& index, std::size_t ranks) {
  Trace out;
  out.meta = meta;
  out.meta.rank = 0;
  out.meta.rank_count = static_cast<std::int32_t>(ranks);
  const std::vector<std::string> files = rank_files(index, ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    out.ranks.push_back({.rank = static_cast<std::int32_t>(rank),
                         .file = std::filesystem::path(files[rank]).filename().string()});
  }
  write_trace(out, index);
}

void write_ranks(std::span<const Trace> ranks, const std::string& index) {
  if (index == "-") {
    throw InputError({{}, "--output", "a file, beside which those of the ranks stand", "'-'"});
  }
  const std::vector<std::string> files = rank_files(index, ranks.size());
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) write_trace(ranks[rank], files[rank]);
  write_index(ranks.front().meta, index, ranks.size());
}

}  // namespace tidemark
