// A file that only grows: cut anywhere, it goes on without losing or repeating a part.
#include "sim/part_log.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "../catch.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
namespace fs = std::filesystem;

namespace {

struct TemporaryFile {
  fs::path path = fs::temp_directory_path() / ("part-log-" + std::to_string(::getpid()));
  TemporaryFile() { fs::remove(path); }
  ~TemporaryFile() { fs::remove(path); }
};

PartResult result_of(std::size_t index) {
  PartResult result;
  result.visited = static_cast<std::int64_t>(index) + 10;
  result.reason = "because";
  return result;
}

}  // namespace

TEST_CASE("part log: cut at every byte, what is whole stays and the rest is done again") {
  constexpr std::size_t k_parts = 4;
  const TemporaryFile file;
  {
    PartLog log(file.path, "abc", k_parts);
    for (const std::size_t i : {2, 0, 3, 1}) log.add(to_line(i, result_of(i)));
    log.add(to_line(3, result_of(3)));  // not twice
  }
  const std::string whole = read_file(file.path);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    std::ofstream(file.path, std::ios::binary) << whole.substr(0, size);
    std::size_t before = 0;
    {
      PartLog log(file.path, "abc", k_parts);
      before = log.done().size();
      for (std::size_t i = 0; i < k_parts; ++i) log.add(to_line(i, result_of(i)));
      CHECK(log.done().size() == k_parts);
    }
    const std::string text = read_file(file.path);
    CHECK(std::count(text.begin(), text.end(), '\n') == k_parts + 1);
    CHECK(before ==
          (size < whole.size()
               ? static_cast<std::size_t>(std::max<std::ptrdiff_t>(
                     0, std::count(whole.begin(), whole.begin() + std::ptrdiff_t(size), '\n') - 1))
               : k_parts));
    const PartLog again(file.path, "abc", k_parts);
    for (const auto& [index, result] : again.done()) CHECK(result == result_of(index));
  }
}

TEST_CASE("part log: of another report, damaged, or in use") {
  const TemporaryFile file;
  { PartLog log(file.path, "abc", 2); }
  CHECK_THROWS_WITH(PartLog(file.path, "abd", 2), Catch::Contains("expected rows of this report"));
  CHECK_THROWS_WITH(PartLog(file.path, "abc", 3), Catch::Contains("line 1"));
  {
    const PartLog log(file.path, "abc", 2);
    CHECK_THROWS_WITH(PartLog(file.path, "abc", 2), Catch::Contains("another process"));
  }
  std::ofstream(file.path, std::ios::app) << "rubbish\n" << to_line(0, result_of(0)) << "\n";
  CHECK_THROWS_WITH(PartLog(file.path, "abc", 2), Catch::Contains(": line 2: "));
  CHECK_THROWS_AS(PartLog("/no/such/folder/x", "abc", 2), InputError);
}
