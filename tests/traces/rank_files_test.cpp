#include "traces/rank_files.h"

#include <unistd.h>

#include <filesystem>

#include "../catch.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;

TEST_CASE("the file of a rank is named after its index") {
  CHECK(rank_files("a/run.tmk", 2) ==
        std::vector<std::string>{"a/run.rank0.tmk", "a/run.rank1.tmk"});
  CHECK(rank_files("run.tmk.json", 1) == std::vector<std::string>{"run.rank0.tmk.json"});
  CHECK(rank_files("run", 1) == std::vector<std::string>{"run.rank0"});
}

TEST_CASE("ranks that are written are read back through their index") {
  namespace fs = std::filesystem;
  const fs::path folder =
      fs::temp_directory_path() / ("tidemark-rank-files-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::vector<Trace> ranks(3);
  for (std::int32_t rank = 0; rank < 3; ++rank) {
    Meta& meta = ranks[static_cast<std::size_t>(rank)].meta;
    meta.title = "three ranks";
    meta.rank = rank;
    meta.rank_count = 3;
  }
  const std::string index = (folder / "run.tmk").string();
  write_ranks(ranks, index);
  CHECK(read_ranks(index) == ranks);
  CHECK(read_trace(index).meta.title == "three ranks");
  CHECK(read_trace(index).meta.rank_count == 3);
  fs::remove_all(folder);
}

TEST_CASE("an index cannot go to stdout") {
  CHECK_THROWS_AS(write_ranks(std::vector<Trace>(2), "-"), InputError);
}
