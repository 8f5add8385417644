// A folder of a test, gone with it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace tidemark::test {

struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tidemark_XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (path / name).string(); }
  std::filesystem::path path;
};

}  // namespace tidemark::test
