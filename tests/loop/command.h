// Calls of `tidemark` in a folder of the test's own.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/catch.h"
#include "tests/paths.h"

namespace tidemark_call {

namespace fs = std::filesystem;

struct Result {
  int code = -1;
  std::string out;
  std::string error;
};

/// A folder of this test's own, gone afterwards.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("tidemark-cli-" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() {
    std::error_code ignored;
    fs::permissions(path, fs::perms::owner_all, ignored);
    fs::remove_all(path, ignored);
  }
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path / name).string();
  }
};

inline Result call(const Folder& folder, const std::string& arguments) {
  const std::string error_file = folder / "stderr";
  const std::string command = "cd '" + folder.path.string() +
                              "' && '" TIDEMARK_BIN_DIR "/tidemark' " + arguments + " 2>'" +
                              error_file + "' </dev/null";
  Result result;
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> chunk{};
  for (std::size_t got = 0; (got = std::fread(chunk.data(), 1, chunk.size(), pipe)) > 0;) {
    result.out.append(chunk.data(), got);
  }
  result.code = WEXITSTATUS(::pclose(pipe));
  std::ifstream in(error_file);
  result.error.assign(std::istreambuf_iterator<char>(in), {});
  return result;
}

/// Exit code 2, nothing on stdout, and one line on stderr that has `part`.
inline void require_refused(const Folder& folder, const std::string& arguments,
                            const std::string& part) {
  const Result r = call(folder, arguments);
  INFO(arguments << "\n" << r.out << r.error);
  CHECK(r.code == 2);
  CHECK(r.out.empty());
  CHECK(std::count(r.error.begin(), r.error.end(), '\n') == 1);
  CHECK(r.error.find(part) != std::string::npos);
}

inline std::string write(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

/// A recorded run of gpt2-tiny in the folder.
inline void record(const Folder& folder) {
  const Result r = call(folder, "profile gpt2-tiny --steps 3 --quiet -o run.tmk");
  INFO(r.error);
  REQUIRE(r.code == 0);
}

}  // namespace tidemark_call
